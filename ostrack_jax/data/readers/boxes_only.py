"""Ground truth without images, for scoring.

Understood: `NAME.txt` (UAVDT: `NAME_gt.txt`) side by side, as result files lie, with `absent/NAME.txt` where LaSOT's
evaluation toolkit has it; or directories, also within directories of their class, with `groundtruth.txt` (and LaSOT's
`full_occlusion.txt`, `out_of_view.txt`) or another of `BOX_FILES`, as annotations come without the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ostrack_jax.data.annotations import read_annotation, read_boxes, valid
from ostrack_jax.data.frames import Frames, list_directory
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.common import first_that, subdirectories
from ostrack_jax.data.readers.folder import BOX_FILES
from ostrack_jax.data.readers.lasot import LABELS
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

ABSENT = "absent"  # LaSOT's toolkit: files with a 1 for each frame without target (`eval_tracker.m`)


class NoImages(Frames):
    """Frames of which only the number is known."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> np.ndarray:
        """Always a `UserError`."""
        raise UserError("these sequences are boxes alone, without images: give the folder of the whole benchmark")


def open_boxes_only(directory: Path) -> LazySequences:
    """Every sequence of boxes in ``directory`` by name; a `UserError` where there is none."""
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
            found.update({place.name: boxes for place in subdirectories(path) if (boxes := _boxes_in(place))})
    if not found:
        expected = f"expected NAME.txt or NAME/{BOX_FILES[0]}, x,y,width,height a line"
        raise UserError(f"no ground truth in {directory}: {expected}")
    return found


def sequences_of(files: Mapping[str, Path]) -> LazySequences:
    """The sequences of these files of boxes, by name."""
    return LazySequences(files, _read)


def _boxes_in(directory: Path) -> Path | None:
    return first_that(Path.is_file, (directory / name for name in BOX_FILES))


def _read(name: str, path: Path) -> Sequence:
    labels = LABELS if path.name in BOX_FILES else (f"{ABSENT}/{path.name}",)
    boxes = read_boxes(path)
    found = read_annotation(path, len(boxes), labels, read=lambda path: boxes)
    present, visible = found.unflagged(), valid(found.boxes_xywh)
    return Sequence(
        name,
        NoImages(len(visible)),
        found.boxes_xywh,
        visible if present is None else present & visible,
        flaws=found.flaws,
        missing=found.missing if found.labels else (),
        present=present,
    )
