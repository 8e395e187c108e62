"""COCO's layout (Lin et al. 2014), a sequence per annotation.

`annotations/instances_train2017.json`, images in or below `images/train2017` or `train2017`; or another NAME in place
of `train2017`, as annotation tools export it. Every annotation that is not a crowd is a sequence of one image, whatever
its size (as the release has it). The 450 MB of JSON are read once, into 40 MB of arrays that are cached.
"""

from __future__ import annotations

import functools
import json
import os
from array import array
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from ostrack_jax.data.annotations import valid
from ostrack_jax.data.frames import ImageFrames, Orientation, orientation_named
from ostrack_jax.data.index import Arrays, cached, sign
from ostrack_jax.data.lazy import LazySequences, NumberedNames
from ostrack_jax.data.readers.common import first_that
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, listed

_FORM = "2"  # of the index: another number makes it again
_MOST_ID = 1 << 62  # from here on numbers stand for texts


def open_coco(directory: Path, part: str = "train", split: str = "all", orientation: str = "stored") -> LazySequences:
    """Every annotation but the crowds, in the file's order, named by its id.

    Args:
      directory: of `annotations` and the images.
      part: train | val; of 2017.
      split: all, which is the part's; or the NAME of a file annotations/instances_NAME.json, whatever the part.
      orientation: whether boxes count the pixels as ``stored``, or as ``shown``, see `frames.Orientation`.

    Raises:
      UserError: no annotation file or one that is not COCO's, no images.
    """
    read_as = orientation_named(orientation)
    path, images = find_split(directory, f"{part}2017" if split == "all" else split)
    index = cached("coco", path, f"{_FORM} {sign([path])}", lambda: read_instances(path))
    build = functools.partial(_build, os.fspath(images), read_as, index)
    notes = tuple(f"{path}: {note}" for note in index["notes"].tolist())
    return LazySequences.of(NumberedNames("{}", index["id"]), range(len(index["id"])), build, notes=notes)


def annotated_splits(directory: Path) -> list[str]:
    """The NAMEs of the files annotations/instances_NAME.json."""
    return sorted(path.stem.removeprefix("instances_") for path in (directory / "annotations").glob("instances_*.json"))


def find_split(directory: Path, name: str) -> tuple[Path, Path]:
    """The file annotations/instances_NAME.json, and the directory of its images.

    Raises:
      UserError: there is no such file, or there are no images.
    """
    path, names = directory / "annotations" / f"instances_{name}.json", annotated_splits(directory)
    if name not in names:
        there = f"; of other splits there are {listed(names, 10)}" if names else ""
        raise UserError(f"no file annotations/instances_{name}.json in {directory}: expected COCO's layout{there}")
    places = [directory / "images" / name, directory / name]
    if not name.endswith(("2014", "2017")):  # not COCO's own parts, which lie side by side
        places.append(directory / "images")
    images = first_that(Path.is_dir, places)
    if images is None:
        raise UserError(f"no images in {directory}: expected the folder images/{name} or {name}")
    return path, images


def each_object(path: Path, take: Callable[[dict[str, Any]], bool]) -> None:
    """Hand every object of a COCO file to ``take`` as the parser ends it, so that few are kept.

    Args:
      path: of a JSON file.
      take: returns whether it has noted all it needs, and the object is dropped.

    Raises:
      UserError: the file is not valid JSON, or ``take`` raises a `ValueError` for a value.
    """
    try:
        top = json.loads(path.read_bytes(), object_hook=lambda entry: None if take(entry) else entry)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as e:
        raise UserError(f"{path} does not hold COCO's annotations: {e}") from e
    if not isinstance(top, dict):
        raise UserError(f"{path} does not hold COCO's annotations: expected images and annotations with boxes")


def read_instances(path: Path) -> Arrays:
    """Read the annotations of one file except crowds.

    Returns:
      id: of the annotation; image: row of its image in image and size; box: left, top, width, height in pixels;
      image: paths; size: width and height in pixels, 0 where it is not stated; notes: lines on what is odd.

    Raises:
      UserError: the file is not COCO's, or no annotation is left.
    """
    files: list[bytes] = []
    rows: dict[int, int] = {}  # of images by their ids; the first of an id
    sizes = array("q")
    annotations, boxes = array("q"), array("d")  # id, place in the file and image of each; its box
    without: list[str] = []  # ids of annotations without a box
    ids, count, unnamed = Ids(), 0, False

    def take(entry: dict[str, Any]) -> bool:
        nonlocal count, unnamed
        if "file_name" in entry and "id" in entry:
            rows.setdefault(ids.number(entry["id"], "the id of an image"), len(files))
            files.append(os.fsencode(image_path(entry["file_name"])))
            sizes.extend(whole(entry.get(side)) or 0 for side in ("width", "height"))
        elif "image_id" in entry:
            count += 1
            number, found = whole(entry.get("id")), _box(entry.get("bbox"))
            if found is None:
                without.append(repr(entry.get("id"))[:40])
            elif not is_set(entry.get("iscrowd")):
                unnamed = unnamed or number is None
                annotations.extend((number or 0, count, ids.number(entry["image_id"], "image_id")))
                boxes.extend(found)
        else:
            return False
        return True

    each_object(path, take)
    if not files or not annotations:
        raise UserError(f"{path} does not hold COCO's annotations: expected images and annotations with boxes")
    table = np.array(annotations, np.int64).reshape(-1, 3)
    image = np.array([rows.get(number, -1) for number in table[:, 2].tolist()], np.int32)
    known = image >= 0
    own_ids, places = table[known, 0], table[known, 1]
    by_place = unnamed or len(np.unique(own_ids)) < len(own_ids)
    twice = len(files) - len(rows)
    notes = {
        f"{len(without)} annotations without a box of four numbers (ids {listed(without)}) are left out": without,
        f"{np.count_nonzero(~known)} annotations of images that it does not list are left out": (~known).any(),
        f"{twice} images have the id of one before: no annotation is theirs": twice,
        "annotations are named by their place in the file, from 1: their ids are not distinct numbers": by_place,
    }
    true_notes = [note for note, is_true in notes.items() if is_true]
    if not known.any():
        raise UserError(f"{path}: none of its {count} annotations is left; {'; '.join(true_notes)}")
    return {
        "id": places if by_place else own_ids,
        "image": image[known],
        "box": np.array(boxes).reshape(-1, 4)[known],
        "picture": np.array(files),
        "size": np.array(sizes, np.int64).reshape(-1, 2),
        "notes": np.array(true_notes, np.str_),
    }


def _build(directory: str, orientation: Orientation, index: Arrays, name: str, row: int) -> Sequence:
    image = index["image"][row]
    boxes = index["box"][row : row + 1]
    width, height = index["size"][image].tolist()
    frames = ImageFrames([os.path.join(directory, os.fsdecode(bytes(index["picture"][image])))], orientation)
    size = (width, height) if width > 0 and height > 0 else None
    return Sequence(name, frames, boxes, valid(boxes), size_wh=size, is_image=True)


class Ids:
    """Ids as numbers: integers are kept, strings (names, hashes, UUIDs) are numbered in order of appearance."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}

    def number(self, value: Any, name: str) -> int:
        """The number of an id; a `ValueError` that has the field's ``name`` for neither an integer nor a string."""
        number = whole(value)
        if number is not None:
            return number
        if not isinstance(value, str) and type(value) is not int:
            raise ValueError(f"{name} is {str(value)[:60]!r}: expected an integer or a string")
        return self._texts.setdefault(str(value), _MOST_ID + len(self._texts))


def whole(value: object) -> int | None:
    """An integer of 63 bits, also written as 1.0 or "1"; None for anything else."""
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and value == str(number := int(value[:20])):
        value = number
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_MOST_ID < value < _MOST_ID else None


def is_set(value: object) -> bool:
    """Whether a flag such as `iscrowd` is set."""
    return value in (True, 1, "1", "true", "True")


def image_path(value: object) -> str:
    """A `file_name` as a path below the set's images, with `/` between its directories.

    Raises:
      ValueError: it leads out of there, is an address, or none at all.
    """
    name = value if isinstance(value, str) else ""
    path = PureWindowsPath(name)  # knows both separators, drives and shares
    if path.anchor or "://" in name or "\0" in name or not path.parts or ".." in path.parts:
        raise ValueError(f"file_name is {str(value)[:60]!r}: expected a path below the folder of the images")
    return path.as_posix()


def _box(value: object) -> list[float] | None:
    """Four numbers, also where they are written as texts; None for anything else, as for an object without a box."""
    try:
        return [float(part) for part in value] if isinstance(value, list) and len(value) == 4 else None
    except (TypeError, ValueError, OverflowError):
        return None
