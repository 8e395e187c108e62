"""Read packed sets, which `ostrack data prepare` writes.

A record an image, in ArrayRecord files that TensorFlow Datasets reads too; the sequences are arrays in `index`, mapped
into memory, so that all loader processes share them. Records are read directly: twenty times as fast as by TFDS.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence as ListOf
from pathlib import Path
from typing import Any

import numpy as np

from ostrack_jax.data.frames import ORIENTATIONS, EncodedFrames
from ostrack_jax.data.lazy import LazySequences, NumberedNames
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_json

MANIFEST, UNFINISHED = "packed.json", "unfinished.json"
FORM = 1  # of the directory; another number is another layout
_MOST_BYTES = 256 * 2**20  # of a record

# The arrays of `index`: their type, and the shape after the first axis. Axes: s sequences, t frames of all of them.
INDEX: dict[str, tuple[type, tuple[int, ...]]] = {
    "first": (np.int64, ()),  # s + 1: where each sequence's frames begin, and the end
    "record": (np.int64, ()),  # t: the image of each frame; sequences may share one
    "box": (np.float64, (4,)),  # t: x, y, w, h in pixels of the packed image
    "visible": (np.bool_, ()),  # t
    "cover": (np.int8, ()),  # t: -1 where the set has none
    "size": (np.int32, (2,)),  # s: width and height of the frames, 0 where not stated or no longer true
    "picture": (np.bool_, ()),  # s: single images
    "name": (np.uint8, ()),  # of the sequences, UTF-8, each ended by a newline
}


def is_packed(directory: Path) -> bool:
    """Whether ``directory`` holds a packed set, finished or not."""
    return (directory / MANIFEST).is_file() or (directory / UNFINISHED).is_file()


def open_packed(directory: Path, part: str = "train", split: str = "all") -> LazySequences:
    """The sequences of a packed set, in the order they had when it was packed.

    Args:
      directory: of the set.
      part: must be the one that was packed.
      split: the one that was packed; all, which is whatever was packed; or a published list all of which was packed.

    Raises:
      UserError: it is unfinished, corrupt, or holds another part or split.
    """
    packed = PackedSet(directory)
    manifest, names = packed.manifest, packed.names()
    if manifest["part"] not in ("", part):
        raise UserError(f"{directory} holds the part {manifest['part']} of {manifest['reader']}, not {part}")
    every = LazySequences.of(names, range(len(names)), packed.sequence)
    if split in ("all", manifest["split"]):
        return every
    if split not in manifest["splits"]:
        there = ", ".join([manifest["split"], *manifest["splits"]])
        raise UserError(f"{directory} does not hold the split {split} of {manifest['reader']} completely but {there}")
    places = manifest["splits"][split]
    if not isinstance(places, list) or not all(type(i) is int and 0 <= i < len(names) for i in places):
        raise UserError(f"a split of a packed set names sequences beyond its {len(names)}: pack the data again")
    return LazySequences.of([str(names[i]) for i in places], places, packed.sequence)


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read and check the description of a packed set.

    Raises:
      UserError: it is unfinished, or not what `ostrack data prepare` writes.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise UserError(f"{directory} is packed in part only: run the same `ostrack data prepare` again, it continues")
    found = read_json(path)
    if found.get("form") != FORM:
        form = found.get("form")
        raise UserError(f"{path}: packed in form {form}, this version reads {FORM}: pack the data again")
    sound = found.get("orientation", "stored") in ORIENTATIONS and found.get("shards")
    for key, kind in {"reader": str, "part": str, "split": str, "splits": dict, "shards": list}.items():
        sound = sound and isinstance(found.get(key), kind)
    if not sound or not all(map(_is_shard, found["shards"])):
        raise UserError(f"{path} is not what `ostrack data prepare` writes")
    return found


def _is_shard(shard: Any) -> bool:
    """Whether a shard of a manifest names a file in the directory and a number of records."""
    file, records = (shard.get("file"), shard.get("records")) if isinstance(shard, dict) else (None, None)
    return isinstance(file, str) and Path(file).name == file and type(records) is int and records > 0


def read_image(records: Any, row: int) -> bytes:
    """The image in record ``row`` of an open `ArrayRecordReader`; empty where none could be read for packing."""
    from tensorflow_datasets.proto.tf_example_generated_pb2 import Example  # pyright: ignore (made by protoc)

    return Example.FromString(records.read([row])[0]).features.feature["image"].bytes_list.value[0]


class PackedSet:
    """The index and the records of a set; picklable: another process maps and opens the files again."""

    def __init__(self, directory: Path) -> None:
        """Map and check the index; a `UserError` names a file that is missing or does not fit the others."""
        self.manifest = read_manifest(directory)
        self._directory = directory
        self._files = [shard["file"] for shard in self.manifest["shards"]]
        self._ends = list(itertools.accumulate(shard["records"] for shard in self.manifest["shards"]))
        self._readers: dict[str, Any] = {}
        self._arrays = {name: self._map(name) for name in INDEX}
        first, frames = self._arrays["first"], self._arrays["record"].size
        sequences = first.size - 1
        rows = {"first": sequences + 1, "size": sequences, "picture": sequences, "name": self._arrays["name"].size}
        for name, (kind, shape) in INDEX.items():
            array = self._arrays[name]
            if array.dtype != kind or array.shape != (rows.get(name, frames), *shape):
                what = f"{array.dtype} {array.shape} for {sequences} sequences of {frames} frames"
                raise self._corrupt(name, what)
        if first[0] != 0 or first[-1] != frames or (np.diff(first) < 1).any():
            raise self._corrupt("first", "sequences that do not follow each other")

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedSet, (self._directory,)

    def names(self) -> ListOf[str]:
        """Names of the sequences; a million numbers, as COCO has them, in little memory."""
        names = self._arrays["name"].tobytes().decode("utf-8", errors="replace").split("\n")[:-1]
        if len(names) != len(self._arrays["size"]) or len(set(names)) != len(names):
            raise self._corrupt("name", f"{len(set(names))} names for {len(self._arrays['size'])} sequences")
        for name in names:
            if not name or name in (".", "..") or any(sign in name for sign in "/\\\0"):
                raise self._corrupt("name", f"{name[:60]!r} is no name of a sequence")
        if all(name.isascii() and name.isdecimal() and name[0] != "0" and len(name) < 19 for name in names):
            return NumberedNames("{}", np.array(names, np.int64))
        return names

    def sequence(self, name: str, place: int) -> Sequence:
        """Sequence number ``place``, called ``name``."""
        index = self._arrays
        rows = slice(*index["first"][place : place + 2].tolist())
        records = index["record"][rows]
        if records.min() < 0 or records.max() >= self._ends[-1]:
            raise self._corrupt("record", f"frames of sequence {name} lie outside the {self._ends[-1]} records")
        cover = np.array(index["cover"][rows], np.int64)
        width, height = index["size"][place].tolist()
        return Sequence(
            name,
            PackedFrames(self, np.array(records)),
            np.array(index["box"][rows]),
            np.array(index["visible"][rows]),
            None if (cover < 0).all() else cover,
            (width, height) if width > 0 and height > 0 else None,
            bool(index["picture"][place]),
        )

    def record_name(self, record: int) -> str:
        """The place of a record, for messages."""
        shard, row = self._place(record)
        return f"record {row} of {self._directory / self._files[shard]}"

    def read(self, record: int) -> bytes:
        """The image of a record as it was packed; a `UserError` where there is none."""
        from google.protobuf.message import DecodeError

        shard, row = self._place(record)
        try:
            image = read_image(self._reader(self._files[shard]), row)
        except (RuntimeError, ValueError, IndexError, DecodeError) as e:  # of a corrupt file, by the library
            raise UserError(f"cannot read {self.record_name(record)}: {str(e)[:200]}") from e
        if not image or len(image) > _MOST_BYTES:
            raise UserError(f"no image in {self.record_name(record)}: it could not be read when the set was packed")
        return image

    def _map(self, name: str) -> np.ndarray:
        try:
            return np.lib.format.open_memmap(self._directory / "index" / f"{name}.npy", mode="r")
        except (OSError, ValueError, EOFError) as e:
            raise self._corrupt(name, str(e)) from e

    def _corrupt(self, name: str, what: str) -> UserError:
        return UserError(f"{self._directory / 'index' / name}.npy is not what `ostrack data prepare` writes: {what}")

    def _place(self, record: int) -> tuple[int, int]:
        shard = bisect.bisect_right(self._ends, record)
        return shard, record - (self._ends[shard - 1] if shard else 0)

    def _reader(self, file: str) -> Any:
        if file not in self._readers:
            from array_record.python.array_record_module import ArrayRecordReader

            path = self._directory / file
            if not path.is_file():
                raise UserError(f"no file {path}: the packed set has lost a part, pack it again")
            self._readers[file] = ArrayRecordReader(str(path))
        return self._readers[file]


class PackedFrames(EncodedFrames):
    """The images of one sequence; picklable."""

    def __init__(self, packed: PackedSet, records: np.ndarray) -> None:
        super().__init__(packed.manifest.get("orientation", "stored"))
        self._packed, self._records = packed, records

    def __len__(self) -> int:
        return len(self._records)

    def name(self, index: int, /) -> str:
        """The location of image ``index``."""
        return self._packed.record_name(int(self._records[index]))

    def stored(self, index: int, /) -> bytes:
        """Image ``index`` as it was packed."""
        return self._packed.read(int(self._records[index]))
