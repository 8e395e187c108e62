"""Packed sets. Enters: a folder that `ostrack data prepare` wrote. Leaves: its sequences, read lazily.

A record a picture, in ArrayRecord files that TensorFlow Datasets reads too; the sequences are arrays in `index`, mapped
into memory, so that all loader processes share them. Records are read directly: twenty times as fast as by TFDS.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import json
from collections.abc import Sequence as ListOf
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from ostrack_jax.data.frames import ORIENTATIONS, EncodedFrames, Orientation, within
from ostrack_jax.data.lazy import LazySequences, NumberedNames
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_text

MANIFEST, UNFINISHED = "packed.json", "unfinished.json"
FORM = 1  # of the folder; another number is another layout
_MOST_BYTES = 256 * 2**20  # of a record

# The arrays of `index`: their type, and the shape after the first axis. Axes: s sequences, t frames of all of them.
INDEX: dict[str, tuple[type, tuple[int, ...]]] = {
    "first": (np.int64, ()),  # s + 1: where each sequence's frames begin, and the end
    "record": (np.int64, ()),  # t: the picture of each frame; sequences may share one
    "box": (np.float64, (4,)),  # t: x, y, w, h in pixels of the packed picture
    "visible": (np.bool_, ()),  # t
    "cover": (np.int8, ()),  # t: -1 where the set has none
    "size": (np.int32, (2,)),  # s: width and height of the frames, 0 where not stated or no longer true
    "picture": (np.bool_, ()),  # s: single pictures
    "name": (np.uint8, ()),  # of the sequences, UTF-8, each ended by a newline
}


def is_packed(directory: Path) -> bool:
    """Whether a packed set lies in ``directory``, finished or not."""
    return (directory / MANIFEST).is_file() or (directory / UNFINISHED).is_file()


def open_packed(directory: Path, part: str = "train", split: str = "all") -> LazySequences:
    """The sequences of a packed set, in the order they had when it was packed.

    Args:
      directory: of the set.
      part: must be the one that was packed.
      split: the one that was packed; all, which is whatever was packed; or a published list all of which was packed.

    Raises:
      UserError: it is unfinished, broken, or holds another part or split.
    """
    manifest = read_manifest(directory)
    if manifest["part"] not in ("", part):
        raise UserError(f"{directory} holds the part {manifest['part']} of {manifest['reader']}, not {part}")
    index = Index(directory, manifest)
    names = index.names()
    build = functools.partial(_build, index, Shards(directory, manifest), manifest.get("orientation", "stored"))
    keep = {"keep": 0} if index["picture"].all() else {}
    every = LazySequences.of(names, range(len(names)), build, **keep)
    if split in ("all", manifest["split"]):
        return every
    if split not in manifest["splits"]:
        there = ", ".join([manifest["split"], *manifest["splits"]])
        raise UserError(f"{directory} does not hold the split {split} of {manifest['reader']} whole: it has {there}")
    places = _expand(manifest["splits"][split], len(names))
    return LazySequences.of([names[i] for i in places], places, build, **keep)


def read_manifest(directory: Path) -> dict[str, Any]:
    """What a packed set says of itself, checked.

    Raises:
      UserError: it is unfinished, or not what `ostrack data prepare` writes.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise UserError(f"{directory} is packed in part only: run the same `ostrack data prepare` again, it goes on")
    try:
        found = json.loads(read_text(path))
        if found["form"] != FORM:
            raise UserError(f"{path}: packed in form {found['form']}, this version reads {FORM}: pack the data again")
        words = [found["reader"], found["part"], found["split"], *found["splits"]]
        shards = [(shard["file"], shard["records"]) for shard in found["shards"]]
    except (ValueError, TypeError, KeyError, RecursionError) as e:
        raise UserError(f"{path} is not what `ostrack data prepare` writes ({type(e).__name__}: {e})") from e
    sound = all(isinstance(word, str) for word in words) and all(
        isinstance(file, str) and Path(file).name == file and type(count) is int and count > 0 for file, count in shards
    )
    sound = sound and found.get("orientation", "stored") in ORIENTATIONS
    if not sound or not shards:
        raise UserError(f"{path} is not what `ostrack data prepare` writes: names or numbers that cannot be")
    return found


class Index:
    """The arrays of the sequences; picklable: another process maps the files again."""

    def __init__(self, directory: Path, manifest: dict[str, Any]) -> None:
        """Map and check them; a `UserError` names a file that is missing or does not fit the others."""
        self._directory = directory
        self._records = sum(shard["records"] for shard in manifest["shards"])
        sequences, frames = len(self["first"]) - 1, len(self["record"])
        for name in INDEX:
            rows = {"first": sequences + 1, "size": sequences, "picture": sequences, "name": len(self["name"])}
            if len(self[name]) != rows.get(name, frames):
                raise self._broken(name, f"{len(self[name])} rows for {sequences} sequences of {frames} frames")
        first = self["first"]
        if first[0] != 0 or first[-1] != frames or (np.diff(first) < 1).any():
            raise self._broken("first", "sequences that do not follow each other")

    def __getitem__(self, name: str) -> np.ndarray:
        """One of `INDEX`."""
        return self._arrays[name]

    def names(self) -> ListOf[str]:
        """Of the sequences; a million numbers, as COCO has them, in little memory."""
        names = self["name"].tobytes().decode("utf-8", errors="replace").split("\n")[:-1]
        if len(names) != len(self["size"]) or len(set(names)) != len(names):
            raise self._broken("name", f"{len(set(names))} names for {len(self['size'])} sequences")
        for name in names:
            if not name or name in (".", "..") or any(sign in name for sign in "/\\\0"):
                raise self._broken("name", f"{name[:60]!r} is no name of a sequence")
        if all(name.isascii() and name.isdecimal() and name[0] != "0" and len(name) < 19 for name in names):
            return NumberedNames("{}", np.array(names, np.int64))
        return names

    def records(self, start: int, stop: int) -> ListOf[int]:
        """Numbers of the records of frames ``start .. stop``, in little memory where they count up."""
        records = self["record"][start:stop]
        if records.min() < 0 or records.max() >= self._records:
            raise self._broken("record", f"frames {start} to {stop} lie outside the {self._records} records")
        counted = range(int(records[0]), int(records[0]) + len(records))
        return counted if np.array_equal(records, counted) else records.tolist()

    @functools.cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {}
        for name, (kind, shape) in INDEX.items():
            try:
                array = np.load(self._directory / "index" / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as e:
                raise self._broken(name, str(e)) from e
            if not isinstance(array, np.memmap) or array.dtype != kind or not array.ndim or array.shape[1:] != shape:
                raise self._broken(name, f"{array.dtype} {array.shape}")
            arrays[name] = array
        return arrays

    def _broken(self, name: str, what: str) -> UserError:
        return UserError(f"{self._directory / 'index' / name}.npy is not what `ostrack data prepare` writes: {what}")

    def __getstate__(self) -> dict[str, Any]:
        return {"_directory": self._directory, "_records": self._records}


class Shards:
    """The records of a set by number; picklable, files are opened when first read from."""

    def __init__(self, directory: Path, manifest: dict[str, Any]) -> None:
        self._paths = [str(directory / shard["file"]) for shard in manifest["shards"]]
        self._ends = list(itertools.accumulate(shard["records"] for shard in manifest["shards"]))
        self._readers: dict[int, Any] = {}

    def name(self, record: int) -> str:
        """How an error speaks of a record."""
        shard, row = self._place(record)
        return f"record {row} of {self._paths[shard]}"

    def read(self, record: int) -> bytes:
        """The picture of a record as it was packed; a `UserError` where there is none."""
        from google.protobuf.message import DecodeError
        from tensorflow_datasets.proto.tf_example_generated_pb2 import Example  # pyright: ignore (made by protoc)

        shard, row = self._place(record)
        try:
            data = self._reader(shard).read([row])[0]
            pictures = Example.FromString(data).features.feature["image"].bytes_list.value
        except (RuntimeError, ValueError, IndexError, DecodeError) as e:  # of a broken file, by the library
            raise UserError(f"cannot read {self.name(record)}: {str(e)[:200]}") from e
        if not pictures or not pictures[0] or len(pictures[0]) > _MOST_BYTES:
            raise UserError(f"no picture in {self.name(record)}: it could not be read when the set was packed")
        return pictures[0]

    def _place(self, record: int) -> tuple[int, int]:
        shard = bisect.bisect_right(self._ends, record)
        return shard, record - (self._ends[shard - 1] if shard else 0)

    def _reader(self, shard: int) -> Any:
        if shard not in self._readers:
            from array_record.python.array_record_module import ArrayRecordReader

            path = self._paths[shard]
            if not Path(path).is_file():
                raise UserError(f"no file {path}: the packed set has lost a part, pack it again")
            self._readers[shard] = ArrayRecordReader(path)
        return self._readers[shard]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}}


class PackedFrames(EncodedFrames):
    """The pictures of one sequence; picklable."""

    def __init__(self, shards: Shards, records: ListOf[int], orientation: Orientation) -> None:
        super().__init__(orientation)
        self._shards, self._records = shards, records

    def __len__(self) -> int:
        return len(self._records)

    def name(self, index: SupportsIndex, /) -> str:
        """Where picture ``index`` lies."""
        return self._shards.name(self._records[within(index, len(self))])

    def stored(self, index: SupportsIndex, /) -> bytes:
        """Picture ``index`` as it was packed."""
        return self._shards.read(self._records[within(index, len(self))])


def _build(index: Index, shards: Shards, orientation: Orientation, name: str, place: int) -> Sequence:
    start, stop = index["first"][place : place + 2].tolist()
    cover = np.array(index["cover"][start:stop], np.int64)
    width, height = index["size"][place].tolist()
    return Sequence(
        name,
        PackedFrames(shards, index.records(start, stop), orientation),
        np.array(index["box"][start:stop]),
        np.array(index["visible"][start:stop]),
        None if (cover < 0).all() else cover,
        (width, height) if width > 0 and height > 0 else None,
        bool(index["picture"][place]),
    )


def _expand(places: Any, count: int) -> list[int]:
    """Positions of a split, each among ``count`` sequences."""
    if not isinstance(places, list) or not all(type(i) is int and 0 <= i < count for i in places):
        raise UserError(f"a split of a packed set names sequences beyond its {count}: pack the data again")
    return places
