"""TNL2K's layout (Wang et al. 2021), also ITB's (Li et al. 2021).

Each sequence is a directory with `groundtruth.txt`; it lies in the set's directory, or in one of the directories in
there (TNL2K's archives, ITB's scenarios). The images lie in `imgs` (TNL2K), next to it or in its only directory (ITB).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation
from ostrack_jax.data.frames import is_image_file, list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.common import annotated, by_name, subdirectories
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

BOXES = "groundtruth.txt"

_log = logging.getLogger(__name__)


def open_tnl2k(directory: Path) -> LazySequences:
    """Every sequence of TNL2K (700 for testing) in ``directory`` or in the directories it holds, by name.

    Archives of the training sequences (`TNL2K_train_subset_p1`) next to those of the benchmark are left out, with a
    warning. ``directory`` itself may be one of them.

    Raises:
      UserError: there are none but training archives, or two sequences of a name.
    """
    places = list(_sequences_below(directory))
    training = {place.parent for place in places if place.parent != directory and _is_training(place.parent.name)}
    kept = [place for place in places if place.parent not in training]
    if training:
        named = ", ".join(sorted(place.name for place in training))
        if not kept:
            raise UserError(
                f"{directory} holds TNL2K's training sequences alone ({named}): expected those for testing, "
                "TNL2K_test_subset; to train on one of these folders, give it itself"
            )
        _log.warning("TNL2K in %s: the training sequences in %s are left out", directory, named)
    return LazySequences(by_name(directory, ((place.name, place) for place in kept)), _read)


def open_itb(directory: Path) -> LazySequences:
    """Every sequence of ITB (180, of 9 scenarios) in ``directory``, scenario by scenario, which is their category.

    Raises:
      UserError: there are two of a name.
    """
    places = _sequences_below(directory)
    return LazySequences(by_name(directory, ((place.name, place) for place in places)), _read_scene)


def _is_training(archive: str) -> bool:
    return "train" in archive.lower() and "test" not in archive.lower()


def _sequences_below(directory: Path) -> Iterator[Path]:
    """The directories with boxes, up to two levels below."""
    for place in subdirectories(directory):
        if (place / BOXES).is_file():
            yield place
        else:
            yield from (inner for inner in subdirectories(place) if (inner / BOXES).is_file())


def _read(name: str, place: Path) -> Sequence:
    images = list_images(_images(place))
    return annotated(name, images, read_annotation(place / BOXES, images))


def _read_scene(name: str, place: Path) -> Sequence:
    return dataclasses.replace(_read(name, place), category=place.parent.name)


def _images(place: Path) -> Path:
    """Where a sequence's images lie: `imgs`, or next to its boxes, or the only directory there."""
    if (place / "imgs").is_dir():
        return place / "imgs"
    entries = list_directory(place)
    inner = [place / entry.name for entry in entries if entry.is_dir()]
    return inner[0] if len(inner) == 1 and not any(is_image_file(entry.name) for entry in entries) else place
