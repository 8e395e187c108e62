"""TrackingNet's layout (Mueller et al. 2018).

`TRAIN_0` .. `TRAIN_11` and `TEST` hold `anno/NAME.txt` and `frames/NAME/0.jpg ..`. The test part has the first box
alone. No files state what is visible: every valid box is.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation
from ostrack_jax.data.frames import list_directory, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.common import annotated, by_name
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UnknownNameError, UserError

CHUNKS = 12


def open_trackingnet(directory: Path, part: str = "train", split: str = "all") -> LazySequences:
    """The sequences of one part, chunk by chunk.

    Args:
      directory: of `TRAIN_0` .. `TRAIN_11` and `TEST`, or one of these.
      part: train | test.
      split: all chunks there are; or a choice of the 12 of the train part that must be there: `0-3`, `0,4,7-9`.

    Raises:
      UserError: a choice that is none or not there, a name in two chunks.
    """
    found = [
        (entry.name.removesuffix(".txt"), chunk)
        for chunk in _chunks(directory, part, split)
        for entry in list_directory(directory / chunk / "anno")
        if entry.name.endswith(".txt")
    ]
    return LazySequences(by_name(directory, found), functools.partial(_read, directory))


def _chunks(directory: Path, part: str, split: str) -> list[str]:
    """The names of the chosen chunks; the empty name where ``directory`` is one itself."""
    names = ["TEST"] if part == "test" else [f"TRAIN_{number}" for number in range(CHUNKS)]
    there = [name for name in names if (directory / name / "anno").is_dir()]
    if split == "all":
        return there or ([""] if (directory / "anno").is_dir() else [])
    if part == "test":
        raise UnknownNameError(f"TrackingNet's test part has one chunk: expected split=all, found {split!r}")
    chosen = [names[number] for number in parse_chunks(split)]
    gone = [name for name in chosen if name not in there]
    if gone:
        raise UserError(
            f"no {gone[0]}/anno in {directory}, which split={split} asks for; there are {', '.join(there) or 'none'}"
        )
    return chosen


def parse_chunks(split: str) -> list[int]:
    """`0-3` is 0 1 2 3, `0,4,7-9` is 0 4 7 8 9; a `UserError` for anything but numbers of 0 .. 11."""
    chosen: set[int] = set()
    for item in split.split(","):
        found = re.fullmatch(r"\s*(\d{1,2})\s*(?:-\s*(\d{1,2})\s*)?", item)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last < CHUNKS:
            expected = "expected all, or of 0 to 11 some, as 0-3 or 0,4"
            raise UnknownNameError(f"unknown split of TrackingNet {split!r}: {expected}")
        chosen |= {*range(first, last + 1)}
    return sorted(chosen)


def _read(root: Path, name: str, chunk: str) -> Sequence:
    images = list_images(root / chunk / "frames" / name)
    return annotated(name, images, read_annotation(root / chunk / "anno" / f"{name}.txt", images))
