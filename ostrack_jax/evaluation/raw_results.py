"""Results as others publish them. Enters: a folder. Leaves: `RawResults`, one tracker's boxes by sequence.

Understood are this project's own folders and, parted by commas, tabs or blanks, with names in any case:

- pytracking's: NAME.txt, perhaps in a folder of the set, NAME_time.txt beside it;
- OTB's and the LaSOT toolkit's: NAME.txt, times perhaps in times/NAME_time.txt;
- GOT-10k's: NAME/NAME_001.txt (of several runs the first), NAME/NAME_time.txt.
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
from ostrack_jax.datasets.matching import ByName
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.results import read_json
from ostrack_jax.evaluation.runner import RUN_FILE

# Ends of the names of files that lie beside the boxes and are none.
BESIDE = re.compile(r"_(times?|scores?|confidences?|conf|all_boxes|all_scores|object_presence_scores|00[2-9])$")
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

    def read(self, sequence: str) -> Float[np.ndarray, "t 4"] | None:
        """The boxes answered for ``sequence`` (x,y,w,h in pixels), as they are; None where there are none.

        Raises:
          UserError: two files fit, or the file holds no boxes.
        """
        path = self.boxes.find(sequence)
        return None if path is None else read_boxes(path)

    def read_times(self, sequence: str) -> Float[np.ndarray, " t"] | None:
        """Seconds a frame, those that are positive (of several runs the first); None without a file.

        Raises:
          UserError: two files fit, or a line holds no number.
        """
        path = self.times.find(sequence)
        if path is None:
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
    boxes, times = [], []
    for path in _text_files(folder):
        stem = path.stem
        if re.search(r"_times?$", stem):
            times.append((re.sub(r"_times?$", "", stem), path))
        elif not BESIDE.search(stem):
            boxes.append((_sequence_name(path), path))
    if not boxes:
        raise UserError(f"no results in {folder}: expected NAME.txt or NAME/NAME_001.txt, x,y,width,height a line")
    name = name or folder.resolve().name
    return RawResults(name, folder, ByName(boxes), ByName(times), _benchmark(folder))


def _sequence_name(path: Path) -> str:
    """NAME of NAME/NAME_001.txt, and of NAME.txt."""
    return path.parent.name if path.stem == f"{path.parent.name}_001" else path.stem


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
