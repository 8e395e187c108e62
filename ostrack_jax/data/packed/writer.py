"""Pack a data set for fast reading: images in a few large files, annotations as arrays (see `reader`).

Shard after shard is written next to its place, read again and compared, and then moved there, so that interrupted work
continues after the last complete one. TensorFlow Datasets writes the records' form and the set's description;
TensorFlow is not needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import math
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from ostrack_jax.config import Config, DataConfig
from ostrack_jax.data.frames import EncodedFrames, Orientation, decode_values
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import SPLITS
from ostrack_jax.data.packed.reader import FORM, INDEX, MANIFEST, UNFINISHED, read_image
from ostrack_jax.data.readers.registry import knows_parts, open_dataset, orientation_of
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, listed
from ostrack_jax.io import read_json, write_atomically, write_json

QUALITY = 95  # of an image that is encoded again as JPEG
_NAMED = 20  # unreadable images named for each shard
_DEVIATIONS = 4
_BLOCK = 16  # pixels; cuts lie on the blocks of a JPEG with halved colours, one block beyond what is reached
_WORTH = 0.9  # of the bytes or more: then the image stays as it was


def load_libraries() -> None:
    """Import lazily imported modules before a progress bar is shown.

    Meanwhile etils puts an import function of its own in place of Python's, which fails in the bar's thread.
    """
    import tensorflow_datasets  # noqa: F401


def reach_of(config: Config) -> float:
    """How far from a box's centre the crops of a config reach, in mean sides of the box.

    A crop reaches `factor / 2` mean sides of the box it is made around, which may lie `centre_jitter / 2` of its own
    mean sides from the target and be larger than it. That growth has no bound; four standard deviations of it are
    allowed for, so that one crop in 30,000 finds black where the image had more.
    """
    model, pairs = config.model, config.pairs
    # The mean side grows by the exponential of the mean of two normal numbers.
    grown = math.exp(_DEVIATIONS * pairs.scale_jitter / math.sqrt(2))
    return max(model.template_factor / 2, grown * (model.search_factor + pairs.centre_jitter) / 2)


def reached(boxes_xywh: Float[np.ndarray, "k 4"], reach: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what the crops of these boxes reach, in blocks; one block without boxes."""
    if not len(boxes_xywh):
        return 0, 0, min(width, _BLOCK), min(height, _BLOCK)
    centres = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
    far = reach * np.sqrt(boxes_xywh[:, 2:].prod(axis=1, keepdims=True)) + _BLOCK
    limit = np.array([width, height])
    low = np.floor(np.clip((centres - far).min(axis=0), 0, limit - 1) / _BLOCK) * _BLOCK
    high = np.minimum(np.ceil(np.clip((centres + far).max(axis=0), 1, limit) / _BLOCK) * _BLOCK, limit)
    # Boxes completely outside leave a block of the border, for crops to be refused on.
    high = np.maximum(high, np.minimum(low + _BLOCK, limit))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


class Packing:
    """A data set to be packed, its annotations read. Sequences that share images (COCO's annotations) share records.

    Attributes:
      names: of the sequences that are packed.
      left_out: names of sequences that could not be read, with the reason.
      records: the number of images.
    """

    def __init__(
        self,
        data: DataConfig,
        sequences: LazySequences,
        order: Iterable[int],
        reach: float | None = None,
        per_shard: int = 32768,
    ) -> None:
        """Read every annotation.

        Args:
          data: of the set.
          sequences: of the set.
          order: 0 to the last, perhaps shown as it goes.
          reach: to which images are cut, see `reach_of`; None: they stay complete.
          per_shard: images in a file.

        Raises:
          UserError: no sequence could be read.
        """
        self._data, self._sequences, self._reach, self._per_shard = data, sequences, reach, per_shard
        self._orientation: Orientation = orientation_of(data)
        self._part = data.part if knows_parts(data.reader) else ""
        self.left_out: dict[str, str] = {}
        found: dict[int, dict[str, np.ndarray]] = {}
        for place in order:
            try:
                found[place] = _rows(sequences.read(place))
            except (UserError, OSError) as e:
                self.left_out[sequences.names[place]] = str(e)
        if not found:
            raise UserError(f"none of {len(sequences)} sequences could be read: {listed(self.left_out.values(), 1)}")
        self._places, self.names = list(found), [sequences.names[place] for place in found]
        tables = list(found.values())
        arrays = {key: np.concatenate([rows[key] for rows in tables]) for key in tables[0]}
        first = np.cumsum([0, *(len(rows["file"]) for rows in tables)])
        _, seen, inverse = np.unique(arrays["file"], return_index=True, return_inverse=True)
        rank = np.empty(len(seen), np.int64)  # records in the order in which their images occur
        rank[np.argsort(seen)] = np.arange(len(seen))
        arrays |= {"first": first, "record": rank[inverse]}
        arrays["name"] = np.frombuffer("".join(f"{name}\n" for name in self.names).encode(), np.uint8)
        self._index = {key: np.asarray(arrays[key], kind) for key, kind in INDEX.items()}
        self._rows = np.sort(seen)  # of the index, where each record occurs first
        self.records = len(seen)

    def write(self, directory: Path, advance: Callable[[int], object]) -> dict[str, Any]:
        """Write the set, or its missing part.

        Args:
          directory: a new one, or that of the same set unfinished.
          advance: called with the number of images done since it was called last.

        Returns:
          Counts: records, before and after (bytes of the images in the set and packed), unreadable; and named: the
          errors of some that are unreadable.

        Raises:
          UserError: the directory holds something else, or a set packed otherwise; what was written does not read as it
            should, or a file cannot be written.
        """
        count = -(-self.records // self._per_shard)
        base = f"{self._data.reader}-{self._part or 'all'}.array_record"
        files = [f"{base}-{number:05d}-of-{count:05d}" for number in range(count)]
        mark = {
            "form": FORM,
            "signature": self._signature(),
            "reader": self._data.reader,
            "part": self._part,
            "split": self._data.split,
            "reach": None if self._reach is None else {"sides": self._reach},
            "per_shard": self._per_shard,
            "orientation": self._orientation,
        }
        _take_possession(directory, mark)
        shards = [self._write_shard(number, directory / file, advance) for number, file in enumerate(files)]
        offsets = np.concatenate([np.array(shard["offsets"], np.int64).reshape(-1, 2) for shard in shards])
        index = dict(self._index)
        index["box"] = index["box"] - np.pad(offsets[index["record"]], [(0, 0), (0, 2)])  # moved with the cuts
        if self._reach is not None:
            index["size"] = np.zeros_like(index["size"])
        for name, array in index.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            write_atomically(directory / "index" / f"{name}.npy", content.getvalue())
        self._describe(directory, shards)
        files_listed = [{"file": file, "records": shard["records"]} for file, shard in zip(files, shards, strict=True)]
        splits = published_splits(self._data, self.names)
        write_json(directory / MANIFEST, {**mark, "splits": splits, "shards": files_listed}, indent=None)
        (directory / UNFINISHED).unlink(missing_ok=True)
        totals = {key: sum(shard[key] for shard in shards) for key in ("records", "before", "after", "unreadable")}
        return {**totals, "named": [name for shard in shards for name in shard["named"]]}

    def _signature(self) -> str:
        """A hash of the index: with equal ones equal sets are packed."""
        digest = hashlib.sha256()
        for name, array in sorted(self._index.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _write_shard(self, number: int, path: Path, advance: Callable[[int], object]) -> dict[str, Any]:
        """Write a shard and the JSON file of its counts and offsets, unless both are there; its counts and offsets."""
        records = range(number * self._per_shard, min((number + 1) * self._per_shard, self.records))
        notes = path.parent / "index" / f"shard-{number:05d}.json"
        if path.is_file() and notes.is_file():
            found = read_json(notes)
            if found["file_bytes"] == path.stat().st_size:
                advance(len(records))
                return found
        temporary = path.with_name(f".{path.name}.part")
        try:
            found = self._write_records(records, temporary, advance)
            write_json(notes, found, indent=None)
            os.replace(temporary, path)
        except RuntimeError as e:  # the library's error for a full disk and the like
            raise UserError(f"cannot write {path}: {str(e)[:300]}") from e
        finally:
            temporary.unlink(missing_ok=True)
        return found

    def _write_records(self, records: range, path: Path, advance: Callable[[int], object]) -> dict[str, Any]:
        """Write ``records`` to a file and read it again."""
        from array_record.python.array_record_module import ArrayRecordWriter
        from tensorflow_datasets.core.example_serializer import ExampleSerializer

        before, errors, offsets, sizes, sums = 0, [], [], [], []
        features = _features()
        serializer = ExampleSerializer(features.get_serialized_info())
        # JPEGs are as small as they get, and each record is to be read by itself.
        with contextlib.closing(ArrayRecordWriter(str(path), "group_size:1,uncompressed")) as writer:
            for record in records:
                row = int(self._rows[record])
                which = int(np.searchsorted(self._index["first"], row, side="right")) - 1
                frame = row - int(self._index["first"][which])
                try:
                    frames = self._sequences[self._places[which]].frames
                    # Frames that are not files become JPEGs.
                    data = frames.stored(frame) if isinstance(frames, EncodedFrames) else _encode(frames[frame])
                except (UserError, OSError) as e:  # the record stays empty
                    data = b""
                    errors.append(str(e))
                before += len(data)
                offset = (0, 0)
                if data and self._reach is not None:
                    boxes = self._boxes_of_records[record]
                    data, offset = _cut(data, f"record {record}", boxes, self._reach, self._orientation)
                offsets.append(offset)
                sizes.append(len(data))
                sums.append(zlib.crc32(data))
                fields = {name: self._index[name][row] for name in ("visible", "cover")}
                box = (self._index["box"][row] - [*offset, 0, 0]).astype(np.float32)
                fields |= {"image": data, "box": box, "sequence": which, "frame": frame}
                writer.write(serializer.serialize_example(features.encode_example(fields)))
                advance(1)
        _compare(path, sums)
        counts = {"records": len(records), "before": before, "after": sum(sizes), "unreadable": len(errors)}
        return {**counts, "named": errors[:_NAMED], "offsets": offsets, "file_bytes": path.stat().st_size}

    @functools.cached_property
    def _boxes_of_records(self) -> list[Float[np.ndarray, "k 4"]]:
        """The visible boxes in each record, of all sequences that show it."""
        record = self._index["record"]
        rows = np.flatnonzero(self._index["visible"])
        rows = rows[np.argsort(record[rows], kind="stable")]
        edges = np.searchsorted(record[rows], np.arange(1, self.records))
        return np.split(self._index["box"][rows], edges)

    def _describe(self, directory: Path, shards: list[dict[str, Any]]) -> None:
        """Write the files by which TensorFlow Datasets knows a set."""
        import tensorflow_datasets as tfds

        part = self._part or "all"
        template = tfds.core.ShardedFileTemplate(
            data_dir=directory,  # pyright: ignore[reportArgumentType] (any path will do)
            dataset_name=self._data.reader,
            split=part,
            filetype_suffix="array_record",
            template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        )
        lengths, size = [shard["records"] for shard in shards], sum(shard["after"] for shard in shards)
        split = tfds.core.SplitInfo(name=part, shard_lengths=lengths, num_bytes=size, filename_template=template)
        tfds.folder_dataset.write_metadata(
            data_dir=directory, features=_features(), split_infos=[split], filename_template=template, check_data=False
        )


def _rows(sequence: Sequence) -> dict[str, np.ndarray]:
    """The rows of the index for one sequence and its frames, and a number for each file (equal for equal files)."""
    frames, count = sequence.frames, len(sequence)
    if not count or "\n" in sequence.name:
        raise UserError(f"sequence {sequence.name!r}: expected frames, and a name without a line break")
    cover = np.full(count, -1) if sequence.cover is None else np.clip(sequence.cover, -1, 127)
    named = frames.name if isinstance(frames, EncodedFrames) else lambda i: f"{sequence.name}\n{i}"
    names = (named(i).encode("utf-8", "surrogateescape") for i in range(count))
    # Of 64 bits: two of 10^7 fall together 3 times in a million.
    files = [int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") for name in names]
    rows = {"box": sequence.boxes_xywh, "visible": sequence.visible, "cover": cover, "file": np.array(files, np.uint64)}
    return {**rows, "size": np.array([sequence.size_wh or (0, 0)]), "picture": np.array([sequence.is_image])}


def published_splits(data: DataConfig, names: list[str]) -> dict[str, list[int]]:
    """The published lists all of whose sequences are among ``names``, as positions there."""
    place = {name: i for i, name in enumerate(names)}
    found = {}
    for split in SPLITS.get(data.reader, ()):
        try:
            wanted = open_dataset(dataclasses.replace(data, split=split)).names
        except UserError:  # of another part, or of more than the directory holds
            continue
        if all(name in place for name in wanted):
            found[split] = [place[name] for name in wanted]
    return found


def _take_possession(directory: Path, mark: dict[str, Any]) -> None:
    """Mark the directory as this set's."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in (directory / MANIFEST, directory / UNFINISHED):
        if path.is_file():
            found = read_json(path)
            if any(found.get(key) != value for key, value in mark.items()):
                raise UserError(f"{directory} holds another packed set: use a new folder")
            return
    if any(directory.iterdir()):
        raise UserError(f"{directory} is not empty: use a new folder")
    write_json(directory / UNFINISHED, mark)


def _cut(
    data: bytes, name: str, boxes_xywh: Float[np.ndarray, "k 4"], reach: float, orientation: Orientation
) -> tuple[bytes, tuple[int, int]]:
    """A stored image cut to what crops can reach, and the left top corner of the cut.

    The image is the stored one, at (0, 0), where cutting saves little, it cannot be decoded, or it has more than 8
    bits (whose scale is the sequence's).
    """
    try:
        image = decode_values(data, name, 1, orientation)
    except UserError:
        return data, (0, 0)
    height, width = image.shape[:2]
    left, top, right, bottom = reached(boxes_xywh, reach, width, height)
    if image.dtype != np.uint8 or (right - left) * (bottom - top) > _WORTH * width * height:
        return data, (0, 0)
    smaller = _encode(image[top:bottom, left:right])
    return (smaller, (left, top)) if len(smaller) < _WORTH * len(data) else (data, (0, 0))


def _encode(image: np.ndarray) -> bytes:
    """RGB to a JPEG of quality `QUALITY`."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise UserError(f"OpenCV cannot encode an image of {image.shape[1]} x {image.shape[0]} pixels as JPEG")
    return data.tobytes()


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


def _compare(path: Path, sums: list[int]) -> None:
    """Read a file of records again: as many as were written, each image with its checksum."""
    from array_record.python.array_record_module import ArrayRecordReader

    with contextlib.closing(ArrayRecordReader(str(path))) as reader:
        if (there := reader.num_records()) != len(sums):
            raise UserError(f"{path}: {len(sums)} records were written and {there} are there: is the disk full?")
        for i, wanted in enumerate(sums):
            if zlib.crc32(read_image(reader, i)) != wanted:
                raise UserError(f"{path}: record {i} does not read as it was written: is the disk sound?")
