"""TC-128's layout (Liang et al. 2015).

Each sequence is a directory with `img/0001.jpg ..`, `NAME_gt.txt` (a box for each annotated image) and
`NAME_frames.txt` (the numbers of the first and the last of them). The files do not always have the directory's case.
"""

from __future__ import annotations

from pathlib import Path

from ostrack_jax.data.annotations import read_annotation, read_labels
from ostrack_jax.data.frames import list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.common import annotated, between, subdirectories
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError


def open_tc128(directory: Path) -> LazySequences:
    """Every sequence below ``directory``, or below its `Temple-color-128`, by name.

    Raises:
      UserError: no subdirectory holds `img/` and a `NAME_gt.txt`.
    """
    inner = directory / "Temple-color-128"
    keys = {}
    for place in subdirectories(inner if inner.is_dir() else directory):
        boxes = _ending(place, "_gt.txt") if (place / "img").is_dir() else None
        if boxes:
            keys[place.name] = (boxes, _ending(place, "_frames.txt"))
    if not keys:
        shape = "folders with img/, NAME_gt.txt and NAME_frames.txt"
        raise UserError(f"no TC-128 sequence in {directory}: expected {shape}")
    return LazySequences(keys, _read)


def _ending(place: Path, end: str) -> Path | None:
    """The file in ``place`` with its name and this end, in any case, else the first with this end."""
    found = [entry.name for entry in list_directory(place) if entry.name.lower().endswith(end)]
    found.sort(key=lambda name: name.lower() != f"{place.name}{end}".lower())
    return place / found[0] if found else None


def _read(name: str, key: tuple[Path, Path | None]) -> Sequence:
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
