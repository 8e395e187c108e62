"""OTB's layout (Wu et al. 2015), also DTB70's (Li and Yeung 2017), and that of TC-128 (Liang et al. 2015).

Each sequence is a directory with `img/` and `groundtruth_rect.txt`, or `groundtruth_rect.1.txt`, `.2.txt` for several
targets (`Jogging-1`, `Jogging-2`). The boxes count pixels from one; the published analysis and the published trackers
take the numbers as they are, without a shift, and so does this reader. Which images a sequence has, where its boxes are
fewer, follows from the table of the published 100.

TC-128's sequences are directories with `img/0001.jpg ..`, `NAME_gt.txt` (a box for each annotated image) and
`NAME_frames.txt` (the numbers of the first and the last of them). The files do not always have the directory's case.
"""

from __future__ import annotations

import re
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation, read_boxes, read_labels, valid
from ostrack_jax.data.frames import ImageFrames, list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import Row, read_table
from ostrack_jax.data.readers.common import annotated, between, number, subdirectories, those_there
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown

# Re-hosted with one file, its only target loses its number.
ALONE = {"Human4": "Human4-2"}

# The file of boxes, the table's row where it is one of the published.
Key = tuple[Path, Row | None]


def open_otb(directory: Path, split: str = "all") -> LazySequences:
    """Sequences below ``directory``; one for each target.

    Args:
      directory: of the sequences' directories.
      split: all there are, by name; or otb100, in the order of its table those of the 100 that are there.

    Raises:
      UserError: an unknown split.
    """
    if split not in ("all", "otb100"):
        raise unknown("split of OTB", split, ("all", "otb100"))
    rows = read_table("otb")
    keys: dict[str, Key] = {}
    for place in subdirectories(directory):
        if not (place / "img").is_dir():
            continue
        for entry in list_directory(place):
            target = re.fullmatch(r"groundtruth_rect(?:\.(\d+))?\.txt", entry.name)
            # Human4 comes with an empty file next to the one of its only target.
            if target and not (entry.is_file() and entry.stat().st_size == 0):
                name = place.name + (f"-{target[1]}" if target[1] else "")
                name = ALONE.get(name, name)
                keys[name] = (place / entry.name, rows.get(name))
    if split == "otb100":
        keys = {name: keys[name] for name in those_there("OTB-100", directory, rows, keys.__contains__)}
    return LazySequences(keys, _read)


def open_dtb70(directory: Path) -> LazySequences:
    """The 70 sequences of DTB70, those that are there.

    Args:
      directory: of the sequences' directories.
    """
    place = directory / "DTB70" if (directory / "DTB70").is_dir() else directory

    def is_there(name: str) -> bool:
        return (place / name / "img").is_dir()

    rows = those_there("DTB70", directory, read_table("dtb70"), is_there)
    return LazySequences({name: (place / name / "groundtruth_rect.txt", row) for name, row in rows.items()}, _read)


def _read(name: str, key: Key) -> Sequence:
    """One target; images without a box before and after the annotated ones are left out."""
    path, row = key
    boxes, images = read_boxes(path), list_images(path.parent / "img")
    if row is not None and row.first > 1 and len(images) > len(boxes):
        images = [image for image in images if number(image) >= row.first]
    if len(images) < len(boxes):
        raise UserError(f"{path} has {len(boxes)} boxes for {len(images)} images")
    images = images[: len(boxes)]
    if row is not None and len(boxes) == row.last - row.first + 1:  # complete, so nobody has cut it yet
        images, boxes = images[row.omit :], boxes[row.omit :]
    category, attributes = (row.category, row.attributes) if row is not None else ("", ())
    frames = ImageFrames(images, "stored")
    return Sequence(name, frames, boxes, valid(boxes), category=category, attributes=attributes)


def open_tc128(directory: Path) -> LazySequences:
    """Every sequence below ``directory``, or below its `Temple-color-128`, by name."""
    inner = directory / "Temple-color-128"
    keys = {}
    for place in subdirectories(inner if inner.is_dir() else directory):
        boxes = _ending(place, "_gt.txt") if (place / "img").is_dir() else None
        if boxes:
            keys[place.name] = (boxes, _ending(place, "_frames.txt"))
    return LazySequences(keys, _read_tc128)


def _ending(place: Path, end: str) -> Path | None:
    """The file in ``place`` with its name and this end, in any case, else the first with this end."""
    found = [entry.name for entry in list_directory(place) if entry.name.lower().endswith(end)]
    found.sort(key=lambda name: name.lower() != f"{place.name}{end}".lower())
    return place / found[0] if found else None


def _read_tc128(name: str, key: tuple[Path, Path | None]) -> Sequence:
    """One sequence; NaN where it is not annotated."""
    boxes, limits = key
    images = list_images(boxes.parent / "img")
    if limits:
        numbers = read_labels(limits).tolist()
        if len(numbers) != 2:
            expected = "the numbers of the first and the last image"
            raise UserError(f"{limits}: expected {expected}, found {len(numbers)} numbers")
        images = between(images, *numbers)
    return annotated(name, images, read_annotation(boxes, images))
