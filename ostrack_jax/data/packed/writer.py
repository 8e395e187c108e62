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
import json
import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int

from ostrack_jax.config import Config
from ostrack_jax.data.frames import EncodedFrames, Orientation, decode_values
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.packed.reader import FORM, INDEX, MANIFEST, UNFINISHED, read_image
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_json, write_atomically, write_json

QUALITY = 95  # of an image that is encoded again as JPEG
_NAMED = 20  # unreadable images named for each shard
_DEVIATIONS = 4
_BLOCK = 16  # pixels; cuts lie on the blocks of a JPEG with halved colours, one block beyond what is reached
_WORTH = 0.9  # of the bytes or more: then the image stays as it was


@dataclass(frozen=True)
class Reach:
    """How far from a box's centre its crops reach, in mean sides of the box.

    A crop reaches `factor / 2` mean sides of the box it is made around, which may lie `centre_jitter / 2` of its own
    mean sides from the target and be larger than it. That growth has no bound; four standard deviations of it are
    allowed for, so that one crop in 30,000 finds black where the image had more.
    """

    sides: float

    @classmethod
    def of(cls, config: Config) -> Reach:
        """The reach of a config's template and search region."""
        model, pairs = config.model, config.pairs
        # The mean side grows by the exponential of the mean of two normal numbers.
        grown = math.exp(_DEVIATIONS * pairs.scale_jitter / math.sqrt(2))
        return cls(max(model.template_factor / 2, grown * (model.search_factor + pairs.centre_jitter) / 2))

    def around(self, boxes_xywh: Float[np.ndarray, "k 4"], width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the region of the crops of these boxes, in blocks; one block without boxes."""
        if not len(boxes_xywh):
            return 0, 0, min(width, _BLOCK), min(height, _BLOCK)
        centres = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
        far = self.sides * np.sqrt(boxes_xywh[:, 2:].prod(axis=1, keepdims=True)) + _BLOCK
        limit = np.array([width, height])
        low = np.floor(np.clip((centres - far).min(axis=0), 0, limit - 1) / _BLOCK) * _BLOCK
        high = np.minimum(np.ceil(np.clip((centres + far).max(axis=0), 1, limit) / _BLOCK) * _BLOCK, limit)
        # Boxes completely outside leave a block of the border, for crops to be refused on.
        high = np.maximum(high, np.minimum(low + _BLOCK, limit))
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


@dataclass(frozen=True)
class Label:
    """The source of a packed set.

    Attributes:
      reader: whose sequences; ``part`` and ``split`` as it was asked for them (part empty: it knows none).
      reach: to which images were cut; None: they are complete.
      per_shard: images in a file.
      orientation: of the images in which the boxes are, see `frames.Orientation`.
    """

    reader: str
    part: str
    split: str
    reach: Reach | None
    per_shard: int
    orientation: Orientation = "stored"


@dataclass(frozen=True, eq=False)
class Plan:
    """All of a packed set but its images. Sequences that share images (COCO's annotations) share records.

    Attributes:
      sequences: of the set.
      places: of each packed sequence among these.
      names: of each packed sequence.
      arrays: `reader.INDEX`, boxes as the reader gave them.
      shown: sequence (among the packed) and frame where each record occurs first.
      left_out: names of sequences that could not be read, with the reason.
    """

    sequences: LazySequences
    places: list[int]
    names: list[str]
    arrays: dict[str, np.ndarray]
    shown: Int[np.ndarray, "r 2"]
    left_out: dict[str, str]

    def signature(self) -> str:
        """A hash of it all: equal plans pack equal sets."""
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            array = self.arrays[name]
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def boxes_of_records(self) -> list[Float[np.ndarray, "k 4"]]:
        """The visible boxes in each record, of all sequences that show it."""
        rows = np.flatnonzero(self.arrays["visible"])
        rows = rows[np.argsort(self.arrays["record"][rows], kind="stable")]
        edges = np.searchsorted(self.arrays["record"][rows], np.arange(1, len(self.shown)))
        return np.split(self.arrays["box"][rows], edges)

    def stored_image(self, record: int) -> bytes:
        """The image of a record as it lies in the set; frames that are no files become JPEGs."""
        which, frame = self.shown[record].tolist()
        frames = self.sequences[self.places[which]].frames
        return frames.stored(frame) if isinstance(frames, EncodedFrames) else _encode(frames[frame])


def load_libraries() -> None:
    """Import lazily imported modules before a progress bar is shown.

    Meanwhile etils puts an import function of its own in place of Python's, which fails in the bar's thread.
    """
    import tensorflow_datasets  # noqa: F401


def make_plan(sequences: LazySequences, order: Iterator[int]) -> Plan:
    """Read every annotation.

    Args:
      sequences: of the set.
      order: 0 to the last, perhaps shown as it goes.

    Raises:
      UserError: no sequence could be read, or a name cannot be kept.
    """
    places, names, found, left_out = [], [], [], {}
    for place in order:
        name = sequences.names[place]
        try:
            rows = _rows(sequences.read(place))
        except (UserError, OSError) as e:
            left_out[name] = str(e)
            continue
        if "\n" in name:
            raise UserError(f"the sequence {name!r} has a line break in its name: rename it")
        places.append(place)
        names.append(name)
        found.append(rows)
    if not names:
        raise UserError(f"none of {len(sequences)} sequences could be read: {next(iter(left_out.values()), '')}")
    arrays = {key: np.concatenate([rows[key] for rows in found]) for key in found[0]}
    first = np.cumsum([0, *(len(rows["file"]) for rows in found)])
    _, seen, inverse = np.unique(arrays["file"], return_index=True, return_inverse=True)
    rank = np.empty(len(seen), np.int64)  # records in the order in which their images occur
    rank[np.argsort(seen)] = np.arange(len(seen))
    arrays |= {"first": first, "record": rank[inverse]}
    arrays["name"] = np.frombuffer("".join(f"{name}\n" for name in names).encode(), np.uint8)
    rows = np.sort(seen)
    which = np.searchsorted(first, rows, side="right") - 1
    arrays = {key: np.asarray(arrays[key], kind) for key, (kind, _) in INDEX.items()}
    return Plan(sequences, places, names, arrays, np.stack([which, rows - first[which]], axis=1), left_out)


def _rows(sequence: Sequence) -> dict[str, np.ndarray]:
    """The rows of the index for one sequence and its frames, and a number for each file (equal for equal files)."""
    frames, count = sequence.frames, len(sequence)
    if not count:
        raise UserError("no frame")
    cover = np.full(count, -1) if sequence.cover is None else np.clip(sequence.cover, -1, 127)
    named = frames.name if isinstance(frames, EncodedFrames) else lambda i: f"{sequence.name}\n{i}"
    names = (named(i).encode("utf-8", "surrogateescape") for i in range(count))
    # Of 64 bits: two of 10^7 fall together 3 times in a million.
    files = [int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") for name in names]
    rows = {"box": sequence.boxes_xywh, "visible": sequence.visible, "cover": cover, "file": np.array(files, np.uint64)}
    if any(len(row) != count for row in rows.values()):
        raise UserError(f"sequence {sequence.name}: {len(sequence.boxes_xywh)} boxes for {count} frames")
    return {**rows, "size": np.array([sequence.size_wh or (0, 0)]), "picture": np.array([sequence.is_image])}


def pack(
    plan: Plan, label: Label, directory: Path, splits: Mapping[str, list[int]], advance: Callable[[int], object]
) -> dict[str, Any]:
    """Write a packed set, or its missing part.

    Args:
      plan: of the set.
      label: what it is of.
      directory: a new one, or that of the same set unfinished.
      splits: positions of published lists among the packed sequences.
      advance: called with the number of images done since it was called last.

    Returns:
      Counts: records, before and after (bytes of the images in the set and packed), unreadable; and named: the errors
      of some that are unreadable.

    Raises:
      UserError: the directory holds something else, or a set packed otherwise; what was written does not read as it
        should, or a file cannot be written.
    """
    count = -(-len(plan.shown) // label.per_shard)
    base = f"{label.reader}-{label.part or 'all'}.array_record"
    files = [f"{base}-{number:05d}-of-{count:05d}" for number in range(count)]
    mark = {"form": FORM, "signature": plan.signature(), **dataclasses.asdict(label)}
    _take_possession(directory, mark)
    shards = [_pack_shard(plan, label, number, directory / file, advance) for number, file in enumerate(files)]
    offsets = np.concatenate([np.array(shard["offsets"], np.int64).reshape(-1, 2) for shard in shards])
    arrays = dict(plan.arrays)
    arrays["box"] = arrays["box"] - np.pad(offsets[arrays["record"]], [(0, 0), (0, 2)])  # moved with the cuts
    if label.reach is not None:
        arrays["size"] = np.zeros_like(arrays["size"])
    for name in INDEX:
        content = io.BytesIO()
        np.save(content, arrays[name], allow_pickle=False)
        write_atomically(directory / "index" / f"{name}.npy", content.getvalue())
    _describe(directory, label, shards)
    listed = [{"file": file, "records": shard["records"]} for file, shard in zip(files, shards, strict=True)]
    write_json(directory / MANIFEST, {**mark, "splits": dict(splits), "shards": listed}, indent=None)
    (directory / UNFINISHED).unlink(missing_ok=True)
    totals = {key: sum(shard[key] for shard in shards) for key in ("records", "before", "after", "unreadable")}
    return {**totals, "named": [name for shard in shards for name in shard["named"]]}


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


def _pack_shard(plan: Plan, label: Label, number: int, path: Path, advance: Callable[[int], object]) -> dict[str, Any]:
    """Write a shard and the JSON file of its counts and offsets, unless both are there; its counts and offsets."""
    records = range(number * label.per_shard, min((number + 1) * label.per_shard, len(plan.shown)))
    notes = path.parent / "index" / f"shard-{number:05d}.json"
    if path.is_file() and notes.is_file():
        found = json.loads(notes.read_bytes())
        if found["file_bytes"] == path.stat().st_size:
            advance(len(records))
            return found
    temporary = path.with_name(f".{path.name}.part")
    try:
        found = _write_records(plan, label, records, temporary, advance)
        write_json(notes, found, indent=None)
        os.replace(temporary, path)
    except RuntimeError as e:  # the library's error for a full disk and the like
        raise UserError(f"cannot write {path}: {str(e)[:300]}") from e
    finally:
        temporary.unlink(missing_ok=True)
    return found


def _write_records(
    plan: Plan, label: Label, records: range, path: Path, advance: Callable[[int], object]
) -> dict[str, Any]:
    """Write ``records`` to a file and read it again."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    before, errors, offsets, sizes, sums = 0, [], [], [], []
    features = _features()
    serializer = ExampleSerializer(features.get_serialized_info())
    # JPEGs are as small as they get, and each record is to be read by itself.
    with contextlib.closing(ArrayRecordWriter(str(path), "group_size:1,uncompressed")) as writer:
        for record in records:
            try:
                data = plan.stored_image(record)
            except (UserError, OSError) as e:  # the record stays empty
                data = b""
                errors.append(str(e))
            before += len(data)
            offset = (0, 0)
            if data and label.reach:
                boxes = plan.boxes_of_records[record]
                data, offset = _cut(data, f"record {record}", boxes, label.reach, label.orientation)
            offsets.append(offset)
            sizes.append(len(data))
            sums.append(zlib.crc32(data))
            which, frame = plan.shown[record].tolist()
            row = int(plan.arrays["first"][which]) + frame
            fields = {name: plan.arrays[name][row] for name in ("visible", "cover")}
            box = (plan.arrays["box"][row] - [*offset, 0, 0]).astype(np.float32)
            fields |= {"image": data, "box": box, "sequence": which, "frame": frame}
            writer.write(serializer.serialize_example(features.encode_example(fields)))
            advance(1)
    _compare(path, sums)
    counts = {"records": len(records), "before": before, "after": sum(sizes), "unreadable": len(errors)}
    return {**counts, "named": errors[:_NAMED], "offsets": offsets, "file_bytes": path.stat().st_size}


def _cut(
    data: bytes, name: str, boxes_xywh: Float[np.ndarray, "k 4"], reach: Reach, orientation: Orientation
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
    left, top, right, bottom = reach.around(boxes_xywh, width, height)
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


def _describe(directory: Path, label: Label, shards: list[dict[str, Any]]) -> None:
    """Write the files by which TensorFlow Datasets knows a set."""
    import tensorflow_datasets as tfds

    part = label.part or "all"
    template = tfds.core.ShardedFileTemplate(
        data_dir=directory,  # pyright: ignore[reportArgumentType] (any path will do)
        dataset_name=label.reader,
        split=part,
        filetype_suffix="array_record",
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    )
    lengths, size = [shard["records"] for shard in shards], sum(shard["after"] for shard in shards)
    split = tfds.core.SplitInfo(name=part, shard_lengths=lengths, num_bytes=size, filename_template=template)
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=_features(), split_infos=[split], filename_template=template, check_data=False
    )
