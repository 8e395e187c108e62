"""The contents of a directory of one's own: frames, videos, text files, and a line for what is none of these.

Nothing is skipped silently: an image next to a video that is no frame (a preview), a file of a format that is not read
here, a video next to numbered images; each is named in a line with the reason.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ostrack_jax.data.frames import UNREAD, VIDEOS, is_image_file, list_directory, list_images, natural
from ostrack_jax.errors import UserError

# Where a sequence's directory has its frames in a directory of their own, the first that is there.
FRAMES_IN = ("img", "imgs", "images", "frames", "color", "rgb")

_PREVIEW = re.compile(r"(thumb|cover|poster|preview|folder\b)", re.IGNORECASE)  # how their names begin
_NAMED = 3  # skipped files named in a line


@dataclass(frozen=True)
class Contents:
    """One directory, names in the order of their numbers.

    Attributes:
      directory: its path.
      frames: images that are the frames of one sequence.
      videos: that are sequences.
      texts: text files.
      folders: directories.
      skipped: a line for each kind of file that is none of these though it looks like one.
    """

    directory: Path
    frames: list[str]
    videos: list[str]
    texts: list[str]
    folders: list[str]
    skipped: list[str]


def look(directory: Path) -> Contents:
    """What ``directory`` itself holds; hidden entries are left out.

    Raises:
      UserError: it cannot be listed.
    """
    entries = list_directory(directory)
    files = [entry.name for entry in entries if entry.is_file()]
    texts = [name for name in files if name.lower().endswith(".txt")]
    images = [name for name in files if is_image_file(name)]
    videos = [name for name in files if name.lower().endswith(VIDEOS)]
    filmed = {_stem(name) for name in videos}
    frames = frames_among([name for name in images if _stem(name) not in filmed])
    with_boxes = set(texts)
    named = [name for name in videos if f"{_stem(name)}.txt" in with_boxes]
    if videos and (len(_numbered(frames)) < 2 or len(named) == len(videos) == len(texts)):
        frames = []
    moving = [name for name in videos if not name.lower().endswith(".gif")]
    taken = named if frames else moving or videos
    skipped = {
        "images next to a video" if taken and not frames else "not named as the frames are": _without(images, frames),
        "next to numbered images" if frames else "next to another video": _without(videos, taken),
        "formats that are not read here: convert them to PNG or MP4": [n for n in files if n.lower().endswith(UNREAD)],
    }
    lines = [f"skipped in {directory}: {_listed(names)} ({why})" for why, names in skipped.items() if names]
    folders = [entry.name for entry in entries if entry.is_dir()]
    return Contents(directory, frames, taken, texts, folders, lines)


def frames_among(images: list[str]) -> list[str]:
    """The images that are frames: no previews; where two or more have a number in their name, those that have one."""
    rest = [name for name in images if not _PREVIEW.match(name)] or images
    numbered = _numbered(rest)
    return numbered if len(numbered) > 1 else rest


def frame_paths(directory: Path) -> list[str]:
    """The frames in a directory of images.

    Raises:
      UserError: it cannot be listed, holds no image, or two of one name (0001.jpg and 0001.png).
    """
    paths = list_images(directory)
    frames = frames_among([os.path.basename(path) for path in paths])
    stem, count = Counter(map(_stem, frames)).most_common(1)[0]
    if count > 1:
        both = _listed([name for name in frames if _stem(name) == stem])
        raise UserError(
            f"{directory} holds {both}: expected one image of a name, the others in a directory of their own"
        )
    kept = set(frames)
    return [path for path in paths if os.path.basename(path) in kept]


def inner_frames(found: Contents) -> Contents | None:
    """The directory in that of ``found`` that has its frames: one of `FRAMES_IN`, or the only one with images alone."""
    holding = []
    for name in sorted(
        found.folders, key=lambda name: (FRAMES_IN.index(name) if name in FRAMES_IN else 99, natural(name))
    ):
        inner = look(found.directory / name)
        if inner.frames and not inner.texts:
            if name in FRAMES_IN:
                return inner
            holding.append(inner)
    return holding[0] if len(holding) == 1 else None


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _numbered(names: list[str]) -> list[str]:
    return [name for name in names if re.search(r"\d", _stem(name))]


def _without(names: list[str], taken: Iterable[str]) -> list[str]:
    kept = set(taken)
    return [name for name in names if name not in kept]


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
