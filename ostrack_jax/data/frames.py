"""RGB frames by index, decoded on access, from image files or arrays (of videos: `video.VideoFrames`).

All are picklable, so that they can travel to loader processes; none keeps more than one image in memory.

Images of more than 8 bits (thermal and depth cameras, scans) are mapped to 8 bits. One linear map serves a complete
sequence, in any order of reading its frames: black and white are the values that one pixel in 10,000 of eight frames,
spread over it, lies below and above; what lies beyond is clipped. Where these are half of the 65,536 values apart or
more, all 16 bits are in use and the upper byte is taken, as OpenCV and most viewers do.
"""

from __future__ import annotations

import abc
import functools
import operator
import os
import re
from collections import deque
from collections.abc import Generator, Iterable
from collections.abc import Sequence as ListOf
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, SupportsIndex, cast, get_args

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from ostrack_jax.errors import UserError, unknown
from ostrack_jax.io import open_file

IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".avif", ".jp2", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".ras", ".sr"),
)
VIDEOS = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv", ".asf"),
    *(".flv", ".f4v", ".3gp", ".3g2", ".mxf", ".ogv", ".vob", ".dv", ".y4m", ".gif"),
)
# Frames in formats that are not read here: said, so that they are not missed.
UNREAD = (
    *(".heic", ".heif", ".jxl", ".exr", ".hdr", ".pfm", ".pam", ".tga", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw"),
    *(".psd", ".rm", ".rmvb", ".seq"),
)

# What a JPEG can be reduced by while it is decoded: whole blocks of its transform become fewer pixels.
REDUCTIONS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_TAG = b"Exif"  # what a JPEG with an orientation tag has in it
_SAMPLED = 8  # frames that the range of 16-bit values is found from
_BEYOND = 1e-4  # share of the pixels that is clipped at each end: single dead pixels set no range
_VALUES = 2**16

Image = UInt8[np.ndarray, "h w 3"]
Levels = tuple[int, int]  # the 16-bit values that become black and white

# shown: as a viewer or player shows it, EXIF orientation and rotation tags applied; boxes count those pixels. So are
# one's own images and videos read. stored: such tags ignored, as the boxes of published sets are meant.
Orientation = Literal["shown", "stored"]
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)


def orientation_named(name: str) -> Orientation:
    """The orientation of that name, as an option of a reader has it; a `UserError` where there is none."""
    if name not in ORIENTATIONS:
        raise unknown("orientation", name, ORIENTATIONS)
    return cast(Orientation, name)


class Frames(abc.ABC):
    """The images of one sequence."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abc.abstractmethod
    def __getitem__(self, index: SupportsIndex, /) -> Image:
        """Frame ``index`` as RGB; a `UserError` names the file if it cannot be read, an `IndexError` ends iteration."""

    def reduced(self, index: int, factor: int, /) -> tuple[Image, int]:
        """Frame ``index`` reduced by ``factor`` (of `REDUCTIONS`) if its kind allows that; and the factor it has."""
        return self[index], 1

    def noted(self) -> tuple[Image, list[str]]:
        """The first frame, and notes on frames that are not read as they are stored, or not shown so."""
        return self[0], []

    def close(self) -> None:  # noqa: B027 - most keep nothing open
        """Close what is kept open; the next frame that is asked for opens it again."""


class StoredFrames(Frames):
    """Frames of files, decoded alike: one orientation, one scale of 16-bit values."""

    def __init__(self, orientation: Orientation) -> None:
        self._orientation: Orientation = orientation

    @abc.abstractmethod
    def name(self, index: int, /) -> str:
        """The location of frame ``index``; equal names are equal images."""

    @abc.abstractmethod
    def values(self, index: int, orientation: Orientation, /) -> np.ndarray:
        """Frame ``index`` as it is decoded, RGB of 8 or 16 bits; a `UserError` names it if it cannot be read."""

    @abc.abstractmethod
    def is_turned(self) -> bool:
        """Whether the first frame is not shown as it is stored."""

    def __getitem__(self, index: SupportsIndex, /) -> Image:
        """Decode frame ``index``."""
        return self._scaled(self.values(within(index, len(self)), self._orientation))

    def noted(self) -> tuple[Image, list[str]]:
        """The first frame, and notes on a scale of 16-bit values and an orientation tag."""
        values, notes = self.values(0, self._orientation), []
        image = self._scaled(values)
        if values.dtype != np.uint8:
            notes.append("images of more than 8 bits: values {} to {} are read as 0 to 255".format(*self._levels))
        if self.is_turned():
            stored = "as stored, not upright as it is shown"
            how = stored if self._orientation == "stored" else "upright, as it is shown"
            size = f"boxes count these {image.shape[1]} x {image.shape[0]} pixels"
            notes.append(f"{self.name(0)} has an orientation tag and is read {how}: {size}")
        return image, notes

    def _scaled(self, values: np.ndarray) -> Image:
        return values if values.dtype == np.uint8 else to_bytes(values, self._levels)

    @functools.cached_property
    def _levels(self) -> Levels:
        """Black and white of 16-bit frames, the same for all; found once, when the first such frame is read."""
        images = (self.values(i, "stored") for i in sampled(len(self)))
        return find_levels(image for image in images if image.dtype != np.uint8)


class EncodedFrames(StoredFrames):
    """Frames each of which is an image stored by itself."""

    @abc.abstractmethod
    def stored(self, index: int, /) -> bytes:
        """The bytes of image ``index``; a `UserError` names it if it cannot be read."""

    def values(self, index: int, orientation: Orientation, /) -> np.ndarray:
        """Decode image ``index``."""
        return decode_values(self.stored(index), self.name(index), 1, orientation)

    def reduced(self, index: int, factor: int, /) -> tuple[Image, int]:
        """Image ``index`` at a ``factor``-th of its size if it is a JPEG, else complete; and the factor it has.

        A side of n pixels becomes ceil(n / factor); a pixel is the mean of those it covers, as near as JPEG has it.
        """
        data = self.stored(index)
        factor = factor if _is_jpeg(data) else 1
        return self._scaled(decode_values(data, self.name(index), factor, self._orientation)), factor

    def is_turned(self) -> bool:
        """Whether the first image has an orientation tag that changes it."""
        data = self.stored(0)
        if _is_jpeg(data) and _TAG not in data:  # no need to decode it twice
            return False
        shown, stored = (decode_values(data, self.name(0), 1, way) for way in ORIENTATIONS)
        return not np.array_equal(shown, stored)


class ImageFrames(EncodedFrames):
    """Files of single images, in the order given."""

    def __init__(self, paths: Iterable[Path | str], orientation: Orientation = "shown") -> None:
        """Remember where the files are.

        Args:
          paths: of the files.
          orientation: see `Orientation`.
        """
        super().__init__(orientation)
        encoded = [os.fsencode(path) for path in paths]
        # not commonpath: any bytes they share will do
        self._start = os.path.commonprefix(encoded) or b""  # noqa: RUF071
        self._ends = np.array([path[len(self._start) :] for path in encoded], np.bytes_)

    def __len__(self) -> int:
        return len(self._ends)

    def name(self, index: int, /) -> str:
        """The path of image ``index``."""
        return os.fsdecode(self._start + bytes(self._ends[index]))

    def stored(self, index: int, /) -> bytes:
        """The file of image ``index``."""
        return _read_bytes(self.name(index))


class ArrayFrames(Frames):
    """Images in memory, uint8 RGB: an array (t, h, w, 3), a list of arrays (h, w, 3), any object with such items."""

    def __init__(self, images: UInt8[np.ndarray, "t h w 3"] | ListOf[UInt8[np.ndarray, "_ _ 3"]] | Any) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: SupportsIndex, /) -> Image:
        """Image ``index``, not a copy."""
        return self._images[within(index, len(self))]


def within(index: SupportsIndex, length: int) -> int:
    """``index`` if it is one of ``length`` frames, else an `IndexError` (which also ends an iteration)."""
    number = operator.index(index)
    if not 0 <= number < length:
        raise IndexError(f"frame {number} of {length}")
    return number


def read_ahead(frames: Frames, workers: int = 1, ahead: int = 2) -> Generator[Image, None, None]:
    """Yield every frame in order, decoded by threads before it is asked for; the first ones are begun at once.

    Close the iterator (or use it up) to end its threads; a video's file is closed with it.

    Args:
      frames: of one sequence. Images stored one by one are decoded by several threads; a video, whose frames follow
        from one another, by one.
      workers: threads at most.
      ahead: frames in memory beyond the one yielded last; at least ``workers`` are.

    Raises:
      UserError: when its turn comes, a frame that cannot be read.
    """
    threads = max(workers, 1) if isinstance(frames, EncodedFrames) else 1
    ahead, count = max(ahead, threads), len(frames)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    waiting = deque(pool.submit(frames.__getitem__, index) for index in range(min(ahead, count)))

    def in_order() -> Generator[Image, None, None]:
        try:
            for following in range(ahead, ahead + count):
                frame = waiting.popleft().result()
                if following < count:
                    waiting.append(pool.submit(frames.__getitem__, following))
                yield frame
        finally:
            pool.shutdown(cancel_futures=True)  # a file is not closed while a thread decodes from it
            frames.close()

    return in_order()


def read_image(path: Path | str, orientation: Orientation = "shown") -> Image:
    """Decode one file to RGB; values of more than 8 bits by the file's own range.

    Args:
      path: of an image of any format that OpenCV reads.
      orientation: see `Orientation`.

    Raises:
      UserError: the file is missing, or OpenCV cannot read it as an image; a truncated JPEG is an error.
    """
    return ImageFrames([path], orientation)[0]


def _read_bytes(path: Path | str) -> bytes:
    """An image file as it is stored; a `UserError` where it cannot be read."""
    try:
        with open_file(path, buffering=0) as file:
            return file.read()
    except OSError as e:
        raise UserError(f"cannot read the image {path}: {(e.strerror or str(e)).lower()}") from e


def _is_jpeg(data: bytes) -> bool:
    """Whether these are the bytes of a JPEG file, by their beginning."""
    return data[:3] == b"\xff\xd8\xff"


def decode_values(data: bytes, name: Path | str, factor: int, orientation: Orientation) -> np.ndarray:
    """A stored image to RGB, uint8 or uint16.

    Args:
      data: a file's bytes, of any format OpenCV reads.
      name: of the image, for errors.
      factor: one of `REDUCTIONS`, above 1 for a JPEG only.
      orientation: see `Orientation`.

    Raises:
      UserError: OpenCV cannot read it as an image, or its values are not of 8 or 16 bits.
    """
    # JPEGs have 8 bits. Other images are read as BGR: OpenCV 5.0 reads garbage from RGB TIFFs of 16 bits as RGB.
    flags = REDUCTIONS[factor] if _is_jpeg(data) else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    ignore = cv2.IMREAD_IGNORE_ORIENTATION if orientation == "stored" else 0
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, flags | ignore)
        # What it cannot bring to 8 or 16 bits it reads unchanged or not at all.
        values = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED) if image is None else image
    except cv2.error as e:  # raised for no bytes at all, and for headers that promise absurd sizes
        raise UserError(f"cannot decode the image {name}: {e.err if data else 'it is empty'}") from e
    if values is not None and values.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"cannot read the image {name}: its values are {values.dtype}: convert it to 8 or 16 bits", fix=""
        )
    if image is None:
        raise UserError(f"cannot read the image {name}: truncated, or not an image OpenCV can read")
    return image if flags == REDUCTIONS[1] else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def sampled(length: int) -> list[int]:
    """The frames of a sequence of ``length`` that `find_levels` should see: eight evenly spread, or all of fewer."""
    return np.unique(np.linspace(0, length - 1, min(_SAMPLED, length)).round().astype(int)).tolist()


def find_levels(images: Iterable[UInt16[np.ndarray, ...]]) -> Levels:
    """Black and white for these images together; (0, 65535) where there are none."""
    counts = np.zeros(_VALUES, np.int64)
    for image in images:
        counts += np.bincount(image.ravel(), minlength=_VALUES)
    below = np.cumsum(counts)
    if not below[-1]:
        return 0, _VALUES - 1
    beyond = _BEYOND * below[-1]
    low = int(np.searchsorted(below, beyond, side="right"))
    high = int(np.searchsorted(below, below[-1] - beyond, side="left"))
    return min(low, high), high


def to_bytes(values: UInt16[np.ndarray, "*shape"], levels: Levels) -> UInt8[np.ndarray, "*shape"]:
    """16-bit values as bytes by the map that ``levels`` give, see above."""
    return _table(levels)[values]


@functools.lru_cache(maxsize=64)
def _table(levels: Levels) -> UInt8[np.ndarray, " v"]:
    """The 8-bit value of each 16-bit value."""
    low, high = levels
    values = np.arange(_VALUES)
    if high - low >= _VALUES // 2:
        return (values >> 8).astype(np.uint8)
    return np.rint(np.clip((values - low) * (255 / max(high - low, 1)), 0, 255)).astype(np.uint8)


def list_images(directory: Path) -> list[str]:
    """Paths of the images in a directory, numbers in names counting as numbers (2.jpg before 10.jpg).

    Raises:
      UserError: the directory cannot be listed or holds no image.
    """
    names = [entry.name for entry in _scan(directory) if is_image_file(entry.name)]
    if not names:
        unread = sorted({Path(entry.name).suffix for entry in _scan(directory) if entry.name.lower().endswith(UNREAD)})
        found = f"{' and '.join(unread)} files are not read here: convert them to PNG" if unread else ""
        expected = f"expected files ending in {', '.join(IMAGES[:3])} or the like"
        fix = "" if found else "its images are missing: unpack its archive again"
        raise UserError(f"no images in {directory}: {found or expected}", fix)
    stems = [name.rpartition(".")[0] for name in names]
    if all(map(str.isdecimal, stems)):  # the same order, ten times as fast
        names = [name for _, name in sorted(zip(map(int, stems), names, strict=True))]
    else:
        names.sort(key=natural)
    parent = os.path.join(directory, "")
    return [parent + name for name in names]


def list_directory(directory: Path) -> list[os.DirEntry[str]]:
    """Entries of a directory without the hidden ones, numbers in names counting as numbers.

    Raises:
      UserError: the directory cannot be listed.
    """
    return sorted(_scan(directory), key=lambda entry: natural(entry.name))


def _scan(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as e:
        fix = "its folder is missing: unpack its archive again, or remove it from the list"
        raise UserError(f"cannot list {directory}: {e.strerror}", fix) from e


def is_image_file(name: str) -> bool:
    """Whether a file's name is an image's."""
    return name.lower().endswith(IMAGES)


def natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A sort key under which numbers in names count as numbers; the name itself breaks ties."""
    parts = re.findall(r"\d+|\D+", name)
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], name
