"""The text files next to the images: boxes, labels, names of sequences.

One parser for every layout: numbers separated by commas, tabs, blanks or semicolons, any line ends, a byte-order mark.
Files come from elsewhere: their size is bounded, and names in them cannot lead out of their directory.
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

FARTHEST = 1e30  # no number of an image; the squares and products of larger ones would overflow


def parse_rows(path: Path, text: str, parse: Callable[[str], ListOf[float]], expected: str) -> np.ndarray:
    """The numbers of each line of ``text``, the file at ``path``; blank lines at its end are left out.

    Args:
      path: for errors.
      text: of the file.
      parse: a line to its numbers, as many for each; a `ValueError` for anything else.
      expected: in a line, in words.

    Raises:
      UserError: a line is not as expected, or there is none.
    """
    rows = []
    for i, line in enumerate(text.rstrip().splitlines()):
        try:
            rows.append(parse(line))
        except ValueError as e:
            raise UserError(f"{path} line {i + 1}: expected {expected}, found {line.strip()[:60]!r}") from e
    if not rows:
        raise UserError(f"{path} is empty: expected {expected}, a line per frame")
    return np.array(rows)


def parse_numbers(line: str, columns: int) -> list[float]:
    """So many numbers, NaN allowed; a `ValueError` for anything else."""
    numbers = [float(word) for word in _as_blanks(line).split()]
    if len(numbers) != columns or any(abs(number) > FARTHEST for number in numbers):
        raise ValueError(line)
    return numbers


def read_boxes(path: Path) -> Float[np.ndarray, "t 4"]:
    """Read boxes, one a line: left, top, width, height in pixels; NaN where not annotated.

    The scores of a file that `ostrack track` wrote are left out.

    Raises:
      UserError: the file is missing, empty or too large, or a line holds anything else.
    """
    text = read_text(path)
    if _has_scores(text):
        return parse_rows(path, text, lambda line: parse_numbers(line, 5), "x,y,width,height,score")[:, :4]
    return parse_rows(path, text, lambda line: parse_numbers(line, 4), "four numbers x,y,width,height")


def written_by_track(path: Path) -> bool:
    """Whether a text file holds boxes with scores as `ostrack track` writes them; a `UserError` if it is unreadable."""
    return _has_scores(read_text(path))


def read_labels(path: Path) -> Int[np.ndarray, " t"]:
    """Read integers, one a frame: a line each (GOT-10k), or all in one line (LaSOT).

    Raises:
      UserError: the file is unreadable, or holds anything else.
    """
    labels: list[int] = []
    for i, line in enumerate(_as_blanks(read_text(path)).splitlines()):
        try:
            labels += [_whole(word) for word in line.split()]
        except ValueError as e:
            raise UserError(f"{path} line {i + 1}: expected whole numbers, found {line.strip()[:60]!r}") from e
    return np.array(labels, np.int64)


@dataclass(frozen=True, eq=False)
class Annotation:
    """The contents of a video's text files, cut to the frames that all have.

    Attributes:
      boxes_xywh: pixels; NaN where not annotated.
      labels: by file name, those that are there.
      flaws: what was wrong, for `Sequence.flaws`; ``missing`` for `Sequence.missing`.
    """

    boxes_xywh: Float[np.ndarray, "t 4"]
    labels: dict[str, Int[np.ndarray, " t"]]
    flaws: tuple[str, ...]
    missing: tuple[str, ...]

    def unflagged(self) -> Bool[np.ndarray, " t"] | None:
        """The frames for which every label is 0; None without labels."""
        return np.all([label == 0 for label in self.labels.values()], axis=0) if self.labels else None


def read_annotation(
    boxes: Path,
    images: int | ListOf[str],
    labels: tuple[str, ...] = (),
    read: Callable[[Path], np.ndarray] = read_boxes,
) -> Annotation:
    """Read the boxes and the label files next to them, one line an image.

    A single box is that of the first image, the others are NaN. Where the counts differ, what all have is used.

    Args:
      boxes: the file of boxes.
      images: their paths in order, or how many there are.
      labels: names of the label files; one that is missing or empty hides nothing.
      read: reads ``boxes``, where they are not x,y,width,height.

    Raises:
      UserError: the boxes cannot be read, or a label file that is there; an image between others is missing.
    """
    table, found, missing = read(boxes), {}, []
    if not isinstance(images, int):
        check_gaps(images, len(table), boxes)
        images = len(images)
    for name in labels:
        column = read_labels(boxes.parent / name) if (boxes.parent / name).is_file() else ()
        if len(column):
            found[name] = column
        else:
            missing.append(name)
    if len(table) == 1 < images:
        table = np.concatenate([table, np.full((images - 1, 4), np.nan)])
    counts = {"images": images, boxes.name: len(table), **{name: len(column) for name, column in found.items()}}
    common, flaws = min(counts.values()), ()
    if max(counts.values()) > common:
        named = ", ".join(f"{count} {name}" for name, count in counts.items())
        flaws = (f"counts differ next to {boxes} ({named}): the first {common} are used",)
    found = {name: column[:common] for name, column in found.items()}
    return Annotation(table[:common], found, flaws, tuple(missing))


def check_gaps(images: ListOf[str], lines: int, boxes: Path) -> None:
    """Raise a `UserError` where images are fewer than the ``lines`` of ``boxes`` and their numbers leave one out.

    The boxes after it would belong to other images.
    """
    stems = [os.path.splitext(os.path.basename(path))[0] for path in images] if len(images) < lines else []
    if not stems or not all(map(str.isdecimal, stems)):
        return
    numbers = {int(stem) for stem in stems}
    gone = next(i for i in itertools.count(min(numbers)) if i not in numbers)
    if gone < max(numbers):
        raise UserError(
            f"no image {gone} in {os.path.dirname(images[0])} ({len(images)} images, {lines} lines in "
            f"{boxes.name}): the boxes after it would belong to other images",
            fix="images are missing: unpack their archive again",
        )


def read_names(path: Path) -> list[str]:
    """Read names of subdirectories, one a line; blank lines are skipped.

    Raises:
      UserError: the file is unreadable or names nothing, a name twice, or a place outside its directory.
    """
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise UserError(f"{path} is empty: expected one sequence name a line")
    seen: set[str] = set()
    for name in names:
        if name in (".", "..") or re.search(r"[/\\\0]", name):
            raise UserError(f"{path}: {name[:60]!r} is not the name of a folder next to it")
        if name in seen:
            raise UserError(f"{path}: names {name!r} twice")
        seen.add(name)
    return names


def valid(boxes_xywh: Float[np.ndarray, "t 4"]) -> Bool[np.ndarray, " t"]:
    """Which boxes are annotated and have a positive width and height."""
    return np.logical_and(np.isfinite(boxes_xywh).all(axis=1), (boxes_xywh[:, 2:] > 0).all(axis=1))


def _has_scores(text: str) -> bool:
    """Whether a fifth number follows each box: the score, `nan` in the first line, whose box was given.

    Without that `nan` five numbers may as well be a frame's or a class's number and a box.
    """
    first = [_as_blanks(line).split() for line in text[:200].splitlines()[:1]]
    return len(first) == 1 and len(first[0]) == 5 and first[0][4] == "nan"


def _as_blanks(text: str) -> str:
    """Commas and semicolons as blanks (tabs separate words anyway)."""
    return text.replace(",", " ").replace(";", " ")


def _whole(word: str) -> int:
    if word.isdecimal() and len(word) < 19:
        return int(word)
    number = float(word)  # such as 0.0
    if number % 1 or not -(2**31) < number < 2**31:  # infinite and NaN too
        raise ValueError(word)
    return int(number)
