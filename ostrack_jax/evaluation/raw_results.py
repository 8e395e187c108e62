"""Published raw results: a directory of one tracker's boxes by sequence.

This project's own directories and, separated by commas, tabs or blanks, with names in any case:

- pytracking's: NAME.txt, perhaps in a directory of the set, NAME_time.txt next to it;
- OTB's and the LaSOT toolkit's: NAME.txt, times perhaps in times/NAME_time.txt;
- GOT-10k's: NAME/NAME_001.txt, of several runs also NAME_002.txt and so on, NAME/NAME_time.txt with a column a run.

Several runs of a tracker are also directories TRACKER_000, TRACKER_001 and so on, as pytracking writes them: given is
then the one that holds them, or DIRECTORY/TRACKER without the number.

A sequence's own name may end as those of files next to it do (`lap_time`, `video_002`): such a file is one of times
where there are boxes by the name without that end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.annotations import FARTHEST, read_boxes
from ostrack_jax.data.spelling import ByName, part_prefix
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.runner import RUN_FILE
from ostrack_jax.io import local_path, read_json, read_text

# Ends of the names of files that lie next to the boxes and hold none.
_NOT_BOXES = re.compile(r"_(times?|scores?|confidences?|conf|all_boxes|all_scores|object_presence_scores)$")
_DEEPEST = 3  # directories below the one that was given

Named = list[tuple[str, Path]]  # files with the name of their sequence


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
        """Read the boxes predicted for ``sequence`` (x,y,w,h in pixels) as they are; None where there are none.

        ``reader``: of its set, which separates its files from those of others next to them; see `ByName.find`.

        Raises:
          UserError: two files fit, or the file holds no boxes.
        """
        path = self.boxes.find(sequence, reader)
        return None if path is None else read_boxes(path)

    def read_times(self, sequence: str, reader: str = "") -> Float[np.ndarray, " t"] | None:
        """Read seconds a frame, those that are positive; None without a file, or without a column of this run.

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
      folder: their directory.
      runs: over the same sequences, one or more; a sequence need not be in each.
      benchmark: the benchmark in `run.json`; empty without one.
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
    """Open ``DIRECTORY`` or ``NAME=DIRECTORY``; without a name the tracker has the directory's.

    Raises:
      UserError: no such directory, or no file in it that can hold boxes.
    """
    name, equals, place = word.partition("=")
    if not equals or Path(word).is_dir():  # which may have a = in its name
        name, place = "", word
    if not place:
        raise UserError("no directory of results '': expected DIRECTORY or NAME=DIRECTORY")
    directory = local_path(place)
    runs = _find_runs(directory)
    if not runs and not directory.is_dir():
        raise UserError(f"no directory of results {str(directory)!r}: expected DIRECTORY or NAME=DIRECTORY")
    if not runs:
        matlab = ", not Matlab files, which docs/scores.md shows how to turn into text"
        how = matlab if any(directory.glob("*.mat")) else ""
        raise UserError(
            f"no results in {directory}: expected NAME.txt or NAME/NAME_001.txt, x,y,width,height a line{how}"
        )
    try:
        benchmark = str(read_json(directory / RUN_FILE).get("benchmark", ""))
    except UserError:
        benchmark = ""  # of another program
    name = (name or directory.resolve().name).encode(errors="backslashreplace").decode()  # drawn in figures
    return RawResults(name, directory, tuple(runs), benchmark)


def _find_runs(directory: Path) -> list[Run]:
    """Return the runs in a directory, or in the numbered ones of its name; none without boxes."""
    if not directory.is_dir():
        places = _numbered(directory.parent).get(directory.name, [])
    else:
        trackers = {name: places for name, places in _numbered(directory).items() if _share_sequences(places)}
        if len(trackers) > 1:
            expected = " or ".join(str(directory / name) for name in trackers)
            raise UserError(f"{directory} holds runs of {len(trackers)} trackers: expected {expected}")
        places = next(iter(trackers.values()), [])
        if set(places) != {path for path in directory.iterdir() if not path.name.startswith(".")}:
            places = [directory]
    runs = []
    for place in places:
        boxes, times = _sort_files(place)
        by_name = ByName(times)
        runs += [Run(ByName(boxes[number]), by_name, i) for i, number in enumerate(sorted(boxes)) if boxes[number]]
    return runs


def _numbered(directory: Path) -> dict[str, list[Path]]:
    """Return the directories NAME_000, NAME_001, .. in ``directory`` by their name without the number, in order."""
    found: dict[str, list[Path]] = {}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if (name := re.fullmatch(r"(.+)_\d{3}", path.name)) and path.is_dir():
            found.setdefault(name[1], []).append(path)
    return found


def _share_sequences(places: list[Path]) -> bool:
    """Whether several directories have results of the same sequences: runs do, directories of sequences do not."""
    names = [{name for named in _sort_files(place)[0].values() for name, _ in named} for place in places]
    return len(places) > 1 and bool(set.intersection(*names))


def _sort_files(directory: Path) -> tuple[dict[int, Named], Named]:
    """Return the files of boxes by run, from 1, and those of seconds."""
    boxes: dict[int, Named] = {1: []}
    times: Named = []
    unclear: list[Path] = []
    for path in _text_files(directory):
        run = re.fullmatch(rf"{re.escape(path.parent.name)}_(\d{{3}})", path.stem)
        if run and path.parent != directory:
            boxes.setdefault(int(run[1]), []).append((path.parent.name, path))
        elif _NOT_BOXES.search(path.stem):
            unclear.append(path)
        else:
            boxes[1].append((path.stem, path))
    named = {name.casefold() for files in boxes.values() for name, _ in files}
    for path in sorted(unclear, key=lambda path: len(path.stem)):  # `a_time` before `a_time_time`
        name = _NOT_BOXES.sub("", path.stem)
        if name.casefold() not in named:
            named.add(path.stem.casefold())
            boxes[1].append((path.stem, path))
        elif re.search(r"_times?$", path.stem):
            times.append((name, path))
    return boxes, times


def _text_files(directory: Path) -> list[Path]:
    """Return the text files in ``directory`` and a few levels below it, hidden ones left out."""
    levels = ["*/" * depth + "*" for depth in range(_DEEPEST + 1)]
    files = [path for level in levels for path in directory.glob(level) if path.suffix.lower() == ".txt"]
    hidden = re.compile(r"(^|/)\.")
    return sorted(f for f in files if f.is_file() and not hidden.search(f.relative_to(directory).as_posix()))
