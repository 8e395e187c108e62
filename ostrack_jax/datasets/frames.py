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
from typing import Protocol, SupportsIndex, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from ostrack_jax.datasets.annotations import open_file
from ostrack_jax.datasets.names import compact
from ostrack_jax.datasets.sequence import Frames
from ostrack_jax.errors import UserError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv")

# What a JPEG can be reduced by while it is decoded: whole blocks of its transform become fewer pixels.
REDUCTIONS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_MOST_BYTES = 256 * 2**20  # of a picture file

Picture = UInt8[np.ndarray, "h w 3"]


@runtime_checkable
class ReducibleFrames(Frames, Protocol):
    """Frames of which some can be had smaller for less work."""

    def reduced(self, index: int, factor: int, /) -> tuple[Picture, int]:
        """Frame ``index`` at a ``factor``-th of its size, or whole; and the factor it was in fact reduced by.

        A side of n pixels becomes ceil(n / factor); a pixel is the mean of those it covers, as near as JPEG has it.
        """
        ...


@runtime_checkable
class StoredFrames(Frames, Protocol):
    """Frames each of which is a picture stored by itself."""

    def name(self, index: int, /) -> str:
        """Where it lies; equal names are equal pictures."""
        ...

    def stored(self, index: int, /) -> bytes:
        """The bytes of frame ``index`` as stored; a `UserError` names it if it cannot be read."""
        ...


@runtime_checkable
class OpenFrames(Frames, Protocol):
    """Frames that keep a file open between one and the next."""

    def close(self) -> None:
        """Close it; the next frame that is asked for opens it again."""
        ...


def close_frames(frames: Frames) -> None:
    """Close what ``frames`` keep open, of whatever kind they are."""
    if isinstance(frames, OpenFrames):
        frames.close()


class PictureFrames:
    """Files of single pictures, in the order given."""

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self._paths = compact(os.fspath(path) for path in paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: SupportsIndex, /) -> Picture:
        """Decode picture ``index``; orientation tags are ignored, boxes count the stored pixels."""
        return read_picture(self.name(index))

    def reduced(self, index: int, factor: int, /) -> tuple[Picture, int]:
        """Picture ``index``, smaller where it is a JPEG, and by which factor (see `ReducibleFrames`)."""
        data = self.stored(index)
        factor = factor if is_jpeg(data) else 1
        return decode_picture(data, self.name(index), factor), factor

    def name(self, index: SupportsIndex) -> str:
        """The path of picture ``index``."""
        return self._paths[within(index, len(self))]

    def stored(self, index: SupportsIndex) -> bytes:
        """The file of picture ``index``."""
        return read_bytes(self.name(index))


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


def read_frame(frames: Frames, index: int, factor: int = 1) -> tuple[Picture, int]:
    """Frame ``index``, reduced by ``factor`` (of `REDUCTIONS`) where its kind allows it; and the factor it has."""
    if factor > 1 and isinstance(frames, ReducibleFrames):
        return frames.reduced(index, factor)
    return frames[index], 1


def read_picture(path: Path | str) -> Picture:
    """Decode one file to RGB.

    Raises:
      UserError: there is no such file, or it is no picture OpenCV can read; a JPEG cut short is none.
    """
    return decode_picture(read_bytes(path), path)


def read_bytes(path: Path | str) -> bytes:
    """A picture file as it is stored; a `UserError` where there is none, or none of a sane size."""
    try:
        with open_file(path, buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size + 1) if size <= _MOST_BYTES else b""
    except OSError as e:
        raise UserError(f"cannot read the picture {path}: {(e.strerror or str(e)).lower()}") from e
    if size > _MOST_BYTES:
        raise UserError(f"cannot read the picture {path}: it is larger than {_MOST_BYTES >> 20} MiB")
    return data


def is_jpeg(data: bytes) -> bool:
    """Whether these are the bytes of a JPEG file, by their beginning."""
    return data[:3] == b"\xff\xd8\xff"


def decode_picture(data: bytes, name: Path | str, factor: int = 1) -> Picture:
    """A stored picture to RGB; orientation tags are ignored.

    Args:
      data: a file's bytes, of any format OpenCV reads.
      name: says in an error which it is.
      factor: one of `REDUCTIONS`, above 1 for a JPEG only.

    Raises:
      UserError: it is no picture OpenCV can read.
    """
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), REDUCTIONS[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as e:  # raised for no bytes at all, and for headers that promise absurd sizes
        raise UserError(f"cannot decode the picture {name}: {e.err if data else 'it is empty'}") from e
    if picture is None:
        raise UserError(f"cannot read the picture {name}: not a picture OpenCV can read, or cut short")
    # OpenCV has no flag for a reduced picture in RGB.
    return picture if factor == 1 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture)


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
