"""Functions that readers of several layouts share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ostrack_jax.data.annotations import Annotation, valid
from ostrack_jax.data.frames import ImageFrames, list_directory
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, listed

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


def annotated(
    name: str, images: list[str], found: Annotation, unhidden: np.ndarray | None = None, **details: Any
) -> Sequence:
    """A sequence of image files, read as stored, with boxes from ``found``.

    Args:
      name: of the sequence.
      images: their paths; those after the last box are left out.
      found: the annotation.
      unhidden: frames whose target is there by the labels, a flag for each box; None: all.
      details: more fields of the sequence.
    """
    visible = valid(found.boxes_xywh)
    if unhidden is not None:
        visible &= unhidden
    frames = ImageFrames(images[: len(visible)], "stored")
    return Sequence(name, frames, found.boxes_xywh, visible, flaws=found.flaws, **details)


def subdirectories(directory: Path) -> list[Path]:
    """The directories in ``directory``, sorted; a `UserError` where it cannot be listed."""
    return [directory / entry.name for entry in list_directory(directory) if entry.is_dir()]


def first_that(is_right: Callable[[Path], bool], places: Iterable[Path]) -> Path | None:
    """The first of ``places`` that ``is_right``."""
    return next((place for place in places if is_right(place)), None)


def by_name(directory: Path, found: Iterable[tuple[str, Item]]) -> dict[str, Item]:
    """What is ``found`` in a set's directory, by its sequence's name; a `UserError` where two have one name."""
    items: dict[str, Item] = {}
    for name, item in found:
        if name in items:
            raise UserError(f"two sequences named {name} in {directory}: expected each name once")
        items[name] = item
    return items


def those_there(
    what: str, directory: Path, published: Mapping[str, Item], is_there: Callable[[str], bool]
) -> dict[str, Item]:
    """The published sequences that lie in ``directory``, in the list's order; logs a warning where some do not.

    Args:
      what: the set, for the message; ``directory`` too.
      published: by name.
      is_there: whether the sequence of a name lies there.
    """
    found = {name: item for name, item in published.items() if is_there(name)}
    warn_of_absent(what, directory, published, found)
    return found


def warn_of_absent(what: str, directory: Path, published: Collection[str], found: Collection[str]) -> None:
    """Log how many of the published names are not ``found``, and some of them; nothing where all are, or none is."""
    absent = [name for name in published if name not in found]
    if absent and found:
        there, every = len(published) - len(absent), len(published)
        _log.warning(
            "%s in %s: %d of the %d sequences are there, not %s", what, directory, there, every, listed(absent)
        )


def between(images: list[str], first: int, last: int) -> list[str]:
    """Of a video's images those numbered from ``first`` to ``last``.

    Raises:
      UserError: one of the numbers is missing: boxes after it would belong to other images; or there is none between.
    """
    by_number, wanted = {number(path): path for path in images}, range(first, last + 1)
    gone = next((i for i in wanted if i not in by_number), None if wanted else first)
    if gone is not None:
        raise UserError(f"no image {gone} in {Path(images[0]).parent}: expected {first} to {last}")
    return [by_number[i] for i in wanted]


def number(path: str) -> int:
    """The number an image is named by; -1 where its name is none."""
    stem = Path(path).stem
    return int(stem) if stem.isdecimal() else -1
