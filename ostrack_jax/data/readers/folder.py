"""A directory of one's own. Enters: images or videos and text files of boxes. Leaves: sequences, read lazily.

Understood, at any depth: a directory with images or one video and a text file of boxes, the images next to it or in a
directory of their own (`img`); and videos next to text files of the same name. A line `x,y,w,h` per frame, or for the
first frame alone. What looks like frames and is not read is named in a warning.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ostrack_jax.data.annotations import read_boxes, valid
from ostrack_jax.data.frames import VIDEOS, ImageFrames, Orientation, orientation_named
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.contents import Contents, frame_paths, inner_frames, look
from ostrack_jax.data.sequence import Frames, Sequence
from ostrack_jax.data.video import VideoFrames
from ostrack_jax.errors import UserError

# Names a file of boxes has among several text files, the first that is there.
BOX_FILES = ("groundtruth.txt", "groundtruth_rect.txt", "boxes.txt", "gt.txt")

_DEEPEST = 4  # directories within each other
_TOLD = 20  # lines on what is skipped

# Sequences kept where there are videos among them: each holds its file open.
_OPEN_VIDEOS = 512

# Where the frames lie (a directory of images or a video) and the files that may hold their boxes.
Key = tuple[Path, tuple[Path, ...]]

_log = logging.getLogger(__name__)


def open_folder(directory: Path, orientation: str = "shown") -> LazySequences:
    """Every sequence in ``directory``, by name: that of its directory, or of its video; deeper ones as `outer-inner`.

    Args:
      directory: of sequences, or of one.
      orientation: whether boxes count the pixels as ``shown``, or as ``stored``, see `frames.Orientation`.

    Raises:
      UserError: it holds neither images nor videos, nor directories that do; two sequences have one name.
    """
    read = functools.partial(_read, orientation_named(orientation))
    skipped: list[str] = []
    keys: dict[str, Key] = {}
    for name, key in _walk(directory, (), skipped):
        if name in keys:
            raise UserError(f"two sequences named {name} in {directory}: {keys[name][0]} and {key[0]}")
        keys[name] = key
    if not keys:
        raise UserError(
            f"no sequence in {directory}: expected pictures or a video with a text file of boxes (x,y,w,h a line), "
            f"or folders of such{''.join(f'; {line}' for line in skipped[:1])}"
        )
    for line in skipped[:_TOLD]:
        _log.warning("%s", line)
    if len(skipped) > _TOLD:
        _log.warning("%d more lines on what is skipped in %s", len(skipped) - _TOLD, directory)
    videos = any(_is_video(place) for place, _ in keys.values())
    return LazySequences(keys, read, keep=_OPEN_VIDEOS if videos else None)


def find_frames(source: Path) -> tuple[Path, list[str]]:
    """Where the frames of a video, or of a directory with one sequence, lie; and a line for what is skipped there.

    Args:
      source: a video; or a directory of images, of one video, or with its images in a directory of their own.

    Raises:
      UserError: there is no such file, or the directory holds several videos.
    """
    if not source.is_dir():
        if not source.exists():
            raise UserError(f"no video or folder {source}")
        return source, []
    found = look(source)
    if found.frames:
        return source, found.skipped
    if len(found.videos) > 1:
        raise UserError(f"{source} holds {len(found.videos)} videos: give one, such as {source / found.videos[0]}")
    if found.videos:
        return source / found.videos[0], found.skipped
    inner = inner_frames(found)
    return (source, found.skipped) if inner is None else (inner.directory, [*found.skipped, *inner.skipped])


def open_frames(place: Path, orientation: Orientation = "shown") -> Frames:
    """The frames of a video, or those in a directory of images; see `frames.Orientation`.

    Raises:
      UserError: there is none, or the directory cannot be listed.
    """
    frames = ImageFrames(frame_paths(place), orientation) if place.is_dir() else VideoFrames(place, orientation)
    if not len(frames):
        raise UserError(f"{place} holds no frames")
    return frames


def _walk(directory: Path, parts: tuple[str, ...], skipped: list[str]) -> Iterator[tuple[str, Key]]:
    """The sequences of a directory, whose names from the outermost on are ``parts``, and of those in it."""
    found = look(directory)
    skipped += found.skipped
    own = list(_sequences(directory, parts, found, skipped))
    used = {place for _, (place, _) in own}
    inner: list[tuple[str, Key]] = []
    for name in found.folders:
        if directory / name in used:
            continue
        if len(parts) == _DEEPEST:
            skipped.append(f"skipped in {directory}: {name} (deeper than {_DEEPEST} directories)")
        else:
            inner += _walk(directory / name, (*parts, name), skipped)
    if len(own) == 1:  # what has no boxes in a sequence's directory is something else: masks, another camera
        skipped += [f"skipped: {place} (no text file of boxes next to it)" for _, (place, texts) in inner if not texts]
        inner = [(name, key) for name, key in inner if key[1]]
    elif not own and not inner and (boxes := _choose(directory, found.texts)) and boxes[0].name in _names(directory):
        own = [
            ("-".join(parts) or directory.resolve().name, (directory, boxes))
        ]  # its frames are gone: said when it is read
    return iter((*own, *inner))


def _sequences(
    directory: Path, parts: tuple[str, ...], found: Contents, skipped: list[str]
) -> Iterator[tuple[str, Key]]:
    """The sequences whose boxes lie in ``directory`` itself."""
    name = "-".join(parts)
    own = [f"{Path(video).stem}.txt" for video in found.videos]
    of_videos = set(own)
    rest = [text for text in found.texts if text not in of_videos]
    if found.frames:
        yield name or directory.resolve().name, (directory, _choose(directory, rest))
    elif not found.videos and rest and (inner := inner_frames(found)):
        skipped += inner.skipped
        yield name or directory.resolve().name, (inner.directory, _choose(directory, rest))
    elif len(found.videos) == 1:
        boxes = (directory / own[0],) if own[0] in found.texts else _choose(directory, rest)
        yield name or Path(found.videos[0]).stem, (directory / found.videos[0], boxes)
        return
    for video, text in zip(found.videos, own, strict=True):
        yield "-".join((*parts, Path(video).stem)), (directory / video, (directory / text,))


def _names(directory: Path) -> tuple[str, ...]:
    """Names of a file of boxes in ``directory``, the surest first."""
    return (f"{directory.resolve().name}.txt", *BOX_FILES)


def _choose(directory: Path, texts: list[str]) -> tuple[Path, ...]:
    """The file of boxes among a folder's text files; more than one where there is no telling."""
    for name in _names(directory):
        if name in texts:
            return (directory / name,)
    return tuple(directory / name for name in texts)


def _is_video(place: Path) -> bool:
    return place.suffix.lower() in VIDEOS and not place.is_dir()


def _read(orientation: Orientation, name: str, key: Key) -> Sequence:
    place, texts = key
    if len(texts) != 1:
        found = f"{len(texts)} text files ({', '.join(path.name for path in texts[:4])})" if texts else "no text file"
        raise UserError(f"sequence {name}: {found} next to {place}: expected one of boxes, such as {BOX_FILES[0]}")
    frames = open_frames(place, orientation)
    boxes = read_boxes(texts[0])
    if len(boxes) == 1 < len(frames):
        boxes = np.concatenate([boxes, np.full((len(frames) - 1, 4), np.nan)])
    if len(boxes) != len(frames):
        raise UserError(
            f"{texts[0]} has {len(boxes)} boxes for {len(frames)} frames: expected one for each, or for the first alone"
        )
    return Sequence(name, frames, boxes, valid(boxes))
