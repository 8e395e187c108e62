"""Result files: what a tracker predicted for one sequence.

Two layouts; boxes are x,y,w,h with 4 decimals a line, times and scores one number a line in files next to them:
got10k: NAME/NAME_001.txt, NAME/NAME_time.txt, NAME/NAME_score.txt; otb: NAME.txt, NAME_time.txt, NAME_score.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ostrack_jax.errors import UserError, unknown
from ostrack_jax.io import write_atomically

FORMS = ("got10k", "otb")


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """One pass over one sequence.

    Attributes:
      boxes_xywh: left, top, width, height in pixels; row 0 is the ground truth the tracker started with.
      times_s: seconds for each frame in `init` (row 0) or `update`, without reading the image.
      scores: the tracker's confidence in 0..1; NaN where it gives none (always so in row 0).
    """

    boxes_xywh: Float[np.ndarray, "t 4"]
    times_s: Float[np.ndarray, " t"]
    scores: Float[np.ndarray, " t"]


@dataclass(frozen=True)
class ResultFiles:
    """Paths of one sequence's result."""

    boxes: Path
    times: Path
    scores: Path


def files(directory: Path, name: str, form: str) -> ResultFiles:
    """Return the paths of the result of sequence ``name`` in ``directory``.

    Raises:
      UserError: an unknown form, or a name that cannot be a file name.
    """
    if form not in FORMS:
        raise unknown("form of result files", form, FORMS)
    if name in ("", ".", "..") or re.search(r"[/\\\0]", name):
        raise UserError(f"sequence {name!r}: expected a name that a result file can have, without / and \\")
    inner = directory / name if form == "got10k" else directory
    boxes = inner / (f"{name}_001.txt" if form == "got10k" else f"{name}.txt")
    return ResultFiles(boxes, inner / f"{name}_time.txt", inner / f"{name}_score.txt")


def check_names(names: Iterable[str], form: str) -> None:
    """Raise a `UserError` where two sequences would write one file (`a` with its times, and `a_time`)."""
    owner: dict[str, str] = {}
    for name in names:
        for path in vars(files(Path(), name, form)).values():
            key = str(path).casefold()  # some file systems ignore case
            if owner.setdefault(key, name) != name:
                raise UserError(f"sequences {owner[key]!r} and {name!r} would share the result file {path}")


def write(directory: Path, name: str, form: str, result: SequenceResult) -> None:
    """Write one result; the boxes come last, so where they exist the result is complete."""
    paths = files(directory, name, form)
    write_atomically(paths.times, as_text(result.times_s[:, None], "%.8f"))
    write_atomically(paths.scores, as_text(result.scores[:, None], "%.6f"))
    write_atomically(paths.boxes, as_text(result.boxes_xywh, "%.4f"))


def read(directory: Path, name: str, form: str) -> SequenceResult:
    """Read one result.

    Raises:
      UserError: a file is missing, holds anything but numbers, or differs in length from the others.
    """
    paths = files(directory, name, form)
    tables = []
    for path, columns in ((paths.boxes, 4), (paths.times, 1), (paths.scores, 1)):
        try:
            rows = [[float(value) for value in line.split(",")] for line in path.read_text("utf-8").splitlines()]
            tables.append(np.array(rows, np.float64).reshape(len(rows), columns))
        except OSError as e:
            raise UserError(f"cannot read {path}: {e.strerror}") from e
        except ValueError as e:
            raise UserError(f"{path}: expected {columns} numbers a line: {e}") from e
    boxes, times, scores = tables
    if not len(boxes) == len(times) == len(scores):
        raise UserError(f"{paths.boxes} has {len(boxes)} boxes, but there are {len(times)} times, {len(scores)} scores")
    return SequenceResult(boxes, times[:, 0], scores[:, 0])


def read_complete(directory: Path, name: str, form: str, truth_xywh: Float[np.ndarray, "t 4"]) -> SequenceResult | None:
    """Read an earlier result if it is complete: readable, as long as the truth, and started on its first box."""
    try:
        result = read(directory, name, form)
    except UserError:
        return None  # missing, truncated or foreign: track again
    boxes = result.boxes_xywh
    complete = len(boxes) == len(truth_xywh) > 0 and np.isfinite(boxes).all()
    return result if complete and np.abs(boxes[0] - truth_xywh[0]).max() < 1e-3 else None


def as_text(table: Float[np.ndarray, "t columns"], number: str) -> bytes:
    """Format a table, each number by ``number``, separated by commas."""
    return "".join(",".join(number % value for value in row) + "\n" for row in table).encode()
