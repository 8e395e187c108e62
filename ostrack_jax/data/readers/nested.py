"""TNL2K's and ITB's layouts (Wang et al. 2021, Li et al. 2021). Enters: a folder. Leaves: sequences, read lazily.

Each sequence is a folder with `groundtruth.txt`; it lies in the set's folder, or in one of the folders in there
(TNL2K's archives, ITB's scenarios). The pictures lie in `imgs` (TNL2K), or beside it or in its only folder (ITB).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation, valid
from ostrack_jax.data.frames import ImageFrames, is_image_file, list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

BOXES = "groundtruth.txt"

_log = logging.getLogger(__name__)


def open_tnl2k(directory: Path) -> LazySequences:
    """Every sequence of TNL2K (700 for testing) in ``directory`` or in the folders it holds, by name.

    Archives of the training sequences (`TNL2K_train_subset_p1`) beside those of the benchmark are left out, with a
    warning. ``directory`` itself may be one of them.

    Raises:
      UserError: there is none, none but training archives, or two of a name.
    """
    places = list(sequences_below(directory))
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
    return _open(directory, kept, "TNL2K", _read, "NAME/imgs/00001.jpg .. and NAME/groundtruth.txt, or folders of such")


def _is_training(archive: str) -> bool:
    return "train" in archive.lower() and "test" not in archive.lower()


def open_itb(directory: Path) -> LazySequences:
    """Every sequence of ITB (180, of 9 scenarios) in ``directory``, scenario by scenario, which is their category.

    Raises:
      UserError: there is none, or two of a name.
    """
    shape = "SCENARIO/NAME/00001.jpg .. and SCENARIO/NAME/groundtruth.txt"
    return _open(directory, sequences_below(directory), "ITB", _read_scene, shape)


def _open(
    directory: Path, places: Iterable[Path], what: str, read: Callable[[str, Path], Sequence], shape: str
) -> LazySequences:
    keys: dict[str, Path] = {}
    for place in places:
        if place.name in keys:
            raise UserError(f"two sequences named {place.name} in {directory}: {keys[place.name]} and {place}")
        keys[place.name] = place
    if not keys:
        raise UserError(f"no sequence of {what} in {directory}: expected {shape}")
    return LazySequences(keys, read)


def sequences_below(directory: Path) -> Iterator[Path]:
    """The folders with boxes, up to two levels below."""
    for place in (directory / entry.name for entry in list_directory(directory) if entry.is_dir()):
        if (place / BOXES).is_file():
            yield place
        else:
            inner = (place / entry.name for entry in list_directory(place) if entry.is_dir())
            yield from (path for path in inner if (path / BOXES).is_file())


def _read(name: str, place: Path) -> Sequence:
    pictures = list_images(_pictures(place))
    found = read_annotation(place / BOXES, pictures)
    visible = valid(found.boxes_xywh)
    return Sequence(name, ImageFrames(pictures[: len(visible)], "stored"), found.boxes_xywh, visible, flaws=found.flaws)


def _read_scene(name: str, place: Path) -> Sequence:
    return dataclasses.replace(_read(name, place), category=place.parent.name)


def _pictures(place: Path) -> Path:
    """Where a sequence's pictures lie: `imgs`, or beside its boxes, or the only folder there."""
    if (place / "imgs").is_dir():
        return place / "imgs"
    entries = list_directory(place)
    inner = [place / entry.name for entry in entries if entry.is_dir()]
    return inner[0] if len(inner) == 1 and not any(is_image_file(entry.name) for entry in entries) else place
