"""Ground truth without pictures. Enters: a folder of text files. Leaves: sequences whose boxes can be scored against.

Understood: `NAME.txt` (UAVDT: `NAME_gt.txt`) side by side, as result files lie, with `absent/NAME.txt` where LaSOT's
evaluation toolkit has it; or folders, also within folders of their class, with `groundtruth.txt` (and LaSOT's
`full_occlusion.txt`, `out_of_view.txt`) or another of `BOX_FILES`, as annotations come without the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ostrack_jax.data.annotations import read_annotation, read_boxes, valid
from ostrack_jax.data.frames import list_directory
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.folder import BOX_FILES
from ostrack_jax.data.readers.lasot import LABELS
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

ABSENT = "absent"  # LaSOT's toolkit: the folder of files with a 1 for each frame without target (`eval_tracker.m`)


class NoImages:
    """Frames of which only the number is known."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> np.ndarray:
        """Always a `UserError`."""
        raise UserError("these sequences are boxes alone, without pictures: give the folder of the whole benchmark")


def open_boxes_only(directory: Path) -> LazySequences:
    """Every sequence of boxes in ``directory``, by the name its file or its folder has.

    Raises:
      UserError: there is none.
    """
    return sequences_of(find_files(directory))


def find_files(directory: Path) -> dict[str, Path]:
    """The files of boxes in ``directory`` by their sequence's name; a `UserError` where there is none."""
    found: dict[str, Path] = {}
    for entry in list_directory(directory):
        path = directory / entry.name
        if entry.is_file() and path.suffix.lower() == ".txt":
            found[path.stem.removesuffix("_gt")] = path
        elif boxes := _boxes_in(path):
            found[path.name] = boxes
        elif entry.is_dir():
            inner = [path / inside.name for inside in list_directory(path)]
            found.update({place.name: boxes for place in inner if (boxes := _boxes_in(place))})
    if not found:
        raise UserError(
            f"no ground truth in {directory}: expected NAME.txt or NAME/{BOX_FILES[0]}, x,y,width,height a line"
        )
    return found


def sequences_of(files: Mapping[str, Path]) -> LazySequences:
    """The sequences of these files of boxes, by name."""
    return LazySequences(files, _read)


def _boxes_in(directory: Path) -> Path | None:
    """The file of boxes in a sequence's folder, if there is one."""
    return next((path for name in BOX_FILES if (path := directory / name).is_file()), None)


def _read(name: str, path: Path) -> Sequence:
    labels = LABELS if path.name in BOX_FILES else (f"{ABSENT}/{path.name}",)
    boxes = read_boxes(path)
    found = read_annotation(path, len(boxes), labels, read=lambda path: boxes)
    present = np.ones(len(found.boxes_xywh), bool)
    for label in found.labels.values():
        present &= label == 0
    return Sequence(
        name,
        NoImages(len(present)),
        found.boxes_xywh,
        present & valid(found.boxes_xywh),
        flaws=found.flaws,
        missing=found.missing if found.labels else (),
        present=present if found.labels else None,
    )
