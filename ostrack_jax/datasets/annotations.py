"""The text files beside the pictures. Enters: a path. Leaves: boxes, labels, names; errors name file and line.

One parser for every layout: numbers parted by commas, tabs, blanks or semicolons, any line ends, a byte-order mark.
Files come from elsewhere: their size is bounded, and names in them cannot lead out of their folder.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from ostrack_jax.errors import UserError

_MOST_BYTES = 16 * 2**20
_SEPARATORS = ",;"  # beside blanks and tabs


def read_text(path: Path) -> str:
    """A text file's contents; a `UserError` where there is none, or none of a sane size."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}") from e
    if len(data) > _MOST_BYTES:
        raise UserError(f"{path} is larger than {_MOST_BYTES >> 20} MiB: expected a text file of numbers or names")
    return data.decode("utf-8-sig", errors="replace")


def read_numbers(path: Path, columns: int, what: str) -> Float[np.ndarray, "t columns"]:
    """A table of ``columns`` numbers a line (NaN allowed); ``what`` says in an error what a line should hold."""
    text = read_text(path).rstrip()
    lines = text.splitlines()
    for separator in _SEPARATORS:
        text = text.replace(separator, " ")
    rows = [line.split() for line in text.splitlines()]
    try:
        numbers = [float(word) for row in rows for word in row]
    except ValueError:
        numbers = []
    if not numbers or any(len(row) != columns for row in rows):
        _tell_the_line(path, lines, rows, columns, what)
    table = np.array(numbers).reshape(len(rows), columns)
    if np.isinf(table).any():
        row = int(np.isinf(table).any(axis=1).argmax())
        raise UserError(f"{path} line {row + 1}: expected {what}, found an infinite number")
    return table


def _tell_the_line(path: Path, lines: list[str], rows: list[list[str]], columns: int, what: str) -> None:
    """Raise for the first line that is not ``columns`` numbers; none is where there are no lines."""
    for i, row in enumerate(rows):
        try:
            right = len([float(word) for word in row]) == columns
        except ValueError:
            right = False
        if not right:
            raise UserError(f"{path} line {i + 1}: expected {what}, found {lines[i].strip()[:60]!r}")


def read_boxes(path: Path) -> Float[np.ndarray, "t 4"]:
    """Boxes, one a line: left, top, width, height in pixels; NaN where not annotated.

    Raises:
      UserError: the file is missing, empty or too large, or a line holds anything else.
    """
    boxes = read_numbers(path, 4, "x,y,width,height")
    if not len(boxes):
        raise UserError(f"{path} is empty: expected a line x,y,width,height per frame")
    return boxes


def read_labels(path: Path, frames: int) -> Int[np.ndarray, " frames"]:
    """One whole number a line and frame.

    Raises:
      UserError: the file is unreadable, or has not ``frames`` lines of one whole number.
    """
    labels = read_numbers(path, 1, "one whole number")[:, 0]
    if len(labels) != frames:
        raise UserError(f"{path} has {len(labels)} lines: expected {frames}, one per frame")
    if not (np.abs(labels) < 2**31).all() or (labels % 1).any():
        raise UserError(f"{path}: expected whole numbers only")
    return labels.astype(np.int64)


def read_names(path: Path) -> list[str]:
    """One name of a sub-folder a line; blank lines are passed over.

    Raises:
      UserError: the file is unreadable or names nothing, a name twice, or a place outside its folder.
    """
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise UserError(f"{path} is empty: expected one sequence name a line")
    seen: set[str] = set()
    for name in names:
        if name in (".", "..") or re.search(r"[/\\\0]", name):
            raise UserError(f"{path}: {name[:60]!r} is no name of a folder beside it")
        if name in seen:
            raise UserError(f"{path}: names {name!r} twice")
        seen.add(name)
    return names


def valid(boxes_xywh: Float[np.ndarray, "t 4"]) -> Bool[np.ndarray, " t"]:
    """Which boxes are annotated and have a positive width and height."""
    return np.logical_and(np.isfinite(boxes_xywh).all(axis=1), (boxes_xywh[:, 2:] > 0).all(axis=1))
