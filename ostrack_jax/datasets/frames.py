"""Pictures by index. Enters: files, one video file or arrays. Leaves: RGB frames, read when asked for.

All are picklable, so that they can travel to loader processes; none keeps more than one picture in memory.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable
from collections.abc import Sequence as ListOf
from pathlib import Path
from typing import SupportsIndex

import cv2
import numpy as np
from jaxtyping import UInt8

from ostrack_jax.datasets.names import compact
from ostrack_jax.errors import UserError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv")

Picture = UInt8[np.ndarray, "h w 3"]


class PictureFrames:
    """Files of single pictures, in the order given."""

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self._paths = compact(os.fspath(path) for path in paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: SupportsIndex, /) -> Picture:
        """Decode picture ``index``; orientation tags are ignored, boxes count the stored pixels."""
        return read_picture(self._paths[within(index, len(self))])


class ArrayFrames:
    """Pictures in memory: an array (t, h, w, 3) or a list of arrays (h, w, 3), uint8 RGB."""

    def __init__(self, pictures: UInt8[np.ndarray, "t h w 3"] | ListOf[UInt8[np.ndarray, "_ _ 3"]]) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: SupportsIndex, /) -> Picture:
        """Picture ``index``, not a copy."""
        return self._pictures[within(index, len(self))]


def within(index: SupportsIndex, length: int) -> int:
    """``index`` if it is one of ``length`` frames, else an `IndexError` (which also ends an iteration)."""
    number = operator.index(index)
    if not 0 <= number < length:
        raise IndexError(f"frame {number} of {length}")
    return number


def read_picture(path: Path | str) -> Picture:
    """Decode one file to RGB.

    Raises:
      UserError: there is no such file, or it is no picture OpenCV can read.
    """
    try:
        picture = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as e:  # raised for headers that promise absurd sizes
        raise UserError(f"cannot decode the picture {path}: {e.err}") from e
    if picture is None:
        why = "not a picture OpenCV can read" if Path(path).is_file() else "no such file"
        raise UserError(f"cannot read the picture {path}: {why}")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture)


def list_pictures(folder: Path) -> list[str]:
    """Paths of the pictures of a folder, numbers in names counting as numbers (2.jpg before 10.jpg).

    Raises:
      UserError: the folder cannot be listed or holds no picture.
    """
    names = [entry.name for entry in _scan(folder) if is_picture(entry.name)]
    if not names:
        raise UserError(f"no pictures in {folder}: expected files ending in {', '.join(PICTURES[:3])} or the like")
    stems = [name.rpartition(".")[0] for name in names]
    if all(map(str.isdecimal, stems)):  # the same order, ten times as fast
        names = [name for _, name in sorted(zip(map(int, stems), names, strict=True))]
    else:
        names.sort(key=natural)
    parent = os.path.join(folder, "")
    return [parent + name for name in names]


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, hidden entries left out, numbers in names counting as numbers.

    Raises:
      UserError: the folder cannot be listed.
    """
    return sorted(_scan(folder), key=lambda entry: natural(entry.name))


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as e:
        raise UserError(f"cannot list {folder}: {e.strerror}") from e


def is_picture(name: str) -> bool:
    """Whether a file's name is a picture's."""
    return name.lower().endswith(PICTURES)


def natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A sort key under which numbers in names count as numbers; the name itself breaks ties."""
    parts = re.findall(r"\d+|\D+", name)
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], name
