"""What is known of the layouts on disk. Enters: a folder. Leaves: whose layout it has, or how to mend it.

`ostrack doctor` and `ostrack data check` both ask here.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ostrack_jax.data.lists.published import OFFICIAL, read_published, read_table
from ostrack_jax.data.packed.reader import is_packed
from ostrack_jax.data.readers import nfs, otb, uav
from ostrack_jax.data.readers.lasot import find_sequence
from ostrack_jax.data.readers.trackingnet import CHUNKS
from ostrack_jax.data.readers.vot import YEARS
from ostrack_jax.doctor.finding import Finding

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_FEW = 200  # entries of a folder that are looked at to tell what it is


@dataclass(frozen=True)
class Layout:
    """One set's layout.

    Attributes:
      reader: its name in `ostrack_jax.data.readers.registry`.
      shape: what the folder holds, in words.
      looks: whether a folder is of this layout, by a few looks.
      homes: where a sequence of a list may lie in the folder, for sets with lists.
      slow: it takes minutes to open the first time.
    """

    reader: str
    shape: str
    looks: Callable[[Path], bool]
    homes: Callable[[Path, str], tuple[Path, ...]] | None = None
    slow: bool = False

    @property
    def official(self) -> Mapping[str, int]:
        """Sequences of the official set by part; of a set without parts, by the empty name."""
        return OFFICIAL.get(self.reader, {})

    def parts(self, directory: Path) -> dict[str, Path]:
        """The parts that may lie in ``directory``, each with its own folder."""
        if self.reader == "vot":  # only names tell the years apart
            years = [year for year in YEARS if year in directory.name or (directory / f"vot{year}").is_dir()]
            return dict.fromkeys(years or [max(YEARS)], directory)
        if self.reader != "got10k":
            return dict.fromkeys(self.official, directory)
        inside = {part: directory / part for part in self.official if (directory / part / "list.txt").is_file()}
        return inside or {directory.name if directory.name in self.official else "train": directory}


def _got10k(directory: Path) -> bool:
    return any((directory / part / "list.txt").is_file() for part in (".", "train", "val", "test")) and not _vot(
        directory
    )


def _vot(directory: Path) -> bool:
    inner = [directory / f"vot{year}" for year in YEARS]
    roots = [root for place in (directory, *inner) for root in (place, place / "sequences")]
    return any(
        (path / "color").is_dir() or (path / "sequence").is_file()
        for root in roots
        if (root / "list.txt").is_file()
        for path in _folders(root)
    )


def _lasot(directory: Path) -> bool:
    return bool(_lasot_classes(directory) - _extension())


def _lasot_ext(directory: Path) -> bool:
    return bool(_lasot_classes(directory) & _extension())


def _lasot_classes(directory: Path) -> set[str]:
    """The classes of the sequences that lie side by side, or in folders of their class."""

    def class_of(path: Path) -> str:
        name, _, number = path.name.rpartition("-")
        return name if number.isdecimal() and (path / "img").is_dir() else ""

    found = {class_of(path) for path in _folders(directory)}
    found |= {
        path.name for path in _folders(directory) if any(class_of(inner) == path.name for inner in _folders(path))
    }
    return found - {""}


def _trackingnet(directory: Path) -> bool:
    chunks = ("TEST", *(f"TRAIN_{number}" for number in range(CHUNKS)))
    return any((directory / chunk / "anno").is_dir() for chunk in chunks) or all(
        (directory / inner).is_dir() for inner in ("anno", "frames")
    )


def _coco(directory: Path) -> bool:
    return next((directory / "annotations").glob("instances_*.json"), None) is not None


def _vid(directory: Path) -> bool:
    return any((directory / inner / "Annotations" / "VID").is_dir() for inner in (".", "ILSVRC", "ILSVRC2015"))


@functools.cache
def _extension() -> set[str]:
    """The classes of LaSOT's extension, none of which is LaSOT's."""
    return {name.rpartition("-")[0] for name in read_published("lasot_ext")}


def _nfs(directory: Path) -> bool:
    rates = any((path / part / path.name).is_dir() for path in _folders(directory) for part in nfs.PARTS)
    return rates or ((directory / "sequences").is_dir() and (directory / "anno").is_dir())


def _uav(directory: Path) -> bool:
    return any((place / videos).is_dir() for place in uav.roots(directory) for videos in uav.VIDEOS.values())


def _uavdt(directory: Path) -> bool:
    names = {row.name for row in read_table("uavdt")}
    return any(path.name in names for place in uav.UAVDT_VIDEOS for path in _folders(directory / place))


def _tc128(directory: Path) -> bool:
    roots = (directory, directory / "Temple-color-128")
    return any(next(path.glob("*_gt.txt"), None) is not None for root in roots for path in _folders(root))


def _tnl2k(directory: Path) -> bool:
    return any(
        (path / "imgs").is_dir() or any((inner / "imgs").is_dir() for inner in _folders(path))
        for path in _folders(directory)
    )


def _itb(directory: Path) -> bool:
    """By its name, too: any folder of folders of sequences looks like it."""
    nested = (inner for path in _folders(directory) for inner in _folders(path))
    return "itb" in directory.name.lower() and any((inner / "groundtruth.txt").is_file() for inner in nested)


def _otb(directory: Path) -> bool:
    there = any(next(path.glob("groundtruth_rect*.txt"), None) is not None for path in _folders(directory))
    return there and not _dtb70(directory)


def _dtb70(directory: Path) -> bool:
    """OTB's layout with names that are not OTB's."""
    names = {row.name for row in read_table("dtb70")} - {row.name for row in read_table("otb")}
    return any((path / "img").is_dir() and path.name in names for path in _folders(directory))


LAYOUTS = {
    layout.reader: layout
    for layout in (
        Layout(
            "got10k",
            "list.txt and a folder for each name in it, or train/, val/, test/ of such",
            _got10k,
            lambda directory, name: (directory / name,),
        ),
        Layout(
            "lasot",
            "class/class-N/img or class-N/img",
            _lasot,
            lambda directory, name: tuple(filter(None, [find_sequence(directory, name)])),
        ),
        Layout(
            "trackingnet",
            "TRAIN_0 .. TRAIN_11 and TEST, each with anno/NAME.txt and frames/NAME/0.jpg ..",
            _trackingnet,
        ),
        Layout("coco", "annotations/instances_*.json and images/train2017 or train2017", _coco, slow=True),
        Layout("vid", "Data/VID and Annotations/VID", _vid, slow=True),
        Layout("otb", otb.SHAPE, _otb),
        Layout("dtb70", f"{otb.SHAPE}, named as DTB70's 70", _dtb70),
        Layout("lasot_ext", "class/class-N/img or class-N/img, of its 15 classes", _lasot_ext),
        Layout("nfs", nfs.SHAPE, _nfs),
        Layout("uav", uav.SHAPE, _uav),
        Layout("uavdt", uav.UAVDT_SHAPE, _uavdt),
        Layout("tnl2k", "NAME/imgs and NAME/groundtruth.txt, or folders of such", _tnl2k),
        Layout("tc128", "NAME/img, NAME/NAME_gt.txt and NAME/NAME_frames.txt", _tc128),
        Layout("itb", "SCENARIO/NAME with pictures and groundtruth.txt", _itb),
        Layout("vot", "list.txt and for each name in it NAME/color and NAME/groundtruth.txt", _vot),
    )
}


def recognise(directory: Path) -> list[Layout]:
    """The layouts that ``directory`` itself has."""
    return [layout for layout in LAYOUTS.values() if layout.looks(directory)]


def why_not(reader: str, directory: Path, error: Exception) -> Finding:
    """What a reader's refusal of a folder comes from, as far as a look around tells, and what would mend it."""
    if is_packed(directory):
        return Finding("wrong", str(error))
    layout = LAYOUTS.get(reader)
    others = [other.reader for other in recognise(directory) if other.reader != reader]
    better = _elsewhere(layout, directory) if layout and not layout.looks(directory) else None
    if better is not None:
        fix = f"{better} looks like it: give that folder"
    elif archives := find_archives(directory):
        fix = f"unpack the {len(archives)} archives there ({', '.join(archives[:3])}{', ...' if archives[3:] else ''})"
    elif others:
        fix = f"it looks like {' and '.join(others)}: give that name"
    else:
        fix = f"expected {layout.shape}" if layout else ""
    return Finding("wrong", str(error), fix)


def find_archives(directory: Path) -> list[str]:
    """Archives in a folder and, by their folder's name, in the folders it holds: files not unpacked yet."""
    return sorted(
        os.path.relpath(entry.path, directory)
        for place in (directory, *_folders(directory))
        for entry in _entries(place)
        if entry.name.lower().endswith(_ARCHIVES)
    )


def _elsewhere(layout: Layout, directory: Path) -> Path | None:
    """A folder near by that has the layout: up to two below, or above."""
    below = (path for inner in _folders(directory) for path in (inner, *_folders(inner)))
    above = itertools.islice(directory.resolve().parents, 2)
    return next((path for path in itertools.chain(below, above) if layout.looks(path)), None)


def _folders(directory: Path) -> Iterator[Path]:
    """Some of the folders in ``directory``."""
    return (
        directory / entry.name for entry in _entries(directory) if not entry.name.startswith(".") and entry.is_dir()
    )


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(itertools.islice(entries, _FEW))
    except OSError:  # not ours to read
        return []
