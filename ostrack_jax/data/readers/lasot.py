"""LaSOT's layout (Fan et al. 2019, 2021).

Each sequence is a directory `class-N` with `img/`, `groundtruth.txt`, `full_occlusion.txt` and `out_of_view.txt`; they
lie in directories of their class, or side by side.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation
from ostrack_jax.data.frames import list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import read_published
from ostrack_jax.data.readers.common import annotated, first_that, subdirectories, those_there, warn_of_absent
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

LABELS = ("full_occlusion.txt", "out_of_view.txt")


def open_lasot(directory: Path, part: str = "train", split: str = "all") -> LazySequences:
    """The sequences of one part.

    Args:
      directory: of the classes, or of the sequences themselves.
      part: test, the published 280; or train, all others.
      split: all, what there is of the part; or a complete published list, whatever the part: train (1,120), test (280)

    Raises:
      UserError: an unknown split.
    """
    if split != "all":
        names = read_published(f"lasot_{split}")
        if not any(find_sequence(directory, name) for name in names):
            names = []
    else:
        published = read_published("lasot_test")
        names = [name for name in _list(directory) if (name in published) == (part == "test")]
        if part == "test":
            warn_of_absent("LaSOT's test part", directory, published, names)
    return LazySequences(dict.fromkeys(names), functools.partial(_read, directory))


def open_lasot_ext(directory: Path) -> LazySequences:
    """The 150 sequences of LaSOT's extension (15 new classes, for testing alone), those that are there.

    Args:
      directory: of the classes, or of the sequences themselves.
    """

    def is_there(name: str) -> bool:
        return find_sequence(directory, name) is not None

    names = those_there("LaSOT_ext", directory, dict.fromkeys(read_published("lasot_ext")), is_there)
    return LazySequences(names, functools.partial(_read, directory))


def find_sequence(directory: Path, name: str) -> Path | None:
    """The directory of a sequence: in its class's directory, or next to the others."""
    return first_that(Path.is_dir, (directory / name.rpartition("-")[0] / name, directory / name))


def _list(directory: Path) -> list[str]:
    """The sequences that are there, in either place, numbers counting as numbers."""
    names = {}
    for place in subdirectories(directory):
        if _is_name(place.name):
            names[place.name] = None
        else:
            inner = (path.name for path in subdirectories(place))
            names |= dict.fromkeys(name for name in inner if _is_name(name) and name.rpartition("-")[0] == place.name)
    return list(names)


def _is_name(name: str) -> bool:
    return re.fullmatch(r".+-\d+", name) is not None


def _read(root: Path, name: str, key: None) -> Sequence:
    """One sequence; visible are frames neither fully occluded nor out of view with a valid box."""
    directory = find_sequence(root, name)
    if directory is None:
        fix = "its folder is missing: unpack its archive again, or remove it from the list"
        raise UserError(f"no folder of the sequence {name} in {root}: expected CLASS/{name} or {name}", fix)
    images = list_images(directory / "img")
    found = read_annotation(directory / "groundtruth.txt", images, LABELS)
    present, category = found.unflagged(), name.rpartition("-")[0]
    return annotated(name, images, found, present, missing=found.missing, present=present, category=category)
