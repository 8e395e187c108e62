"""A directory of your own: images or videos, and text files of boxes.

Understood, at any depth: a directory with images or one video and a text file of boxes, the images next to it or in a
directory of their own (`img`); and videos next to text files of the same name. A line `x,y,w,h` per frame, or for the
first frame alone.

Nothing is skipped silently: an image next to a video (a preview), a file of an unsupported
format, a video next to numbered images; each is named in a warning with the reason.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ostrack_jax.data.annotations import read_boxes, valid
from ostrack_jax.data.frames import (
    UNREAD,
    VIDEOS,
    Frames,
    ImageFrames,
    Orientation,
    is_image_file,
    list_directory,
    list_images,
    natural,
    orientation_named,
)
from ostrack_jax.data.lazy import KEPT, LazySequences
from ostrack_jax.data.readers.common import by_name
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.data.video import VideoFrames
from ostrack_jax.errors import UserError, listed

# Names a file of boxes has among several text files, the first that is there.
BOX_FILES = ("groundtruth.txt", "groundtruth_rect.txt", "boxes.txt", "gt.txt")
# Where a sequence's directory has its frames in a directory of their own, the first that is there.
FRAMES_IN = ("img", "imgs", "images", "frames", "color", "rgb")

_PREVIEW = re.compile(r"(thumb|cover|poster|preview|folder\b)", re.IGNORECASE)  # how their names begin
_DEEPEST = 4  # directories within each other
_OPEN_VIDEOS = 512  # sequences kept where there are videos among them

# Where the frames lie (a directory of images or a video) and the files that may hold their boxes.
Key = tuple[Path, tuple[Path, ...]]

_log = logging.getLogger(__name__)


def open_folder(directory: Path, orientation: str = "shown") -> LazySequences:
    """Every sequence in ``directory``, by name: that of its directory, or of its video; deeper ones as `outer-inner`.

    Args:
      directory: of sequences, or of one.
      orientation: whether boxes count the pixels as ``shown``, or as ``stored``, see `frames.Orientation`.

    Raises:
      UserError: two sequences have one name.
    """
    read = functools.partial(_read, orientation_named(orientation))
    skipped: list[str] = []
    keys = by_name(directory, _walk(directory, (), skipped))
    for line in skipped:
        _log.warning("%s", line)
    # Each video holds its file open.
    videos = any(place.suffix.lower() in VIDEOS and not place.is_dir() for place, _ in keys.values())
    return LazySequences(keys, read, _OPEN_VIDEOS if videos else KEPT)


def find_frames(source: Path) -> tuple[Path, list[str]]:
    """The path of the frames of a video or of a directory with one sequence; and a line for files skipped there.

    Args:
      source: a video; or a directory of images, of one video, or with its images in a directory of their own.

    Raises:
      UserError: the file is missing, or the directory holds several videos.
    """
    if not source.is_dir():
        if not source.exists():
            raise UserError(f"no video or folder {source}")
        return source, []
    found = _look(source)
    if found.frames:
        return source, found.skipped
    if len(found.videos) > 1:
        raise UserError(f"{source} holds {len(found.videos)} videos: give one, such as {source / found.videos[0]}")
    if found.videos:
        return source / found.videos[0], found.skipped
    inner = _inner_frames(found)
    return (source, found.skipped) if inner is None else (inner.directory, [*found.skipped, *inner.skipped])


def open_frames(place: Path, orientation: Orientation = "shown") -> Frames:
    """Open a video, or a directory of images; see `frames.Orientation`.

    Raises:
      UserError: there is none, or the directory cannot be listed.
    """
    frames = ImageFrames(_frame_paths(place), orientation) if place.is_dir() else VideoFrames(place, orientation)
    if not len(frames):
        raise UserError(f"{place} holds no frames")
    return frames


@dataclass(frozen=True)
class _Contents:
    """The contents of one directory, names in the order of their numbers.

    Attributes:
      directory: its path.
      frames: images that are the frames of one sequence.
      videos: that are sequences.
      texts: text files.
      inner: directories.
      skipped: a line for each kind of file that looks like one of these but is not used.
    """

    directory: Path
    frames: list[str]
    videos: list[str]
    texts: list[str]
    inner: list[str]
    skipped: list[str]


def _look(directory: Path) -> _Contents:
    """List ``directory``, hidden entries left out; a `UserError` where that is not possible."""
    entries = list_directory(directory)
    files = [entry.name for entry in entries if entry.is_file()]
    texts = [name for name in files if name.lower().endswith(".txt")]
    images = [name for name in files if is_image_file(name)]
    videos = [name for name in files if name.lower().endswith(VIDEOS)]
    filmed = {_stem(name) for name in videos}
    frames = _frames_among([name for name in images if _stem(name) not in filmed])
    with_boxes = set(texts)
    named = [name for name in videos if f"{_stem(name)}.txt" in with_boxes]
    if videos and (len(_numbered(frames)) < 2 or len(named) == len(videos) == len(texts)):
        frames = []
    moving = [name for name in videos if not name.lower().endswith(".gif")]
    taken = named if frames else moving or videos
    kept = {*frames, *taken}
    skipped = {
        "images next to a video" if taken and not frames else "not named as the frames are": images,
        "next to numbered images" if frames else "next to another video": videos,
        "formats that are not read here: convert them to PNG or MP4": [n for n in files if n.lower().endswith(UNREAD)],
    }
    rest = {why: [name for name in names if name not in kept] for why, names in skipped.items()}
    lines = [f"skipped in {directory}: {listed(names, 3)} ({why})" for why, names in rest.items() if names]
    return _Contents(directory, frames, taken, texts, [entry.name for entry in entries if entry.is_dir()], lines)


def _frames_among(images: list[str]) -> list[str]:
    """The images that are frames: no previews; where two or more have a number in their name, those that have one."""
    rest = [name for name in images if not _PREVIEW.match(name)] or images
    numbered = _numbered(rest)
    return numbered if len(numbered) > 1 else rest


def _frame_paths(directory: Path) -> list[str]:
    """The frames in a directory of images.

    Raises:
      UserError: it cannot be listed, holds no image, or two of one name (0001.jpg and 0001.png).
    """
    paths = {os.path.basename(path): path for path in list_images(directory)}
    frames = _frames_among(list(paths))
    stem, count = Counter(map(_stem, frames)).most_common(1)[0]
    if count > 1:
        both = listed([name for name in frames if _stem(name) == stem], 3)
        expected = "expected one image of a name, the others in a directory of their own"
        raise UserError(f"{directory} holds {both}: {expected}")
    return [paths[name] for name in frames]


def _inner_frames(found: _Contents) -> _Contents | None:
    """The directory in that of ``found`` that has its frames: one of `FRAMES_IN`, or the only one with images alone."""
    names = sorted(found.inner, key=lambda name: (FRAMES_IN.index(name) if name in FRAMES_IN else 99, natural(name)))
    insides = (_look(found.directory / name) for name in names)
    holding = []
    for inside in insides:
        if inside.frames and not inside.texts:
            if inside.directory.name in FRAMES_IN:
                return inside
            holding.append(inside)
    return holding[0] if len(holding) == 1 else None


def _walk(directory: Path, parts: tuple[str, ...], skipped: list[str]) -> Iterator[tuple[str, Key]]:
    """The sequences of a directory, whose names from the outermost on are ``parts``, and of those in it."""
    found = _look(directory)
    skipped += found.skipped
    own = list(_sequences(parts, found, skipped))
    used = {place for _, (place, _) in own}
    inner: list[tuple[str, Key]] = []
    for name in found.inner:
        if directory / name in used:
            continue
        if len(parts) == _DEEPEST:
            skipped.append(f"skipped in {directory}: {name} (deeper than {_DEEPEST} directories)")
        else:
            inner += _walk(directory / name, (*parts, name), skipped)
    if len(own) == 1:  # what has no boxes in a sequence's directory is something else: masks, another camera
        skipped += [f"skipped: {place} (no text file of boxes next to it)" for _, (place, texts) in inner if not texts]
        inner = [(name, key) for name, key in inner if key[1]]
    elif not own and not inner:  # a directory that has lost its frames is an error when it is read
        boxes = _choose(directory, found.texts)
        if boxes and boxes[0].name in _box_names(directory):
            own = [(_name(directory, parts), (directory, boxes))]
    return iter((*own, *inner))


def _sequences(parts: tuple[str, ...], found: _Contents, skipped: list[str]) -> Iterator[tuple[str, Key]]:
    """The sequences whose boxes lie in a directory itself."""
    directory = found.directory
    own = [f"{Path(video).stem}.txt" for video in found.videos]
    of_videos = set(own)
    rest = [text for text in found.texts if text not in of_videos]
    if found.frames:
        yield _name(directory, parts), (directory, _choose(directory, rest))
    elif not found.videos and rest and (inner := _inner_frames(found)):
        skipped += inner.skipped
        yield _name(directory, parts), (inner.directory, _choose(directory, rest))
    elif len(found.videos) == 1:
        boxes = (directory / own[0],) if own[0] in found.texts else _choose(directory, rest)
        yield "-".join(parts) or Path(found.videos[0]).stem, (directory / found.videos[0], boxes)
        return
    for video, text in zip(found.videos, own, strict=True):
        yield "-".join((*parts, Path(video).stem)), (directory / video, (directory / text,))


def _name(directory: Path, parts: tuple[str, ...]) -> str:
    return "-".join(parts) or directory.resolve().name


def _box_names(directory: Path) -> tuple[str, ...]:
    """Names of a file of boxes in ``directory``, the surest first."""
    return (f"{directory.resolve().name}.txt", *BOX_FILES)


def _choose(directory: Path, texts: list[str]) -> tuple[Path, ...]:
    """The file of boxes among a directory's text files; several if none can be preferred."""
    names = [name for name in _box_names(directory) if name in texts][:1] or texts
    return tuple(directory / name for name in names)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _numbered(names: list[str]) -> list[str]:
    return [name for name in names if re.search(r"\d", _stem(name))]


def _read(orientation: Orientation, name: str, key: Key) -> Sequence:
    place, texts = key
    if len(texts) != 1:
        found = f"{len(texts)} text files ({', '.join(path.name for path in texts[:4])})" if texts else "no text file"
        raise UserError(f"sequence {name}: {found} next to {place}: expected one of boxes, such as {BOX_FILES[0]}", "")
    frames = open_frames(place, orientation)
    boxes = read_boxes(texts[0])
    if len(boxes) == 1 < len(frames):
        boxes = np.concatenate([boxes, np.full((len(frames) - 1, 4), np.nan)])
    if len(boxes) != len(frames):
        raise UserError(
            f"{texts[0]} has {len(boxes)} boxes for {len(frames)} frames: expected one for each, or for the first",
            fix="",
        )
    return Sequence(name, frames, boxes, valid(boxes))
