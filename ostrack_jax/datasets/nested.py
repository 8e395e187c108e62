"""TNL2K's and ITB's layouts (Wang et al. 2021, Li et al. 2021). Enters: a folder. Leaves: sequences, read lazily.

Each sequence is a folder with `groundtruth.txt`; it lies in the set's folder, or in one of the folders in there
(TNL2K's archives, ITB's scenarios). The pictures lie in `imgs` (TNL2K), or beside it or in its only folder (ITB).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from ostrack_jax.datasets.annotations import read_annotation, valid
from ostrack_jax.datasets.frames import PictureFrames, is_picture, list_folder, list_pictures
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.sequence import Sequence
from ostrack_jax.errors import UserError

BOXES = "groundtruth.txt"


def open_tnl2k(folder: Path) -> LazySequences:
    """Every sequence of TNL2K (700 for testing) in ``folder`` or in the folders it holds, by name.

    Raises:
      UserError: there is none, or two of a name.
    """
    return _open(folder, "TNL2K", _read, "NAME/imgs/00001.jpg .. and NAME/groundtruth.txt, or folders of such")


def open_itb(folder: Path) -> LazySequences:
    """Every sequence of ITB (180, of 9 scenarios) in ``folder``, scenario by scenario, which is their category.

    Raises:
      UserError: there is none, or two of a name.
    """
    return _open(folder, "ITB", _read_scene, "SCENARIO/NAME/00001.jpg .. and SCENARIO/NAME/groundtruth.txt")


def _open(folder: Path, what: str, read: Callable[[str, Path], Sequence], shape: str) -> LazySequences:
    keys: dict[str, Path] = {}
    for place in sequences_below(folder):
        if place.name in keys:
            raise UserError(f"two sequences named {place.name} in {folder}: {keys[place.name]} and {place}")
        keys[place.name] = place
    if not keys:
        raise UserError(f"no sequence of {what} in {folder}: expected {shape}")
    return LazySequences(keys, read)


def sequences_below(folder: Path) -> Iterator[Path]:
    """The folders with boxes, up to two levels below."""
    for place in (folder / entry.name for entry in list_folder(folder) if entry.is_dir()):
        if (place / BOXES).is_file():
            yield place
        else:
            inner = (place / entry.name for entry in list_folder(place) if entry.is_dir())
            yield from (path for path in inner if (path / BOXES).is_file())


def _read(name: str, place: Path) -> Sequence:
    pictures = list_pictures(_pictures(place))
    found = read_annotation(place / BOXES, len(pictures))
    visible = valid(found.boxes_xywh)
    return Sequence(name, PictureFrames(pictures[: len(visible)]), found.boxes_xywh, visible, flaws=found.flaws)


def _read_scene(name: str, place: Path) -> Sequence:
    return dataclasses.replace(_read(name, place), category=place.parent.name)


def _pictures(place: Path) -> Path:
    """Where a sequence's pictures lie: `imgs`, or beside its boxes, or the only folder there."""
    if (place / "imgs").is_dir():
        return place / "imgs"
    entries = list_folder(place)
    inner = [place / entry.name for entry in entries if entry.is_dir()]
    return inner[0] if len(inner) == 1 and not any(is_picture(entry.name) for entry in entries) else place
