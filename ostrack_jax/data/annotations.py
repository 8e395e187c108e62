"""The text files beside the pictures. Enters: a path. Leaves: boxes, labels, names; errors name file and line.

One parser for every layout: numbers parted by commas, tabs, blanks or semicolons, any line ends, a byte-order mark.
Files come from elsewhere: their size is bounded, and names in them cannot lead out of their folder.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from ostrack_jax.errors import UserError
from ostrack_jax.io import read_text

FARTHEST = 1e30  # no number of a picture; the squares and products of larger ones would overflow


def read_numbers(path: Path, columns: int, what: str) -> Float[np.ndarray, "t columns"]:
    """A table of ``columns`` numbers a line (NaN allowed); ``what`` says in an error what a line should hold."""
    return _numbers(path, read_text(path), columns, what)


def _numbers(path: Path, text: str, columns: int, what: str) -> Float[np.ndarray, "t columns"]:
    """The numbers of the file at ``path``, which holds ``text``; see `read_numbers`."""
    text = text.rstrip()
    lines = text.splitlines()
    rows = [line.split() for line in _as_blanks(text).splitlines()]
    try:
        numbers = [float(word) for row in rows for word in row]
    except ValueError:
        numbers = []
    if not numbers or any(len(row) != columns for row in rows):
        _tell_the_line(path, lines, rows, columns, what)
    table = np.array(numbers).reshape(len(rows), columns)
    endless = (np.abs(table) > FARTHEST).any(axis=1)
    if endless.any():
        raise UserError(f"{path} line {int(endless.argmax()) + 1}: expected {what}, found an infinite number")
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

    The scores of a file that `ostrack track` wrote are left out.

    Raises:
      UserError: the file is missing, empty or too large, or a line holds anything else.
    """
    text = read_text(path)
    if _has_scores(text):
        return _numbers(path, text, 5, "five numbers x,y,width,height,score")[:, :4]
    boxes = _numbers(path, text, 4, "four numbers x,y,width,height")
    if not len(boxes):
        raise UserError(f"{path} is empty: expected a line x,y,width,height per frame")
    return boxes


def written_by_track(path: Path) -> bool:
    """Whether a text file holds boxes with scores as `ostrack track` writes them; a `UserError` if it is unreadable."""
    return _has_scores(read_text(path))


def _has_scores(text: str) -> bool:
    """Whether a fifth number follows each box: the score, `nan` in the first line, whose box was given.

    Without that `nan` five numbers may as well be a frame's or a class's number and a box.
    """
    first = [_as_blanks(line).split() for line in text[:200].splitlines()[:1]]
    return len(first) == 1 and len(first[0]) == 5 and first[0][4] == "nan"


def read_labels(path: Path) -> Int[np.ndarray, " t"]:
    """Whole numbers, one a frame: a line each (GOT-10k), or all in one line (LaSOT).

    Raises:
      UserError: the file is unreadable, or holds anything else.
    """
    lines = _as_blanks(read_text(path)).splitlines()
    try:
        return np.array([int(word) for line in lines for word in line.split()], np.int64)
    except (ValueError, OverflowError):  # such as 0.0, or no label at all: line by line
        labels: list[int] = []
    for i, line in enumerate(lines):
        try:
            labels += [_whole(word) for word in line.split()]
        except ValueError as e:
            raise UserError(f"{path} line {i + 1}: expected whole numbers, found {line.strip()[:60]!r}") from e
    return np.array(labels, np.int64)


@dataclass(frozen=True, eq=False)
class Annotation:
    """What the text files say about a video, cut to the frames that all have.

    Attributes:
      boxes_xywh: pixels; NaN where not annotated.
      labels: by file name, those that are there.
      flaws: what was wrong, for `Sequence.flaws`; ``missing`` for `Sequence.missing`.
    """

    boxes_xywh: Float[np.ndarray, "t 4"]
    labels: dict[str, Int[np.ndarray, " t"]]
    flaws: tuple[str, ...]
    missing: tuple[str, ...]


def read_annotation(
    boxes: Path,
    pictures: int | ListOf[str],
    labels: tuple[str, ...] = (),
    read: Callable[[Path], np.ndarray] = read_boxes,
) -> Annotation:
    """The boxes and the label files beside them, one line a picture.

    A single box is that of the first picture, the others are NaN. Where the counts differ, what all have is used.

    Args:
      boxes: the file of boxes.
      pictures: their paths in order, or how many there are.
      labels: names of the label files; one that is missing or empty restrains nothing.
      read: reads ``boxes``, where they are not x,y,width,height.

    Raises:
      UserError: the boxes cannot be read, or a label file that is there; a picture between others is missing.
    """
    table, found, missing = read(boxes), {}, []
    if not isinstance(pictures, int):
        check_gaps(pictures, len(table), boxes)
        pictures = len(pictures)
    for name in labels:
        column = read_labels(boxes.parent / name) if (boxes.parent / name).is_file() else ()
        if len(column):
            found[name] = column
        else:
            missing.append(name)
    if len(table) == 1 < pictures:
        table = np.concatenate([table, np.full((pictures - 1, 4), np.nan)])
    counts = {"pictures": pictures, boxes.name: len(table), **{name: len(column) for name, column in found.items()}}
    common, flaws = min(counts.values()), ()
    if max(counts.values()) > common:
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        flaws = (f"counts differ beside {boxes} ({told}): the first {common} are used",)
    found = {name: column[:common] for name, column in found.items()}
    return Annotation(table[:common], found, flaws, tuple(missing))


def check_gaps(pictures: ListOf[str], lines: int, boxes: Path) -> None:
    """A `UserError` where pictures are fewer than the ``lines`` of ``boxes`` and their numbers leave one out.

    The boxes after it would belong to other pictures.
    """
    stems = [os.path.splitext(os.path.basename(path))[0] for path in pictures] if len(pictures) < lines else []
    if not stems or not all(map(str.isdecimal, stems)):
        return
    numbers = {int(stem) for stem in stems}
    gone = next(i for i in itertools.count(min(numbers)) if i not in numbers)
    if gone < max(numbers):
        raise UserError(
            f"no picture {gone} in {os.path.dirname(pictures[0])} ({len(pictures)} pictures, {lines} lines in "
            f"{boxes.name}): the boxes after it would belong to other pictures"
        )


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


def _as_blanks(text: str) -> str:
    """Commas and semicolons as blanks (tabs part words anyway)."""
    return text.replace(",", " ").replace(";", " ")


def _whole(word: str) -> int:
    number = float(word)
    if number % 1 or not -(2**31) < number < 2**31:  # infinite and NaN too
        raise ValueError(word)
    return int(number)
