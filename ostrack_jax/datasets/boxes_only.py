"""Ground truth without pictures. Enters: a folder of text files. Leaves: sequences whose boxes can be scored against.

Understood: `NAME.txt` side by side, as result files lie; or folders, also within folders of their class, with
`groundtruth.txt` (and LaSOT's `full_occlusion.txt`, `out_of_view.txt`), as annotations come without the pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ostrack_jax.datasets.annotations import read_annotation, read_boxes, valid
from ostrack_jax.datasets.frames import list_folder
from ostrack_jax.datasets.lasot import LABELS
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.sequence import Sequence
from ostrack_jax.errors import UserError

BOX_FILE = "groundtruth.txt"


class NoPictures:
    """Frames of which only the number is known."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> np.ndarray:
        """Always a `UserError`."""
        raise UserError("these sequences are boxes alone, without pictures: give the folder of the whole benchmark")


def open_boxes_only(folder: Path) -> LazySequences:
    """Every sequence of boxes in ``folder``, by the name its file or its folder has.

    Raises:
      UserError: there is none.
    """
    keys: dict[str, Path] = {}
    for entry in list_folder(folder):
        path = folder / entry.name
        if entry.is_file() and path.suffix.lower() == ".txt":
            keys[path.stem] = path
        elif (path / BOX_FILE).is_file():
            keys[path.name] = path / BOX_FILE
        elif entry.is_dir():
            keys.update({p.name: path / p.name / BOX_FILE for p in list_folder(path) if (Path(p) / BOX_FILE).is_file()})
    if not keys:
        raise UserError(f"no ground truth in {folder}: expected NAME.txt or NAME/{BOX_FILE}, x,y,width,height a line")
    return LazySequences(keys, _read)


def _read(name: str, path: Path) -> Sequence:
    boxes = read_boxes(path)
    if path.name != BOX_FILE:
        return Sequence(name, NoPictures(len(boxes)), boxes, valid(boxes))
    found = read_annotation(path, len(boxes), LABELS)
    present = np.ones(len(found.boxes_xywh), bool)
    for label in found.labels.values():
        present &= label == 0
    return Sequence(
        name,
        NoPictures(len(present)),
        found.boxes_xywh,
        present & valid(found.boxes_xywh),
        flaws=found.flaws,
        missing=found.missing if found.labels else (),
        present=present if found.labels else None,
    )
