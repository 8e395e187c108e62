"""Results as others publish them. Enters: a folder. Leaves: `RawResults`, one tracker's boxes by sequence.

Understood are this project's own folders and, parted by commas, tabs or blanks, with names in any case:

- pytracking's: NAME.txt, perhaps in a folder of the set, NAME_time.txt beside it;
- OTB's and the LaSOT toolkit's: NAME.txt, times perhaps in times/NAME_time.txt;
- GOT-10k's: NAME/NAME_001.txt, of several runs also NAME_002.txt and so on, NAME/NAME_time.txt with a column a run.

Several runs of a tracker are also folders TRACKER_000, TRACKER_001 and so on, as pytracking writes them: FOLDER is then
the one that holds them, or FOLDER/TRACKER without the number.

A sequence's own name may end as those of files beside it do (`lap_time`, `video_002`): what such a file is says whether
there are boxes by the name without that end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.annotations import FARTHEST, read_boxes
from ostrack_jax.data.frames import list_directory
from ostrack_jax.data.matching import ByName, part_prefix
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.runner import RUN_FILE
from ostrack_jax.io import read_json, read_text

# Ends of the names of files that lie beside the boxes and are none.
BESIDE = re.compile(r"_(times?|scores?|confidences?|conf|all_boxes|all_scores|object_presence_scores)$")
_RUN_FOLDER = re.compile(r"(.+)_\d{3}")
_DEEPEST = 3  # folders below the one that was given
_MOST_FILES = 200_000


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a tracker over its sequences.

    Attributes:
      boxes: files of boxes; ``times`` those of seconds, ``column`` of them this run's.
    """

    boxes: ByName[Path]
    times: ByName[Path]
    column: int = 0

    def read(self, sequence: str, reader: str = "") -> Float[np.ndarray, "t 4"] | None:
        """The boxes answered for ``sequence`` (x,y,w,h in pixels), as they are; None where there are none.

        ``reader``: of its set, which tells its files from those of others beside them; see `ByName.find`.

        Raises:
          UserError: two files fit, or the file holds no boxes.
        """
        path = self.boxes.find(sequence, reader)
        return None if path is None else read_boxes(path)

    def read_times(self, sequence: str, reader: str = "") -> Float[np.ndarray, " t"] | None:
        """Seconds a frame, those that are positive; None without a file, or without a column of this run.

        ``reader`` as in `read`. Times of another set than the boxes are none.

        Raises:
          UserError: two files fit, or a line holds no number.
        """
        path, boxes = self.times.find(sequence, reader), self.boxes.find(sequence, reader)
        if path is None or boxes is None or part_prefix(path.stem)[0] != part_prefix(boxes.stem)[0]:
            return None
        rows = [re.split(r"[,;\s]+", line.strip()) for line in read_text(path).splitlines() if line.strip()]
        if any(len(row) <= self.column for row in rows):
            return None
        try:
            seconds = np.array([float(row[self.column]) for row in rows])
        except ValueError as e:
            raise UserError(f"{path}: expected seconds, one number a line") from e
        return seconds[(seconds > 0) & (seconds < FARTHEST)]


@dataclass(frozen=True, eq=False)
class RawResults:
    """One tracker's results.

    Attributes:
      name: of the tracker, as it is shown.
      folder: where they lie.
      runs: over the same sequences, one or more; a sequence need not be in each.
      benchmark: what `run.json` says they are of; empty without one.
    """

    name: str
    folder: Path
    runs: tuple[Run, ...]
    benchmark: str = ""

    def has(self, sequence: str, reader: str = "") -> bool:
        """Whether any run has boxes for ``sequence``; a `UserError` where two files fit."""
        found = [run.boxes.find(sequence, reader) for run in self.runs]
        return any(path is not None for path in found)


def open_results(word: str) -> RawResults:
    """The results in a folder, given as ``FOLDER`` or ``NAME=FOLDER``; without a name the tracker has the folder's.

    Raises:
      UserError: no such folder, or no file in it that can be of boxes.
    """
    name, equals, place = word.partition("=")
    if not equals or Path(word).is_dir():  # which may have a = in its name
        name, place = "", word
    folder = Path(place)
    runs = _runs(folder) if place else []
    if not runs and not folder.is_dir():
        raise UserError(f"no folder of results {place!r}: expected FOLDER or NAME=FOLDER")
    if not runs:
        matlab = any(folder.glob("*.mat"))
        how = ", not Matlab files, which docs/scores.md shows how to turn into text" if matlab else ""
        raise UserError(f"no results in {folder}: expected NAME.txt or NAME/NAME_001.txt, x,y,width,height a line{how}")
    name = (name or folder.resolve().name).encode(errors="backslashreplace").decode()  # drawn in figures
    return RawResults(name, folder, tuple(runs), _benchmark(folder))


def _runs(folder: Path) -> list[Run]:
    """The runs in a folder, or in those that are named as it is and numbered; none where there are no boxes."""
    if not folder.is_dir():
        places = _numbered(folder.parent).get(folder.name, [])
    else:
        inner = {name: places for name, places in _numbered(folder).items() if _same_sequences(places)}
        if len(inner) > 1:
            trackers = " or ".join(str(folder / name) for name in inner)
            raise UserError(f"{folder} holds runs of {len(inner)} trackers: expected {trackers}")
        places = next(iter(inner.values()), [])
        if {path.name for path in places} != {entry.name for entry in list_directory(folder)}:
            places = [folder]
    return [run for place in places for run in _runs_in(place)]


def _numbered(folder: Path) -> dict[str, list[Path]]:
    """Folders NAME_000, NAME_001, .. in ``folder`` by their name without the number, in order."""
    found: dict[str, list[Path]] = {}
    for entry in list_directory(folder) if folder.is_dir() else ():
        if (name := _RUN_FOLDER.fullmatch(entry.name)) and entry.is_dir():
            found.setdefault(name[1], []).append(folder / entry.name)
    return found


def _same_sequences(places: list[Path]) -> bool:
    """Whether several folders hold results of the same sequences, as runs do and folders of sequences do not."""
    runs = [_boxes_and_times(place)[0] for place in places]
    names = [{name for items in boxes.values() for name, _ in items} for boxes in runs]
    return len(places) > 1 and bool(set.intersection(*names))


def _runs_in(folder: Path) -> list[Run]:
    """One run, or GOT-10k's several."""
    boxes, times = _boxes_and_times(folder)
    by_name = ByName(times)
    return [Run(ByName(items), by_name, column) for column, (_, items) in enumerate(sorted(boxes.items())) if items]


def _boxes_and_times(folder: Path) -> tuple[dict[int, list[tuple[str, Path]]], list[tuple[str, Path]]]:
    """The files of boxes by run, from 1, and those of seconds, each with its sequence's name."""
    runs: dict[int, list[tuple[str, Path]]] = {1: []}
    boxes = runs[1]
    times: list[tuple[str, Path]] = []
    unclear: list[tuple[str, Path]] = []
    for path in _text_files(folder):
        run = _run(path, folder)
        if run is None:
            (unclear if BESIDE.search(path.stem) else boxes).append((path.stem, path))
        else:
            runs.setdefault(run, []).append((path.parent.name, path))
    named = {name.casefold() for items in runs.values() for name, _ in items}
    for stem, path in sorted(unclear, key=lambda item: len(item[0])):  # `a_time` before `a_time_time`
        name = BESIDE.sub("", stem)
        if name.casefold() not in named:
            named.add(stem.casefold())
            boxes.append((stem, path))
        elif re.search(r"_times?$", stem):
            times.append((name, path))
    return runs, times


def _run(path: Path, folder: Path) -> int | None:
    """Which run over its sequence NAME/NAME_001.txt is the boxes of; None for a file of another form."""
    found = re.fullmatch(rf"{re.escape(path.parent.name)}_(\d{{3}})", path.stem)
    return int(found[1]) if found and path.parent != folder else None


def _text_files(folder: Path) -> Iterator[Path]:
    count = 0
    for place, inner, names in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= _DEEPEST:
            inner.clear()
        inner[:] = sorted(name for name in inner if not name.startswith("."))  # such as `.locks`
        for name in sorted(names):
            if name.lower().endswith(".txt") and not name.startswith("."):
                count += 1
                if count > _MOST_FILES:
                    raise UserError(
                        f"{folder} holds more than {_MOST_FILES} text files: give the folder of one tracker"
                    )
                yield Path(place, name)


def _benchmark(folder: Path) -> str:
    """What the results of this project's own folder are of."""
    if not (folder / RUN_FILE).is_file():
        return ""
    try:
        found = read_json(folder / RUN_FILE).get("benchmark", "")
    except UserError:
        return ""  # of another program
    return found if isinstance(found, str) else ""
