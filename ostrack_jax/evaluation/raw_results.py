"""Results as others publish them. Enters: a folder. Leaves: `RawResults`, one tracker's boxes by sequence.

Understood are this project's own folders and, parted by commas, tabs or blanks, with names in any case:

- pytracking's: NAME.txt, perhaps in a folder of the set, NAME_time.txt beside it;
- OTB's and the LaSOT toolkit's: NAME.txt, times perhaps in times/NAME_time.txt;
- GOT-10k's: NAME/NAME_001.txt (of several runs the first), NAME/NAME_time.txt.

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

from ostrack_jax.datasets.annotations import FARTHEST, read_boxes, read_text
from ostrack_jax.datasets.matching import ByName, part_prefix
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.results import read_json
from ostrack_jax.evaluation.runner import RUN_FILE

# Ends of the names of files that lie beside the boxes and are none.
BESIDE = re.compile(r"_(times?|scores?|confidences?|conf|all_boxes|all_scores|object_presence_scores)$")
_DEEPEST = 3  # folders below the one that was given
_MOST_FILES = 200_000


@dataclass(frozen=True, eq=False)
class RawResults:
    """One tracker's results.

    Attributes:
      name: of the tracker, as it is shown.
      folder: where they lie.
      boxes: files of boxes; ``times`` those of seconds.
      benchmark: what `run.json` says they are of; empty without one.
    """

    name: str
    folder: Path
    boxes: ByName[Path]
    times: ByName[Path]
    benchmark: str = ""

    def read(self, sequence: str, reader: str = "") -> Float[np.ndarray, "t 4"] | None:
        """The boxes answered for ``sequence`` (x,y,w,h in pixels), as they are; None where there are none.

        ``reader``: of its set, which tells its files from those of others beside them; see `ByName.find`.

        Raises:
          UserError: two files fit, or the file holds no boxes.
        """
        path = self.boxes.find(sequence, reader)
        return None if path is None else read_boxes(path)

    def read_times(self, sequence: str, reader: str = "") -> Float[np.ndarray, " t"] | None:
        """Seconds a frame, those that are positive (of several runs the first); None without a file.

        ``reader`` as in `read`. Times of another set than the boxes are none.

        Raises:
          UserError: two files fit, or a line holds no number.
        """
        path, boxes = self.times.find(sequence, reader), self.boxes.find(sequence, reader)
        if path is None or boxes is None or part_prefix(path.stem)[0] != part_prefix(boxes.stem)[0]:
            return None
        words = [re.split(r"[,;\s]+", line.strip())[0] for line in read_text(path).splitlines() if line.strip()]
        try:
            seconds = np.array([float(word) for word in words])
        except ValueError as e:
            raise UserError(f"{path}: expected seconds, one number a line") from e
        return seconds[(seconds > 0) & (seconds < FARTHEST)]


def open_results(word: str) -> RawResults:
    """The results in a folder, given as ``FOLDER`` or ``NAME=FOLDER``; without a name the tracker has the folder's.

    Raises:
      UserError: no such folder, or no file in it that can be of boxes.
    """
    name, equals, place = word.partition("=")
    if not equals or Path(word).is_dir():  # which may have a = in its name
        name, place = "", word
    folder = Path(place)
    if not place or not folder.is_dir():
        raise UserError(f"no folder of results {place!r}: expected FOLDER or NAME=FOLDER")
    boxes, times = _boxes_and_times(folder)
    if not boxes:
        matlab = any(folder.glob("*.mat"))
        how = ", not Matlab files, which docs/scores.md shows how to turn into text" if matlab else ""
        raise UserError(f"no results in {folder}: expected NAME.txt or NAME/NAME_001.txt, x,y,width,height a line{how}")
    name = name or folder.resolve().name
    return RawResults(name, folder, ByName(boxes), ByName(times), _benchmark(folder))


def _boxes_and_times(folder: Path) -> tuple[list[tuple[str, Path]], list[tuple[str, Path]]]:
    """The files of boxes and those of seconds, each with its sequence's name."""
    boxes: list[tuple[str, Path]] = []
    times: list[tuple[str, Path]] = []
    unclear: list[tuple[str, Path]] = []
    for path in _text_files(folder):
        run = _run(path, folder)
        if run is None:
            (unclear if BESIDE.search(path.stem) else boxes).append((path.stem, path))
        elif run == 1:
            boxes.append((path.parent.name, path))
    named = {name.casefold() for name, _ in boxes}
    for stem, path in sorted(unclear, key=lambda item: len(item[0])):  # `a_time` before `a_time_time`
        name = BESIDE.sub("", stem)
        if name.casefold() not in named:
            named.add(stem.casefold())
            boxes.append((stem, path))
        elif re.search(r"_times?$", stem):
            times.append((name, path))
    return boxes, times


def _run(path: Path, folder: Path) -> int | None:
    """Which run over its sequence NAME/NAME_001.txt is the boxes of; None for a file of another form."""
    found = re.fullmatch(rf"{re.escape(path.parent.name)}_(\d{{3}})", path.stem)
    return int(found[1]) if found and path.parent != folder else None


def _text_files(folder: Path) -> Iterator[Path]:
    count = 0
    for place, inner, names in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= _DEEPEST:
            inner.clear()
        inner[:] = sorted(name for name in inner if not name.startswith("."))  # such as `.claims`
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
