"""TC-128's layout (Liang et al. 2015). Enters: the folder of its sequences. Leaves: sequences, read lazily.

Each sequence is a folder with `img/0001.jpg ..`, `NAME_gt.txt` (a box for each annotated picture) and `NAME_frames.txt`
(the numbers of the first and the last of them). The names of the files do not always have the folder's case.
"""

from __future__ import annotations

from pathlib import Path

from ostrack_jax.data.annotations import read_annotation, read_labels, valid
from ostrack_jax.data.frames import ImageFrames, list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.tables import between
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError


def open_tc128(directory: Path) -> LazySequences:
    """Every sequence below ``directory``, or below its `Temple-color-128`, by name.

    Raises:
      UserError: no sub-folder holds `img/` and a `NAME_gt.txt`.
    """
    inner = directory / "Temple-color-128"
    root = inner if inner.is_dir() else directory
    keys = {}
    for place in (root / entry.name for entry in list_directory(root) if entry.is_dir()):
        if (place / "img").is_dir():
            names = {entry.name.lower(): entry.name for entry in list_directory(place)}
            boxes = _ending(names, place.name, "_gt.txt")
            if boxes:
                keys[place.name] = (place, boxes, _ending(names, place.name, "_frames.txt"))
    if not keys:
        raise UserError(
            f"no TC-128 sequence in {directory}: expected folders with img/, NAME_gt.txt and NAME_frames.txt"
        )
    return LazySequences(keys, _read)


def _ending(names: dict[str, str], sequence: str, end: str) -> str:
    """The file of a sequence's name and this end, else the first of this end; the empty name where there is none."""
    named = names.get(f"{sequence.lower()}{end}")
    return named or next((name for low, name in names.items() if low.endswith(end)), "")


def _read(name: str, key: tuple[Path, str, str]) -> Sequence:
    """One sequence; NaN where it is not annotated."""
    directory, boxes, frames = key
    pictures = list_images(directory / "img")
    if frames:
        first, last = _range(directory / frames)
        pictures = between(pictures, first, last)
    found = read_annotation(directory / boxes, pictures)
    visible = valid(found.boxes_xywh)
    return Sequence(name, ImageFrames(pictures[: len(visible)], "stored"), found.boxes_xywh, visible, flaws=found.flaws)


def _range(path: Path) -> tuple[int, int]:
    """The numbers of the first and the last picture that a file states."""
    numbers = read_labels(path).tolist()
    if len(numbers) != 2:
        raise UserError(f"{path}: expected the numbers of the first and the last picture, found {len(numbers)} numbers")
    return numbers[0], numbers[1]
