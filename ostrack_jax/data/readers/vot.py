"""VOT's short-term layouts of 2018 to 2022.

`list.txt` names the sequences; each is a directory with `groundtruth.txt`, images in `color/` or next to it, and flags
of what is hard in which frame (`occlusion.tag`).

A line of `groundtruth.txt` is a rectangle `x,y,width,height`, a polygon `x1,y1,x2,y2,x3,y3,...` (2018, 2019), a mask
`mX,Y,WIDTH,HEIGHT,RUNS` whose runs of zeros and ones by turns fill the rectangle row by row (2020 to 2022), or a single
number where there is no region; each becomes an upright box. Read from the format's description; none of the VOT
toolkit's code is here.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.annotations import FARTHEST, parse_rows, read_annotation, read_names
from ostrack_jax.data.frames import list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import OFFICIAL
from ostrack_jax.data.readers.common import annotated, first_that
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_text

YEARS = tuple(OFFICIAL["vot"])

Box = tuple[float, float, float, float]
NOWHERE: Box = (float("nan"), float("nan"), float("nan"), float("nan"))

_REGION = "a rectangle (4 numbers), a polygon (6 and more, even), a mask (m...) or one number"
_MOST = 2**31  # pixels of a mask, of a run: their sums stay exact


def open_vot(directory: Path, part: str = "2022") -> LazySequences:
    """The sequences of one year, in the order of its list.

    Args:
      directory: with `list.txt`; a toolkit workspace, whose `sequences` has it; or one with such named `vot2022`.
      part: the year, which names the subdirectory; the layouts are recognised.

    Raises:
      UserError: a directory named for another year.
    """
    roots = (directory / f"vot{part}", directory / f"VOT{part}", directory)
    places = [place for root in roots for place in (root, root / "sequences")]
    root = first_that(lambda place: (place / "list.txt").is_file(), places)
    if root is None:
        return LazySequences({}, functools.partial(_read, directory))
    named = re.findall("vot(20[0-9]{2})", directory.resolve().name, re.IGNORECASE)
    if root in (directory, directory / "sequences") and named and part not in named:
        raise UserError(f"{directory} is of VOT{named[0]} by its name: expected VOT{part}")
    names = read_names(root / "list.txt")
    return LazySequences(dict.fromkeys(names), functools.partial(_read, root))


def _read(root: Path, name: str, key: None) -> Sequence:
    """One sequence; frames whose region is unknown or empty have no box."""
    directory = root / name
    images = list_images(directory / "color" if (directory / "color").is_dir() else directory)
    found = read_annotation(directory / "groundtruth.txt", images, read=read_regions)
    return annotated(name, images, found, attributes=_tags(directory))


def _tags(directory: Path) -> tuple[str, ...]:
    """The attributes of a sequence: the names of its files of flags a frame that have one set."""
    files = [Path(entry) for entry in list_directory(directory) if entry.name.endswith((".tag", ".label"))]
    return tuple(path.stem.replace("_", " ") for path in files if "1" in read_text(path).split())


def read_regions(path: Path) -> Float[np.ndarray, "t 4"]:
    """A box for each line of a file: the smallest upright one around its region, NaN where there is none.

    Raises:
      UserError: the file is missing or empty, or a line is not a region.
    """
    return parse_rows(path, read_text(path), lambda line: box_around(line.strip()), _REGION)


def box_around(region: str) -> Box:
    """The smallest upright box around one region; a `ValueError` for anything else."""
    if region.startswith("m"):
        return _around_mask([int(word) for word in region[1:].split(",")])
    numbers = np.array([float(word) for word in region.split(",")])
    if len(numbers) == 1:
        return NOWHERE
    if len(numbers) < 4 or len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers")
    if (np.abs(numbers) > FARTHEST).any():
        raise ValueError("an infinite number")
    if np.isnan(numbers).any():
        return NOWHERE
    if len(numbers) == 4:
        x, y, width, height = numbers.tolist()
        return (x, y, width, height)
    points = numbers.reshape(-1, 2)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return (left, top, right - left, bottom - top)


def _around_mask(numbers: list[int]) -> Box:
    """From the runs alone: the mask is not drawn, since the file alone determines its size."""
    if len(numbers) < 4:
        raise ValueError("a mask without place and size")
    x, y, width, height = numbers[:4]
    if min(numbers[2:]) < 0 or max(map(abs, numbers)) > _MOST or width * height > _MOST:
        raise ValueError("an impossible place or size")
    ends = np.cumsum(np.array(numbers[4:], np.int64))
    if len(ends) and ends[-1] > width * height:
        raise ValueError("more pixels than its size has")
    starts, stops = ends[0::2][: len(ends) // 2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not len(starts):
        return NOWHERE
    rows, last_rows = starts // width, (stops - 1) // width
    wraps = last_rows > rows  # such a run has pixels in the first and in the last column
    left = 0 if wraps.any() else int((starts % width).min())
    right = width if wraps.any() else int(((stops - 1) % width).max()) + 1
    top, bottom = int(rows.min()), int(last_rows.max()) + 1
    return (float(x + left), float(y + top), float(right - left), float(bottom - top))
