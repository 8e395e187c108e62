"""A data set written anew for fast reading. Enters: sequences and their `Plan`. Leaves: a set that `packed` reads.

Shard after shard: each is written beside its place, read again and compared, and then put there, so that interrupted
work goes on after the last whole one. TensorFlow Datasets writes the records' form and the set's description;
TensorFlow is not needed.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ostrack_jax.data.frames import Orientation, StoredFrames
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.packed.plan import Plan
from ostrack_jax.data.packed.reach import Reach, cut, encode
from ostrack_jax.data.packed.reader import FORM, INDEX, MANIFEST, UNFINISHED
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_text

_TOLD = 20  # unreadable pictures named for each shard


@dataclass(frozen=True)
class Label:
    """What a packed set is of.

    Attributes:
      reader: whose sequences; ``part`` and ``split`` as it was asked for them (part empty: it knows none).
      reach: to which pictures were cut; None: they are whole.
      per_shard: pictures in a file.
      orientation: of the pictures in which the boxes are, see `frames.Orientation`.
    """

    reader: str
    part: str
    split: str
    reach: Reach | None
    per_shard: int
    orientation: Orientation = "stored"


@dataclass(frozen=True)
class Written:
    """What was packed: pictures, their bytes in the folder and packed, those that could not be read (some named)."""

    pictures: int
    bytes_before: int
    bytes_after: int
    unreadable: int
    named: list[str]


class Packing:
    """One set on its way into a folder."""

    def __init__(self, plan: Plan, sequences: LazySequences, label: Label, directory: Path) -> None:
        """Begin, or go on.

        Raises:
          UserError: the folder holds something else, or a set packed otherwise.
        """
        self._plan, self._sequences, self._label, self._directory = plan, sequences, label, directory
        count = -(-len(plan.shown) // label.per_shard)
        name = f"{label.reader}-{label.part or 'all'}.array_record"
        self._files = [f"{name}-{i:05d}-of-{count:05d}" for i in range(count)]
        self._mark = {"form": FORM, "signature": plan.signature(), **dataclasses.asdict(label)}
        self._begin()

    def run(self, splits: Mapping[str, list[int]], advance: Callable[[int], object]) -> Written:
        """Write what is not written yet; ``advance`` is told of pictures as they are done.

        Args:
          splits: positions of published lists among the packed sequences.
          advance: called with a number of pictures.

        Raises:
          UserError: what was written does not read as it should, or a file cannot be written.
        """
        boxes = self._plan.boxes_of_records() if self._label.reach else None
        told = [self._shard(shard, boxes, advance) for shard in range(len(self._files))]
        offsets = np.concatenate([np.array(shard["offsets"], np.int64).reshape(-1, 2) for shard in told])
        self._write_index(offsets)
        _describe(self._directory, self._label, self._files, told)
        shards = [{"file": file, "records": shard["records"]} for file, shard in zip(self._files, told, strict=True)]
        done = {**self._mark, "splits": dict(splits), "shards": shards}
        _replace(self._directory / MANIFEST, json.dumps(done).encode())
        (self._directory / UNFINISHED).unlink(missing_ok=True)
        named = [name for shard in told for name in shard["named"]]
        pictures, before, after, unreadable = (
            sum(shard[key] for shard in told) for key in ("records", "before", "after", "unreadable")
        )
        return Written(pictures, before, after, unreadable, named)

    def _begin(self) -> None:
        """Mark the folder as this set's."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for name in (MANIFEST, UNFINISHED):
            if (path := self._directory / name).is_file():
                found = read_text(path)
                if not _says(found, self._mark):
                    raise UserError(f"{self._directory} holds another packed set: use a new folder")
                return
        if any(self._directory.iterdir()):
            raise UserError(f"{self._directory} is not empty: use a new folder")
        _replace(self._directory / UNFINISHED, json.dumps(self._mark).encode())

    def _shard(self, shard: int, boxes: list[np.ndarray] | None, advance: Callable[[int], object]) -> dict[str, Any]:
        """Write a shard and what is known of it, unless both are there."""
        path = self._directory / self._files[shard]
        beside = self._directory / "index" / f"shard-{shard:05d}.json"
        begin = shard * self._label.per_shard
        records = range(begin, min(begin + self._label.per_shard, len(self._plan.shown)))
        if path.is_file() and beside.is_file():
            told = json.loads(beside.read_bytes())
            if told["file_bytes"] == path.stat().st_size:
                advance(len(records))
                return told
        beside.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        try:
            told = self._write(temporary, records, boxes, advance)
            _replace(beside, json.dumps(told).encode())
            os.replace(temporary, path)
        except RuntimeError as e:  # how the library speaks of a full disk and the like
            raise UserError(f"cannot write {path}: {str(e)[:300]}") from e
        finally:
            temporary.unlink(missing_ok=True)
        return told

    def _write(
        self, path: Path, records: range, boxes: list[np.ndarray] | None, advance: Callable[[int], object]
    ) -> dict[str, Any]:
        """Write ``records`` to a file, read it again; what is to be known of them."""
        from array_record.python.array_record_module import ArrayRecordWriter

        told: dict[str, Any] = {"records": len(records), "before": 0, "after": 0, "unreadable": 0, "named": []}
        offsets, sums = [], []
        serialize = _serializer()
        # JPEGs are as small as they get, and each record is to be read by itself.
        writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        try:
            for record in records:
                data = self._stored(record, told)
                told["before"] += len(data)
                offset = (0, 0)
                if data and boxes is not None and self._label.reach is not None:
                    data, offset = cut(
                        data, f"record {record}", boxes[record], self._label.reach, self._label.orientation
                    )
                told["after"] += len(data)
                offsets.append(offset)
                sums.append(zlib.crc32(data))
                writer.write(serialize(self._fields(record, data, offset)))
                advance(1)
        finally:
            writer.close()
        _compare(path, sums)
        return {**told, "offsets": offsets, "file_bytes": path.stat().st_size}

    def _stored(self, record: int, told: dict[str, Any]) -> bytes:
        """A record's picture as it lies in the folder; frames that are no files become JPEGs. Empty: unreadable."""
        which, frame = self._plan.shown[record].tolist()
        sequence = self._sequences[self._plan.places[which]]
        try:
            if isinstance(sequence.frames, StoredFrames):
                return sequence.frames.stored(frame)
            return encode(sequence.frames[frame])
        except (UserError, OSError) as e:
            told["unreadable"] += 1
            if len(told["named"]) < _TOLD:
                told["named"].append(str(e))
            return b""

    def _fields(self, record: int, data: bytes, offset: tuple[int, int]) -> dict[str, Any]:
        """A record as `_features` describes it."""
        which, frame = self._plan.shown[record].tolist()
        row = int(self._plan.arrays["first"][which]) + frame
        box = self._plan.arrays["box"][row] - [*offset, 0, 0]
        flags = {name: self._plan.arrays[name][row] for name in ("visible", "cover")}
        return {"image": data, "box": box.astype(np.float32), **flags, "sequence": which, "frame": frame}

    def _write_index(self, offsets: np.ndarray) -> None:
        """The arrays of the index, boxes moved with the cuts."""
        arrays = dict(self._plan.arrays)
        moved = offsets[arrays["record"]]
        arrays["box"] = arrays["box"] - np.pad(moved, [(0, 0), (0, 2)])
        if self._label.reach is not None:
            arrays["size"] = np.zeros_like(arrays["size"])
        for name in INDEX:
            content = io.BytesIO()
            np.save(content, arrays[name], allow_pickle=False)
            _replace(self._directory / "index" / f"{name}.npy", content.getvalue())


def load_libraries() -> None:
    """Import what is imported when it is needed, before a progress bar is shown.

    Meanwhile etils puts an import function of its own in place of Python's, which fails in the bar's thread.
    """
    import tensorflow_datasets  # noqa: F401


def _says(text: str, mark: dict[str, Any]) -> bool:
    """Whether a file of the folder speaks of this set."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and all(found.get(key) == value for key, value in mark.items())


def _features() -> Any:
    """The form of a record, for TensorFlow Datasets."""
    from tensorflow_datasets import features

    return features.FeaturesDict(
        {
            "image": features.Image(shape=(None, None, 3), doc="as stored: JPEG, in most sets"),
            "box": features.Tensor(shape=(4,), dtype=np.float32, doc="x, y, w, h in pixels of the first that shows it"),
            "visible": features.Scalar(np.bool_),
            "cover": features.Scalar(np.int8, doc="eighths; -1: not stated"),
            "sequence": features.Scalar(np.int64, doc="the first that shows it"),
            "frame": features.Scalar(np.int64, doc="its place in that sequence"),
        }
    )


def _serializer() -> Callable[[dict[str, Any]], bytes]:
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    features = _features()
    serializer = ExampleSerializer(features.get_serialized_info())
    return lambda fields: serializer.serialize_example(features.encode_example(fields))


def _compare(path: Path, sums: list[int]) -> None:
    """Read a file of records again: as many as were written, each picture with its checksum."""
    from array_record.python.array_record_module import ArrayRecordReader
    from tensorflow_datasets.proto.tf_example_generated_pb2 import Example  # pyright: ignore (made by protoc)

    reader = ArrayRecordReader(str(path))
    try:
        if reader.num_records() != len(sums):
            there = reader.num_records()
            raise UserError(f"{path}: {len(sums)} records were written and {there} are there: is the disk full?")
        for i, wanted in enumerate(sums):
            features = Example.FromString(reader.read([i])[0]).features
            if zlib.crc32(features.feature["image"].bytes_list.value[0]) != wanted:
                raise UserError(f"{path}: record {i} does not read as it was written: is the disk sound?")
    finally:
        reader.close()


def _describe(directory: Path, label: Label, files: list[str], told: list[dict[str, Any]]) -> None:
    """The files by which TensorFlow Datasets knows a set."""
    import tensorflow_datasets as tfds

    part = label.part or "all"
    template = tfds.core.ShardedFileTemplate(
        data_dir=directory,  # pyright: ignore[reportArgumentType] (any path will do)
        dataset_name=label.reader,
        split=part,
        filetype_suffix="array_record",
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    )
    lengths = [shard["records"] for shard in told]
    split = tfds.core.SplitInfo(
        name=part, shard_lengths=lengths, num_bytes=sum(shard["after"] for shard in told), filename_template=template
    )
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=_features(), split_infos=[split], filename_template=template, check_data=False
    )


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
