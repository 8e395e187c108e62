"""A plain folder of one's own. Enters: pictures or videos and text files of boxes. Leaves: sequences, read lazily.

Understood: a folder, or folders in it, with pictures or one video and a text file of boxes; and videos side by side
with text files of the same name. A line `x,y,w,h` per frame, or for the first frame alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ostrack_jax.datasets.annotations import read_boxes, valid
from ostrack_jax.datasets.frames import VIDEOS, PictureFrames, is_picture, list_folder, list_pictures
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.sequence import Frames, Sequence
from ostrack_jax.datasets.video import VideoFrames
from ostrack_jax.errors import UserError

# Names a file of boxes has among several text files, the first that is there.
BOX_FILES = ("groundtruth.txt", "groundtruth_rect.txt", "boxes.txt", "gt.txt")

# Sequences kept where there are videos among them: each holds its file open.
_OPEN_VIDEOS = 512

# Where the frames lie (a folder of pictures or a video) and the files that may hold their boxes.
Key = tuple[Path, tuple[Path, ...]]


def open_folder(folder: Path, orientation: str = "shown") -> LazySequences:
    """Every sequence in ``folder``, by name.

    Args:
      folder: of sequences, or of one.
      orientation: whether boxes count the pixels as ``shown``, or as ``stored``, see `frames.Orientation`.

    Raises:
      UserError: it holds neither pictures nor videos, nor folders that do.
    """
    places = [(folder, False), *((folder / entry.name, True) for entry in list_folder(folder) if entry.is_dir())]
    keys: dict[str, Key] = {}
    for place, inside in places:
        for name, key in _find(place, inside):
            if name in keys:
                raise UserError(f"two sequences named {name} in {folder}: {keys[name][0]} and {key[0]}")
            keys[name] = key
    if not keys:
        raise UserError(
            f"no sequence in {folder}: expected pictures or a video with a text file of boxes (x,y,w,h a line), "
            "or folders of such"
        )
    videos = any(place.suffix.lower() in VIDEOS for place, _ in keys.values())
    return LazySequences(keys, _read, keep=_OPEN_VIDEOS if videos else None)


def _find(folder: Path, inside: bool) -> list[tuple[str, Key]]:
    """The sequences that lie in ``folder`` itself; ``inside`` a larger one, a lone video goes by its name."""
    files = [entry.name for entry in list_folder(folder) if entry.is_file()]
    texts = [name for name in files if name.lower().endswith(".txt")]
    if any(is_picture(name) for name in files):
        return [(folder.resolve().name, (folder, _choose(folder, texts)))]
    videos = [Path(name) for name in files if name.lower().endswith(VIDEOS)]
    if len(videos) == 1:
        own = f"{videos[0].stem}.txt"
        boxes = (folder / own,) if own in texts else _choose(folder, texts)
        return [(folder.name if inside else videos[0].stem, (folder / videos[0], boxes))]
    prefix = f"{folder.name}-" if inside else ""
    return [(prefix + video.stem, (folder / video, (folder / f"{video.stem}.txt",))) for video in videos]


def _choose(folder: Path, texts: list[str]) -> tuple[Path, ...]:
    """The file of boxes among a folder's text files; more than one where there is no telling."""
    for name in (f"{folder.resolve().name}.txt", *BOX_FILES):
        if name in texts:
            return (folder / name,)
    return tuple(folder / name for name in texts)


def _read(name: str, key: Key) -> Sequence:
    place, texts = key
    if len(texts) != 1:
        found = f"{len(texts)} text files ({', '.join(path.name for path in texts[:4])})" if texts else "no text file"
        raise UserError(f"sequence {name}: {found} beside {place}: expected one of boxes, such as {BOX_FILES[0]}")
    frames: Frames = PictureFrames(list_pictures(place)) if place.is_dir() else VideoFrames(place)
    boxes = read_boxes(texts[0])
    if len(boxes) == 1 < len(frames):
        boxes = np.concatenate([boxes, np.full((len(frames) - 1, 4), np.nan)])
    if len(boxes) != len(frames):
        raise UserError(
            f"{texts[0]} has {len(boxes)} boxes for {len(frames)} frames: expected one for each, or for the first alone"
        )
    return Sequence(name, frames, boxes, valid(boxes))
