"""What a tracker predicted for one sequence, on disk.

Two layouts, the boxes as x,y,w,h with 4 decimals a line, times and scores (one a line) beside them:
got10k: NAME/NAME_001.txt, NAME/NAME_time.txt, NAME/NAME_score.txt; otb: NAME.txt, NAME_time.txt, NAME_score.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.annotations import read_boxes, read_numbers
from ostrack_jax.errors import UserError, unknown
from ostrack_jax.io import write_text

FORMS = ("got10k", "otb")


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """One pass over one sequence.

    Attributes:
      boxes_xywh: left, top, width, height in pixels; row 0 is the ground truth the tracker started with.
      times_s: seconds for each frame in `init` (row 0) or `update`, without reading the picture.
      scores: the tracker's confidence in 0..1; NaN where it states none (always so in row 0).
    """

    boxes_xywh: Float[np.ndarray, "t 4"]
    times_s: Float[np.ndarray, " t"]
    scores: Float[np.ndarray, " t"]


@dataclass(frozen=True)
class ResultFiles:
    """Where one sequence's result lies."""

    boxes: Path
    times: Path
    scores: Path


def files(folder: Path, name: str, form: str) -> ResultFiles:
    """The files of sequence ``name`` in ``folder``.

    Raises:
      UserError: an unknown form, or a name that is no plain file name.
    """
    if form not in FORMS:
        raise unknown("form of result files", form, FORMS)
    if name in ("", ".", "..") or re.search(r"[/\\\0]", name):
        raise UserError(f"sequence {name!r}: expected a name that a result file can carry, without / and \\")
    inner = folder / name if form == "got10k" else folder
    boxes = inner / (f"{name}_001.txt" if form == "got10k" else f"{name}.txt")
    return ResultFiles(boxes, inner / f"{name}_time.txt", inner / f"{name}_score.txt")


def check_names(names: Iterable[str], form: str) -> None:
    """A `UserError` where two sequences would write one file (`a` with its times, and `a_time`)."""
    owner: dict[str, str] = {}
    for name in names:
        for path in vars(files(Path(), name, form)).values():
            key = str(path).casefold()  # some file systems know no case
            if owner.setdefault(key, name) != name:
                raise UserError(f"sequences {owner[key]!r} and {name!r} would share the result file {path}")


def write(folder: Path, name: str, form: str, result: SequenceResult) -> None:
    """Write one result; the boxes come last, so that where they are, all is."""
    paths = files(folder, name, form)
    write_text(paths.times, lines(result.times_s[:, None], "%.8f"))
    write_text(paths.scores, lines(result.scores[:, None], "%.6f"))
    write_text(paths.boxes, lines(result.boxes_xywh, "%.4f"))


def read(folder: Path, name: str, form: str) -> SequenceResult:
    """Read one result.

    Raises:
      UserError: a file is missing, holds no numbers, or has another length than the others.
    """
    paths = files(folder, name, form)
    boxes = read_boxes(paths.boxes)
    times = read_numbers(paths.times, 1, "seconds")[:, 0]
    scores = read_numbers(paths.scores, 1, "a score")[:, 0]
    if not len(boxes) == len(times) == len(scores):
        raise UserError(
            f"{paths.boxes} has {len(boxes)} boxes, but {len(times)} times and {len(scores)} scores lie beside it"
        )
    return SequenceResult(boxes, times, scores)


def read_whole(
    folder: Path, name: str, form: str, first_xywh: Float[np.ndarray, " 4"], frames: int
) -> SequenceResult | None:
    """The result of an earlier run if it is whole: readable, ``frames`` long, and started on the box ``first_xywh``."""
    if not files(folder, name, form).boxes.is_file():
        return None
    try:
        result = read(folder, name, form)
    except UserError:
        return None  # cut short or foreign: run again
    whole = len(result.boxes_xywh) == frames and np.isfinite(result.boxes_xywh).all()
    return result if whole and np.abs(result.boxes_xywh[0] - first_xywh).max() < 1e-3 else None


def lines(table: Float[np.ndarray, "t columns"], number: str) -> str:
    """A table as text: ``number`` says how each is written, commas between."""
    return "".join(",".join(number % value for value in row) + "\n" for row in table)
