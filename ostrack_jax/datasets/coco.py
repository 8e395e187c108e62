"""COCO's layout (Lin et al. 2014). Enters: its folder, a part, a split. Leaves: a sequence per annotation.

`annotations/instances_train2017.json`, pictures in `images/train2017` or `train2017`. Every annotation that is no
crowd is a sequence of one picture, whatever its size (as the release has it). The 450 MB of JSON are read once, into
40 MB of arrays that are cached.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from ostrack_jax.datasets.annotations import valid
from ostrack_jax.datasets.frames import PictureFrames
from ostrack_jax.datasets.index import Arrays, cached, sign
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.names import NumberNames
from ostrack_jax.datasets.sequence import Sequence
from ostrack_jax.errors import UserError, unknown

PARTS = ("train", "val")
SPLITS = ("all", "train2017", "val2017", "train2014", "val2014")
_MOST_BYTES = 2 * 2**30

_log = logging.getLogger(__name__)


def open_coco(folder: Path, part: str = "train", split: str = "all") -> LazySequences:
    """Every annotation but the crowds, in the file's order, named by its id.

    Args:
      folder: of `annotations` and the pictures.
      part: train | val; of 2017.
      split: all, which is the part's; or a year's, whatever the part: train2017 | val2017 | train2014 | val2014.

    Raises:
      UserError: an unknown part or split, no annotation file or one that is not COCO's, no pictures.
    """
    if part not in PARTS:
        raise unknown("part of COCO", part, PARTS)
    if split not in SPLITS:
        raise unknown("split of COCO", split, SPLITS)
    split = f"{part}2017" if split == "all" else split
    path = folder / "annotations" / f"instances_{split}.json"
    if not path.is_file():
        raise UserError(f"no file {path}: expected COCO's annotations/instances_{split}.json")
    pictures = next((place for place in (folder / "images" / split, folder / split) if place.is_dir()), None)
    if pictures is None:
        raise UserError(f"no pictures in {folder}: expected the folder images/{split} or {split}")
    index = cached("coco", path, sign([path]), lambda: read_instances(path))
    if orphans := int(index["orphans"]):
        _log.warning("%s: %d annotations of pictures that it does not list are left out", path, orphans)
    build = functools.partial(_build, os.fspath(pictures), index)
    return LazySequences.of(NumberNames(index["id"]), range(len(index["id"])), build, keep=0)


def read_instances(path: Path) -> Arrays:
    """The annotations of one file that are no crowds, as arrays.

    Returns:
      id: of the annotation; image: row of its picture in picture and size; box: left, top, width, height in
      pixels; picture: names; size: width and height in pixels; orphans: annotations whose picture is not listed.

    Raises:
      UserError: the file is no JSON, not COCO's, or too large.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path} is larger than {_MOST_BYTES >> 30} GiB: expected COCO's annotations")
    records = _Records()
    try:
        top = json.loads(path.read_bytes(), object_hook=records.take)
    except (ValueError, TypeError, OverflowError, RecursionError) as e:
        raise UserError(f"{path} does not hold COCO's annotations: {e}") from e
    if not isinstance(top, dict) or not len(records.files) or not len(records.annotations):
        raise UserError(f"{path} does not hold COCO's annotations: expected images and annotations with boxes")
    return records.arrays()


class _Records:
    """Numbers of the objects of a COCO file, taken as the parser ends each, so that none of them is kept."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.images, self.sizes = array("q"), array("q")
        self.annotations, self.boxes = array("q"), array("d")

    def take(self, entry: dict[str, Any]) -> Any:
        """The parser's hook: note an image or an annotation and drop it, leave other objects as they are."""
        if "bbox" in entry and "image_id" in entry:
            box = entry["bbox"]
            if not isinstance(box, list) or len(box) != 4:
                raise ValueError(f"an annotation's bbox is {str(box)[:60]}, not four numbers")
            if not entry.get("iscrowd"):
                self.annotations.extend((entry.get("id", len(self.annotations) // 2), entry["image_id"]))
                self.boxes.extend(box)
            return None
        if "file_name" in entry and "id" in entry:
            name = entry["file_name"]
            if not isinstance(name, str) or not re.fullmatch(r"[^/\\\0.][^/\\\0]{0,200}", name):
                raise ValueError(f"{str(name)[:60]!r} is no name of a picture")
            self.files.append(os.fsencode(name))
            self.images.append(entry["id"])
            self.sizes.extend((int(entry.get("width") or 0), int(entry.get("height") or 0)))
            return None
        return entry

    def arrays(self) -> Arrays:
        """As `read_instances` returns them."""
        images = np.array(self.images, np.int64)
        order = np.argsort(images, kind="stable")
        annotations = np.array(self.annotations, np.int64).reshape(-1, 2)
        rows = order[np.minimum(np.searchsorted(images, annotations[:, 1], sorter=order), len(order) - 1)]
        known = images[rows] == annotations[:, 1]
        return {
            "id": annotations[known, 0],
            "image": rows[known].astype(np.int32),
            "box": np.array(self.boxes).reshape(-1, 4)[known],
            "picture": np.array(self.files),
            "size": np.array(self.sizes, np.int64).reshape(-1, 2),
            "orphans": np.array(np.count_nonzero(~known)),
        }


def _build(folder: str, index: Arrays, name: str, row: int) -> Sequence:
    image = index["image"][row]
    boxes = index["box"][row : row + 1]
    width, height = index["size"][image].tolist()
    frames = PictureFrames([os.path.join(folder, os.fsdecode(bytes(index["picture"][image])))], "stored")
    size = (width, height) if width > 0 and height > 0 else None
    return Sequence(name, frames, boxes, valid(boxes), size_wh=size, is_picture=True)
