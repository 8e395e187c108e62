"""VOT's short-term layouts of 2018 to 2022. Enters: a folder, a year. Leaves: sequences, read lazily.

`list.txt` names the sequences; each is a folder with `groundtruth.txt` (a region a line, see `regions`), pictures in
`color/` or beside it, and flags of what is hard in which frame (`occlusion.tag`). Polygons (2018, 2019), masks (2020,
2021, 2022) and rectangles become upright boxes.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation, read_names, valid
from ostrack_jax.data.frames import ImageFrames, list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import OFFICIAL
from ostrack_jax.data.regions import read_regions
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown
from ostrack_jax.io import read_text

YEARS = tuple(OFFICIAL["vot"])


def open_vot(directory: Path, part: str = "2022") -> LazySequences:
    """The sequences of one year, in the order of its list.

    Args:
      directory: with `list.txt`; a toolkit workspace, whose `sequences` has it; or one with such named `vot2022`.
      part: the year, which says where to look: the layouts tell themselves apart.

    Raises:
      UserError: an unknown year, no `list.txt`, a folder named by another year.
    """
    if part not in YEARS:
        raise unknown("part of VOT", part, YEARS)
    roots = (directory / f"vot{part}", directory / f"VOT{part}", directory)
    places = [place for root in roots for place in (root, root / "sequences")]
    root = next((place for place in places if (place / "list.txt").is_file()), None)
    if root is None:
        raise UserError(f"no list.txt in {directory}, its vot{part} or their sequences: expected VOT{part}")
    named = re.findall("vot(20[0-9]{2})", directory.resolve().name, re.IGNORECASE)
    if root in (directory, directory / "sequences") and named and part not in named:
        raise UserError(f"{directory} is of VOT{named[0]} by its name: expected VOT{part}")
    names = read_names(root / "list.txt")
    return LazySequences(dict.fromkeys(names), functools.partial(_read, root))


def _read(root: Path, name: str, key: None) -> Sequence:
    """One sequence; frames whose region is unknown or empty have no box."""
    directory = root / name
    pictures = list_images(directory / "color" if (directory / "color").is_dir() else directory)
    found = read_annotation(directory / "groundtruth.txt", pictures, read=read_regions)
    visible = valid(found.boxes_xywh)
    return Sequence(
        name,
        ImageFrames(pictures[: len(visible)], "stored"),
        found.boxes_xywh,
        visible,
        flaws=found.flaws,
        attributes=_tags(directory),
    )


def _tags(directory: Path) -> tuple[str, ...]:
    """What is hard in some frame of a sequence, by the names of its files of flags a frame."""
    files = [Path(entry) for entry in list_directory(directory) if entry.name.endswith((".tag", ".label"))]
    return tuple(path.stem.replace("_", " ") for path in files if "1" in read_text(path).split())
