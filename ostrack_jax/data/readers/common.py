"""Functions that readers of several layouts share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ostrack_jax.data.annotations import Annotation, valid
from ostrack_jax.data.frames import ImageFrames, list_directory
from ostrack_jax.data.lists.published import Row
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, listed

Item = TypeVar("Item", str, Row)

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


def by_name(what: str, directory: Path, places: Iterable[Path], shape: str) -> dict[str, Path]:
    """The directories of sequences by their name.

    Raises:
      UserError: there is none, or two have one name.
    """
    found: dict[str, Path] = {}
    for place in places:
        if place.name in found:
            raise UserError(f"two sequences named {place.name} in {directory}: {found[place.name]} and {place}")
        found[place.name] = place
    if not found:
        raise UserError(f"no sequence of {what} in {directory}: expected {shape}")
    return found


def those_there(
    what: str, directory: Path, published: Iterable[Item], is_there: Callable[[Item], bool], shape: str
) -> list[Item]:
    """The published sequences that lie in ``directory``, in the list's order; logs a warning where some do not.

    Args:
      what: the set, for messages; ``directory`` too.
      published: names or rows.
      is_there: whether one of them lies there.
      shape: of the set's directory, in words.

    Raises:
      UserError: none is there.
    """
    published = list(published)
    found = [item for item in published if is_there(item)]
    if not found:
        raise UserError(f"no sequence of {what} in {directory}: expected {shape}")
    warn_of_absent(what, directory, list(map(_name, published)), set(map(_name, found)))
    return found


def warn_of_absent(what: str, directory: Path, published: list[str], found: Collection[str]) -> None:
    """Log how many of the published names are not ``found``, and some of them; nothing where all are."""
    if absent := [name for name in published if name not in found]:
        there, every = len(published) - len(absent), len(published)
        _log.warning(
            "%s in %s: %d of the %d sequences are there, not %s", what, directory, there, every, listed(absent)
        )


def between(images: list[str], first: int, last: int) -> list[str]:
    """Of a video's images those numbered from ``first`` to ``last``.

    Raises:
      UserError: one of the numbers is missing, and boxes after it would belong to other images; or there is no number
        between.
    """
    by_number = {number(path): path for path in images}
    place = Path(images[0]).parent if images else Path()
    if last < first:
        raise UserError(f"no images from {first} to {last} in {place}: expected a first number and a last one")
    found = sum(first <= i <= last for i in by_number)  # the numbers are a file's: they are not counted through
    if missing := last - first + 1 - found:
        gone = next(i for i in range(first, last + 1) if i not in by_number)
        raise UserError(
            f"no images {gone}{' and others' if missing > 1 else ''} in {place} ({missing} missing): "
            f"expected {first} to {last}"
        )
    return [by_number[i] for i in range(first, last + 1)]


def number(path: str) -> int:
    """The number an image is named by; -1 where its name is none."""
    stem = Path(path).stem
    return int(stem) if stem.isdecimal() else -1


def _name(item: str | Row) -> str:
    return item.name if isinstance(item, Row) else item
