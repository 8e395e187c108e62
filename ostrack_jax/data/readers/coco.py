"""COCO's layout (Lin et al. 2014): its folder, a part and a split to a sequence per annotation.

`annotations/instances_train2017.json`, images in or below `images/train2017` or `train2017`; or another NAME in place
of `train2017`, as annotation tools export it. Every annotation that is no crowd is a sequence of one image, whatever
its size (as the release has it). The 450 MB of JSON are read once, into 40 MB of arrays that are cached.
"""

from __future__ import annotations

import functools
import json
import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from ostrack_jax.data.annotations import valid
from ostrack_jax.data.frames import ImageFrames, Orientation, orientation_named
from ostrack_jax.data.index import Arrays, cached, sign
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.names import NumberNames
from ostrack_jax.data.readers.coco_fields import Ids, box, image_path, images_directory, is_set, whole
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown

PARTS = ("train", "val")
_MOST_BYTES = 2 * 2**30
_FORM = "2"  # of the index: another number makes it again


def open_coco(directory: Path, part: str = "train", split: str = "all", orientation: str = "stored") -> LazySequences:
    """Every annotation but the crowds, in the file's order, named by its id.

    Args:
      directory: of `annotations` and the images.
      part: train | val; of 2017.
      split: all, which is the part's; or the NAME of a file annotations/instances_NAME.json, whatever the part.
      orientation: whether boxes count the pixels as ``stored``, or as ``shown``, see `frames.Orientation`.

    Raises:
      UserError: an unknown part, no annotation file or one that is not COCO's, no images.
    """
    if part not in PARTS:
        raise unknown("part of COCO", part, PARTS)
    read_as = orientation_named(orientation)
    split = f"{part}2017" if split == "all" else split
    names = [path.stem.removeprefix("instances_") for path in (directory / "annotations").glob("instances_*.json")]
    if split not in names:
        there = f"; of other splits there are {', '.join(sorted(names)[:10])}" if names else ""
        raise UserError(f"no file annotations/instances_{split}.json in {directory}: expected COCO's layout{there}")
    path, images = directory / "annotations" / f"instances_{split}.json", images_directory(directory, split)
    if images is None:
        raise UserError(f"no pictures in {directory}: expected the folder images/{split} or {split}")
    index = cached("coco", path, f"{_FORM} {sign([path])}", lambda: read_instances(path))
    build = functools.partial(_build, os.fspath(images), read_as, index)
    notes = tuple(f"{path}: {note}" for note in index["notes"].tolist())
    return LazySequences.of(NumberNames(index["id"]), range(len(index["id"])), build, keep=0, notes=notes)


def read_instances(path: Path) -> Arrays:
    """The annotations of one file that are no crowds, as arrays.

    Returns:
      id: of the annotation; image: row of its image in picture and size; box: left, top, width, height in pixels;
      picture: paths; size: width and height in pixels, 0 where it is not said; notes: lines on what is odd.

    Raises:
      UserError: the file is not valid JSON, not COCO's, or too large; no annotation is left.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path} is larger than {_MOST_BYTES >> 30} GiB: expected COCO's annotations")
    records = _Records()
    try:
        top = json.loads(path.read_bytes(), object_hook=records.take)
    except (ValueError, TypeError, OverflowError, RecursionError) as e:
        raise UserError(f"{path} does not hold COCO's annotations: {e}") from e
    if not isinstance(top, dict) or not records.files or not records.annotations:
        raise UserError(f"{path} does not hold COCO's annotations: expected images and annotations with boxes")
    arrays = records.arrays()
    if not len(arrays["id"]):
        raise UserError(f"{path}: none of its {records.count} annotations is left; {'; '.join(arrays['notes'])}")
    return arrays


class _Records:
    """Numbers of the objects of a COCO file, taken as the parser ends each, so that none of them is kept."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.images, self.sizes = array("q"), array("q")
        self.annotations, self.boxes = array("q"), array("d")  # id, place in the file and image of each; its box
        self.count, self.unnamed = 0, False
        self.without: list[str] = []  # ids of annotations without a box
        self._ids = Ids()

    def take(self, entry: dict[str, Any]) -> Any:
        """The parser's hook: note an image or an annotation and drop it, leave other objects as they are."""
        if "file_name" in entry and "id" in entry:
            self.files.append(os.fsencode(image_path(entry["file_name"])))
            self.images.append(self._ids.of(entry["id"], "the id of an image"))
            self.sizes.extend(whole(entry.get(side)) or 0 for side in ("width", "height"))
            return None
        if "image_id" in entry:
            self.count += 1
            number, found = whole(entry.get("id")), box(entry.get("bbox"))
            if found is None:
                self.without.append(repr(entry.get("id"))[:40])
            elif not is_set(entry.get("iscrowd")):
                self.unnamed = self.unnamed or number is None
                self.annotations.extend((number or 0, self.count, self._ids.of(entry["image_id"], "image_id")))
                self.boxes.extend(found)
            return None
        return entry

    def arrays(self) -> Arrays:
        """As `read_instances` returns them."""
        images = np.array(self.images, np.int64)
        order = np.argsort(images, kind="stable")
        annotations = np.array(self.annotations, np.int64).reshape(-1, 3)
        rows = order[np.minimum(np.searchsorted(images, annotations[:, 2], sorter=order), len(order) - 1)]
        known = images[rows] == annotations[:, 2]
        ids, places = annotations[known, 0], annotations[known, 1]
        by_place = self.unnamed or len(np.unique(ids)) < len(ids)
        twice = len(images) - len(np.unique(images))
        notes = {
            f"{len(self.without)} annotations without a box of four numbers (ids {', '.join(self.without[:5])}"
            f"{', ..' * (len(self.without) > 5)}) are left out": self.without,
            f"{np.count_nonzero(~known)} annotations of images that it does not list are left out": (~known).any(),
            f"{twice} images have the id of one before: no annotation is theirs": twice,
            "annotations are named by their place in the file, from 1: their ids are not distinct numbers": by_place,
        }
        return {
            "id": places if by_place else ids,
            "image": rows[known].astype(np.int32),
            "box": np.array(self.boxes).reshape(-1, 4)[known],
            "picture": np.array(self.files),
            "size": np.array(self.sizes, np.int64).reshape(-1, 2),
            "notes": np.array([note for note, true in notes.items() if true], np.str_),
        }


def _build(directory: str, orientation: Orientation, index: Arrays, name: str, row: int) -> Sequence:
    image = index["image"][row]
    boxes = index["box"][row : row + 1]
    width, height = index["size"][image].tolist()
    frames = ImageFrames([os.path.join(directory, os.fsdecode(bytes(index["picture"][image])))], orientation)
    size = (width, height) if width > 0 and height > 0 else None
    return Sequence(name, frames, boxes, valid(boxes), size_wh=size, is_image=True)
