"""LaSOT's layout (Fan et al. 2019, 2021). Enters: its folder, a part, a split. Leaves: sequences, read lazily.

Each sequence is a folder `class-N` with `img/`, `groundtruth.txt`, `full_occlusion.txt` and `out_of_view.txt`; they lie
in folders of their class, or side by side.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np

from ostrack_jax.data.annotations import read_annotation, valid
from ostrack_jax.data.frames import ImageFrames, list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import read_published
from ostrack_jax.data.lists.tables import there, warn_of_absent
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown

PARTS = ("train", "test")
SPLITS = ("all", *PARTS)
LABELS = ("full_occlusion.txt", "out_of_view.txt")


def open_lasot(directory: Path, part: str = "train", split: str = "all") -> LazySequences:
    """The sequences of one part.

    Args:
      directory: of the classes, or of the sequences themselves.
      part: test, the published 280; or train, all others.
      split: all, what there is of the part; or a published list whole, whatever the part: train (1,120) | test (280).

    Raises:
      UserError: an unknown part or split, a folder without any of their sequences.
    """
    if part not in PARTS:
        raise unknown("part of LaSOT", part, PARTS)
    if split not in SPLITS:
        raise unknown("split of LaSOT", split, SPLITS)
    if split != "all":
        names = read_published(f"lasot_{split}")
        if not any((directory / place).is_dir() for name in names for place in places(name)):
            raise UserError(
                f"no sequence of LaSOT's {split} list in {directory}: expected folders as {_such(names[0])}"
            )
        return LazySequences(dict.fromkeys(names), functools.partial(_read, directory))
    listed = read_published("lasot_test")
    test = set(listed)
    names = [name for name in _list(directory) if (name in test) == (part == "test")]
    if not names:
        raise UserError(f"no sequence of LaSOT's {part} part in {directory}: expected folders as {_such('cat-1')}")
    if part == "test":
        warn_of_absent("LaSOT's test part", directory, listed, names)
    return LazySequences(dict.fromkeys(names), functools.partial(_read, directory))


def open_lasot_ext(directory: Path) -> LazySequences:
    """The 150 sequences of LaSOT's extension (15 new classes, for testing alone), those that are there.

    Args:
      directory: of the classes, or of the sequences themselves.

    Raises:
      UserError: none of the sequences is there.
    """

    def is_there(name: str) -> bool:
        return any((directory / place).is_dir() for place in places(name))

    names = there("LaSOT_ext", directory, read_published("lasot_ext"), is_there, f"folders as {_such('atv-1')}")
    return LazySequences(dict.fromkeys(names), functools.partial(_read, directory))


def places(name: str) -> tuple[str, str]:
    """Where a sequence may lie: in its class's folder, or beside the others."""
    return f"{name.rpartition('-')[0]}/{name}", name


def _such(name: str) -> str:
    return " or ".join(f"{place}/img" for place in places(name))


def _list(directory: Path) -> list[str]:
    """The sequences that are there, in either place, numbers counting as numbers."""
    names = {}
    for entry in list_directory(directory):
        if not entry.is_dir():
            continue
        if _is_name(entry.name):
            names[entry.name] = None
            continue
        for inner in list_directory(directory / entry.name):
            if _is_name(inner.name) and inner.name.rpartition("-")[0] == entry.name and inner.is_dir():
                names[inner.name] = None
    return list(names)


def _is_name(name: str) -> bool:
    return re.fullmatch(r".+-\d+", name) is not None


def _read(root: Path, name: str, key: None) -> Sequence:
    """One sequence; visible is what is neither fully occluded nor out of view and has a valid box."""
    directory = next((root / place for place in places(name) if (root / place).is_dir()), None)
    if directory is None:
        raise UserError(f"no folder of the sequence {name} in {root}: expected {_such(name)}")
    pictures = list_images(directory / "img")
    found = read_annotation(directory / "groundtruth.txt", pictures, LABELS)
    present = np.ones(len(found.boxes_xywh), bool)
    for label in found.labels.values():
        present &= label == 0
    return Sequence(
        name,
        ImageFrames(pictures[: len(present)], "stored"),
        found.boxes_xywh,
        present & valid(found.boxes_xywh),
        flaws=found.flaws,
        missing=found.missing,
        present=present if found.labels else None,
        category=name.rpartition("-")[0],
    )
