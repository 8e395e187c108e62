"""Recognise the layout of a data set on disk by a few of its files.

`ostrack doctor` finds data sets so, `ostrack data check` names what would mend a directory that a reader refuses.
"""

from __future__ import annotations

import fnmatch
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ostrack_jax.data.lists.published import OFFICIAL, read_published, read_table
from ostrack_jax.data.packed.reader import is_packed
from ostrack_jax.data.readers import uav
from ostrack_jax.data.readers.registry import SHAPES
from ostrack_jax.data.readers.vot import YEARS
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.errors import listed

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_FEW = 200  # entries of a directory that are looked at to recognise it

Parts = tuple[str, ...]  # of a path below a directory


@dataclass(frozen=True)
class Layout:
    """One set's layout.

    Attributes:
      patterns: of paths, one of which such a directory has.
      fits: (directory, parts of a path that matches) -> whether it is indeed of this set.
    """

    patterns: Sequence[str]
    fits: Callable[[Path, Parts], bool] = lambda directory, parts: True

    def matches(self, directory: Path) -> bool:
        """Whether a directory is of this layout, by a few of its files."""
        found = (parts for pattern in self.patterns for parts in _glob(directory, pattern.split("/")))
        return any(self.fits(directory, parts) for parts in found)


@functools.cache
def _names(reader: str) -> set[str]:
    """Classes of LaSOT's extension, none of which is LaSOT's; DTB70's names that are not OTB's; UAVDT's names."""
    if reader == "lasot_ext":
        return {name.rpartition("-")[0] for name in read_published(reader)}
    return set(read_table(reader)) - set(read_table("otb"))


def _lasot_class(parts: Parts) -> str:
    """The class of a sequence [CLASS/]CLASS-N/img; empty where it is none."""
    name, _, number = parts[-2].rpartition("-")
    return name if number.isdecimal() and parts[0] in (name, parts[-2]) else ""


_LASOT_PATHS = ("*-*/img", "*/*-*/img")
_VOT_PATHS = [f"{root}*/{inner}" for root in ("", "vot20??/") for inner in ("color", "sequence")]
SLOW = ("coco", "vid")  # readers that take minutes to open a set the first time
LAYOUTS = {
    "got10k": Layout(
        ("list.txt", "train/list.txt", "val/list.txt", "test/list.txt"),
        lambda directory, parts: not LAYOUTS["vot"].matches(directory),
    ),
    "lasot": Layout(_LASOT_PATHS, lambda _, parts: _lasot_class(parts) not in ("", *_names("lasot_ext"))),
    "trackingnet": Layout(
        ("TRAIN_*/anno", "TEST/anno", "anno"),
        lambda directory, parts: len(parts) == 2 or (directory / "frames").is_dir(),
    ),
    "coco": Layout(["annotations/instances_*.json"]),
    "vid": Layout(["Annotations/VID", "ILSVRC*/Annotations/VID"]),
    "otb": Layout(["*/groundtruth_rect*.txt"], lambda _, parts: parts[0] not in _names("dtb70")),
    "dtb70": Layout(["*/img"], lambda _, parts: parts[0] in _names("dtb70")),
    "lasot_ext": Layout(_LASOT_PATHS, lambda _, parts: _lasot_class(parts) in _names("lasot_ext")),
    "nfs": Layout(
        ("*/30/*", "*/240/*", "sequences"),
        lambda directory, parts: parts[0] == parts[2] if len(parts) == 3 else (directory / "anno").is_dir(),
    ),
    "uav": Layout([f"{root}/{videos}" for root in uav.ROOTS for videos in {*uav.VIDEOS.values()}]),
    "uavdt": Layout(
        [f"{videos}/S????" for videos in uav.UAVDT_VIDEOS],
        lambda _, parts: parts[-1] in _names("uavdt"),
    ),
    "tnl2k": Layout(["*/imgs", "*/*/imgs"]),
    "tc128": Layout(["*/*_gt.txt", "Temple-color-128/*/*_gt.txt"]),
    "itb": Layout(  # by its name, too: any directory of directories of sequences looks like it
        ["*/*/groundtruth.txt"],
        lambda directory, _: "itb" in directory.name.lower(),
    ),
    "vot": Layout(
        [*_VOT_PATHS, *(pattern.replace("*/", "sequences/*/") for pattern in _VOT_PATHS)],
        lambda directory, parts: directory.joinpath(*parts[:-2], "list.txt").is_file(),
    ),
}


def find_parts(reader: str, directory: Path) -> dict[str, Path]:
    """The parts of a reader's set that may lie in ``directory``, each with its own directory."""
    official = OFFICIAL.get(reader, {})
    if reader == "vot":  # the years differ in their names alone
        years = [year for year in YEARS if year in directory.name or (directory / f"vot{year}").is_dir()]
        return dict.fromkeys(years or [max(YEARS)], directory)
    if reader != "got10k":
        return dict.fromkeys(official, directory)
    inside = {part: directory / part for part in official if (directory / part / "list.txt").is_file()}
    return inside or {directory.name if directory.name in official else "train": directory}


def recognise(directory: Path) -> list[str]:
    """The readers whose layout ``directory`` itself has."""
    return [reader for reader, layout in LAYOUTS.items() if layout.matches(directory)]


def explain(reader: str, directory: Path, error: Exception) -> Finding:
    """The finding for a reader's ``error`` on a directory, with a fix if the surrounding files show one."""
    if is_packed(directory):
        return Finding("wrong", str(error))
    layout, others = LAYOUTS.get(reader), recognise(directory)
    better = _elsewhere(layout, directory) if layout and reader not in others else None
    others = [other for other in others if other != reader]
    if better is not None:
        fix = f"{better} looks like it: give that folder"
    elif archives := find_archives(directory):
        fix = f"unpack the {len(archives)} archives there ({listed(archives, 3)})"
    elif others:
        fix = f"it looks like {' and '.join(others)}: give that name"
    else:
        fix = f"expected {SHAPES[reader]}" if layout else ""
    return Finding("wrong", str(error), fix)


def find_archives(directory: Path) -> list[str]:
    """Archives in a directory and, by their directory's name, in those it holds: files not unpacked yet."""
    entries = [entry for place in (directory, *_inner(directory)) for entry in _scan(place)]
    return sorted(os.path.relpath(entry.path, directory) for entry in entries if entry.name.lower().endswith(_ARCHIVES))


def _elsewhere(layout: Layout, directory: Path) -> Path | None:
    """A directory near by that has the layout: up to two below, or above."""
    below = (path for inner in _inner(directory) for path in (inner, *_inner(inner)))
    above = itertools.islice(directory.resolve().parents, 2)
    return next((path for path in itertools.chain(below, above) if layout.matches(path)), None)


def _glob(directory: Path, pattern: list[str]) -> Iterator[Parts]:
    """The paths below ``directory`` that match, whatever the case; of each directory some entries are looked at."""
    first, *rest = pattern
    if "*" in first or "?" in first:
        names = [entry.name for entry in _scan(directory) if fnmatch.fnmatch(entry.name.lower(), first.lower())]
    else:
        names = [first] if (directory / first).exists() else []
    for name in names:
        yield from ((name, *inner) for inner in _glob(directory / name, rest)) if rest else [(name,)]


def _inner(directory: Path) -> list[Path]:
    return [directory / entry.name for entry in _scan(directory) if entry.is_dir()]


def _scan(directory: Path) -> list[os.DirEntry[str]]:
    """Some of the entries of a directory, hidden ones left out."""
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in itertools.islice(entries, _FEW) if not entry.name.startswith(".")]
    except OSError:  # not ours to read, or no directory
        return []
