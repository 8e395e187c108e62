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

from ostrack_jax.data.frames import EncodedFrames
from ostrack_jax.data.lazy import LazySequences, NumberedNames
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_json

MANIFEST, UNFINISHED = "packed.json", "unfinished.json"
FORM = 1  # of the directory; another number is another layout

# The arrays of `index` and their types; s sequences, t frames of all of them.
INDEX = {
    "first": np.int64,  # s + 1: where each sequence's frames begin, and the end
    "record": np.int64,  # t: the image of each frame; sequences may share one
    "box": np.float64,  # t, 4: x, y, w, h in pixels of the packed image
    "visible": np.bool_,  # t
    "cover": np.int8,  # t: -1 where the set has none
    "size": np.int32,  # s, 2: width and height of the frames, 0 where not stated or no longer true
    "picture": np.bool_,  # s: single images
    "name": np.uint8,  # of the sequences, UTF-8, each ended by a newline
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
    manifest = packed.manifest
    if manifest["part"] not in ("", part):
        raise UserError(f"{directory} holds the part {manifest['part']} of {manifest['reader']}, not {part}")
    every = LazySequences.of(packed.names, range(len(packed.names)), packed.sequence)
    if split in ("all", manifest["split"]):
        return every
    if split not in manifest["splits"]:
        there = ", ".join([manifest["split"], *manifest["splits"]])
        raise UserError(f"{directory} does not hold the split {split} of {manifest['reader']} completely but {there}")
    return every.select(packed.names[int(i)] for i in manifest["splits"][split])


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the description of a packed set.

    Raises:
      UserError: it is unfinished, or of another form.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise UserError(f"{directory} is packed in part only: run the same `ostrack data prepare` again, it continues")
    found = read_json(path, most_bytes=2**30)
    if found.get("form") != FORM:
        raise UserError(f"{path}: packed in form {found.get('form')}, this version reads {FORM}: pack the data again")
    return found


def read_image(records: Any, row: int) -> bytes:
    """The image in record ``row`` of an open `ArrayRecordReader`; empty where none could be read for packing."""
    from tensorflow_datasets.proto.tf_example_generated_pb2 import Example  # pyright: ignore (made by protoc)

    return Example.FromString(records.read([row])[0]).features.feature["image"].bytes_list.value[0]


class PackedSet:
    """The index and the records of a set; picklable: another process maps and opens the files again."""

    def __init__(self, directory: Path) -> None:
        """Map the index; a `UserError` names what is missing or does not fit."""
        self.manifest = read_manifest(directory)
        self._directory = directory
        self._files = [Path(shard["file"]).name for shard in self.manifest["shards"]]
        self._ends = list(itertools.accumulate(shard["records"] for shard in self.manifest["shards"]))
        self._readers: dict[str, Any] = {}
        try:
            self._index = {name: np.load(directory / "index" / f"{name}.npy", mmap_mode="r") for name in INDEX}
        except (OSError, ValueError, EOFError) as e:
            raise UserError(f"the index of {directory} is damaged: pack the data again ({e})") from e
        self.names = _split_names(self._index["name"])
        sequences, frames = len(self.names), int(self._index["first"][-1])
        lengths = {"first": sequences + 1, "size": sequences, "picture": sequences, "name": len(self._index["name"])}
        wrong = [name for name, array in self._index.items() if len(array) != lengths.get(name, frames)]
        if wrong:
            raise UserError(f"the index of {directory} is damaged: pack the data again ({wrong[0]}.npy does not fit)")

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedSet, (self._directory,)

    def sequence(self, name: str, place: int) -> Sequence:
        """Sequence number ``place``, called ``name``."""
        index = self._index
        rows = slice(*index["first"][place : place + 2].tolist())
        cover = np.array(index["cover"][rows], np.int64)
        width, height = index["size"][place].tolist()
        return Sequence(
            name,
            PackedFrames(self, np.array(index["record"][rows])),
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
        if not image:
            raise UserError(f"no image in {self.record_name(record)}: it could not be read when the set was packed")
        return image

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


def _split_names(letters: np.ndarray) -> ListOf[str]:
    """The names of an index; a million numbers, as COCO has them, in little memory."""
    names = letters.tobytes().decode("utf-8", errors="replace").split("\n")[:-1]
    if all(name.isascii() and name.isdecimal() and name[0] != "0" and len(name) < 19 for name in names):
        return NumberedNames("{}", np.array(names, np.int64))
    return names


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
