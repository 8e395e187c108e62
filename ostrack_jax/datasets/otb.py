"""OTB's layout (Wu et al. 2015). Enters: the folder of its sequences. Leaves: sequences, read lazily.

Each sequence is a folder with `img/` and `groundtruth_rect.txt`, or `groundtruth_rect.1.txt`, `.2.txt` for several
targets (`Jogging-1`, `Jogging-2`). The boxes count pixels from one; the published analysis and the published
trackers take the numbers as they are, without a shift, and so does this reader.
"""

from __future__ import annotations

import re
from pathlib import Path

from ostrack_jax.datasets.annotations import read_boxes, valid
from ostrack_jax.datasets.frames import PictureFrames, list_folder, list_pictures
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.sequence import Sequence
from ostrack_jax.errors import UserError

# Number in the file name of the first annotated picture, where that is not the first there is.
FIRST_PICTURE = {"BlurCar1": 247, "BlurCar3": 3, "BlurCar4": 18, "David": 300}
# First pictures, with boxes, that the benchmark leaves out of a whole sequence: name -> (of so many, so many).
LEFT_OUT = {"Tiger1": (354, 5)}


def open_otb(folder: Path) -> LazySequences:
    """Every sequence below ``folder``, by name; one for each target.

    Raises:
      UserError: no sub-folder holds `img/` and a `groundtruth_rect*.txt`.
    """
    keys: dict[str, tuple[Path, str]] = {}
    for place in (folder / entry.name for entry in list_folder(folder) if entry.is_dir()):
        if not (place / "img").is_dir():
            continue
        for entry in list_folder(place):
            target = re.fullmatch(r"groundtruth_rect(?:\.(\d+))?\.txt", entry.name)
            # Human4 comes with an empty file beside the one of its only target.
            if target and entry.stat().st_size > 0:
                keys[place.name + (f"-{target[1]}" if target[1] else "")] = (place, entry.name)
    if not keys:
        raise UserError(f"no OTB sequence in {folder}: expected folders with img/ and groundtruth_rect.txt")
    return LazySequences(keys, _read)


def _read(name: str, key: tuple[Path, str]) -> Sequence:
    """One target; pictures without a box before and after the annotated ones are left out."""
    folder, annotation = key
    boxes = read_boxes(folder / annotation)
    pictures = list_pictures(folder / "img")
    first = FIRST_PICTURE.get(name, 0)
    if first and len(pictures) > len(boxes):
        pictures = [path for path in pictures if _number(path) >= first]
    if len(pictures) < len(boxes):
        raise UserError(f"{folder / annotation} has {len(boxes)} boxes for {len(pictures)} pictures")
    pictures = pictures[: len(boxes)]
    whole, skip = LEFT_OUT.get(name, (0, 0))
    if len(boxes) == whole:
        pictures, boxes = pictures[skip:], boxes[skip:]
    return Sequence(name, PictureFrames(pictures), boxes, valid(boxes))


def _number(path: str) -> int:
    """The number a picture is named by; -1 where its name is none."""
    stem = Path(path).stem
    return int(stem) if stem.isdecimal() else -1
