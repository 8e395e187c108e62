"""What is known of the layouts on disk. Enters: a folder. Leaves: whose layout it has, or how to mend it.

`ostrack doctor` and `ostrack data check` both ask here.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ostrack_jax.datasets.lasot import places
from ostrack_jax.datasets.packed import is_packed
from ostrack_jax.datasets.trackingnet import CHUNKS
from ostrack_jax.doctor.finding import Finding

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_FEW = 200  # entries of a folder that are looked at to tell what it is


@dataclass(frozen=True)
class Layout:
    """One set's layout.

    Attributes:
      reader: its name in `ostrack_jax.datasets.readers`.
      shape: what the folder holds, in words.
      looks: whether a folder is of this layout, by a few looks.
      official: sequences of the official set by part; of a set without parts, by the empty name.
      homes: where a sequence of a list may lie in the folder, for sets with lists.
      slow: it takes minutes to open the first time.
    """

    reader: str
    shape: str
    looks: Callable[[Path], bool]
    official: Mapping[str, int] = field(default_factory=dict)
    homes: Callable[[Path, str], tuple[Path, ...]] | None = None
    slow: bool = False

    def whole(self, part: str) -> int | None:
        """Sequences of the official part, None where that is not known."""
        return self.official.get(part, self.official.get(""))

    def parts(self, folder: Path) -> dict[str, Path]:
        """The parts that may lie in ``folder``, each with its own folder."""
        if self.reader != "got10k":
            return dict.fromkeys(self.official, folder)
        inside = {part: folder / part for part in self.official if (folder / part / "list.txt").is_file()}
        return inside or {folder.name if folder.name in self.official else "train": folder}


def _got10k(folder: Path) -> bool:
    return any((folder / part / "list.txt").is_file() for part in (".", "train", "val", "test"))


def _lasot(folder: Path) -> bool:
    def is_sequence(path: Path, of: str = "") -> bool:
        name, _, number = path.name.rpartition("-")
        return bool(name) and of in ("", name) and number.isdecimal() and (path / "img").is_dir()

    return any(
        is_sequence(path) or any(is_sequence(inner, path.name) for inner in _folders(path)) for path in _folders(folder)
    )


def _trackingnet(folder: Path) -> bool:
    chunks = ("TEST", *(f"TRAIN_{number}" for number in range(CHUNKS)))
    return any((folder / chunk / "anno").is_dir() for chunk in chunks) or all(
        (folder / inner).is_dir() for inner in ("anno", "frames")
    )


def _coco(folder: Path) -> bool:
    return next((folder / "annotations").glob("instances_*.json"), None) is not None


def _vid(folder: Path) -> bool:
    return any((folder / inner / "Annotations" / "VID").is_dir() for inner in (".", "ILSVRC", "ILSVRC2015"))


def _otb(folder: Path) -> bool:
    return any(next(path.glob("groundtruth_rect*.txt"), None) is not None for path in _folders(folder))


LAYOUTS = {
    layout.reader: layout
    for layout in (
        Layout(
            "got10k",
            "list.txt and a folder for each name in it, or train/, val/, test/ of such",
            _got10k,
            {"train": 9335, "val": 180, "test": 180},
            lambda folder, name: (folder / name,),
        ),
        Layout(
            "lasot",
            "class/class-N/img or class-N/img",
            _lasot,
            {"train": 1120, "test": 280},
            lambda folder, name: tuple(folder / place for place in places(name)),
        ),
        Layout(
            "trackingnet",
            "TRAIN_0 .. TRAIN_11 and TEST, each with anno/NAME.txt and frames/NAME/0.jpg ..",
            _trackingnet,
            {"train": 30_132, "test": 511},
        ),
        Layout("coco", "annotations/instances_*.json and images/train2017 or train2017", _coco, slow=True),
        Layout("vid", "Data/VID and Annotations/VID", _vid, slow=True),
        Layout("otb", "NAME/img and NAME/groundtruth_rect.txt", _otb, {"": 100}),
    )
}


def recognise(folder: Path) -> list[Layout]:
    """The layouts that ``folder`` itself has."""
    return [layout for layout in LAYOUTS.values() if layout.looks(folder)]


def why_not(reader: str, folder: Path, error: Exception) -> Finding:
    """What a reader's refusal of a folder comes from, as far as a look around tells, and what would mend it."""
    if is_packed(folder):
        return Finding("wrong", str(error))
    layout = LAYOUTS.get(reader)
    others = [other.reader for other in recognise(folder) if other.reader != reader]
    better = _elsewhere(layout, folder) if layout and not layout.looks(folder) else None
    if better is not None:
        fix = f"{better} looks like it: give that folder"
    elif archives := find_archives(folder):
        fix = f"unpack the {len(archives)} archives there ({', '.join(archives[:3])}{', ...' if archives[3:] else ''})"
    elif others:
        fix = f"it looks like {' and '.join(others)}: give that name"
    else:
        fix = f"expected {layout.shape}" if layout else ""
    return Finding("wrong", str(error), fix)


def find_archives(folder: Path) -> list[str]:
    """Archives in a folder and, by their folder's name, in the folders it holds: files not unpacked yet."""
    return sorted(
        os.path.relpath(entry.path, folder)
        for place in (folder, *_folders(folder))
        for entry in _entries(place)
        if entry.name.lower().endswith(_ARCHIVES)
    )


def _elsewhere(layout: Layout, folder: Path) -> Path | None:
    """A folder near by that has the layout: up to two below, or above."""
    below = (path for inner in _folders(folder) for path in (inner, *_folders(inner)))
    above = itertools.islice(folder.resolve().parents, 2)
    return next((path for path in itertools.chain(below, above) if layout.looks(path)), None)


def _folders(folder: Path) -> Iterator[Path]:
    """Some of the folders in ``folder``."""
    return (folder / entry.name for entry in _entries(folder) if not entry.name.startswith(".") and entry.is_dir())


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(itertools.islice(entries, _FEW))
    except OSError:  # not ours to read
        return []
