"""ImageNet VID's layout (Russakovsky et al. 2015). Enters: its folder, a part. Leaves: a sequence per tracklet.

`Data/VID/train/.../SNIPPET/000000.JPEG` and `Annotations/VID/train/.../SNIPPET/000000.xml`. A tracklet is a target from
its first frame up to its first gap (as the release has it); frames in which it is occluded are not visible. The
1.1 million XML files are read once, into arrays that are cached.
"""

from __future__ import annotations

import functools
import logging
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ostrack_jax.data.annotations import valid
from ostrack_jax.data.frames import ImageFrames, list_directory, list_images
from ostrack_jax.data.index import Arrays, cached, each, sign
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.vid_xml import read_frame
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown

PARTS = ("train", "val")
_MOST_BROKEN = 1000  # unreadable files that an index names

_log = logging.getLogger(__name__)


def open_vid(directory: Path, part: str = "train") -> LazySequences:
    """Every tracklet, named SNIPPET-TRACK.

    Args:
      directory: of `Data` and `Annotations` (the archive's `ILSVRC` or `ILSVRC2015`), or its parent.
      part: train | val.

    Raises:
      UserError: an unknown part, no annotations, no tracklet in them.
    """
    if part not in PARTS:
        raise unknown("part of ImageNet VID", part, PARTS)
    roots = [
        root
        for root in (directory, directory / "ILSVRC", directory / "ILSVRC2015")
        if _annotations(root, part).is_dir()
    ]
    if not roots:
        raise UserError(f"no Annotations/VID/{part} in {directory}: expected ImageNet VID's folder")
    top = _annotations(roots[0], part)
    folders = list(_folders(top))
    index = cached("vid", top, sign(folders), lambda: read_tracklets(top, folders))
    if not len(index["track"]):
        raise UserError(f"no tracklet in {top}: expected XML files with objects in folders of their snippet")
    if broken := len(index["broken"]):
        more = " or more" if broken == _MOST_BROKEN else ""
        _log.warning("%d%s annotations cannot be read (%s, ...)", broken, more, top / os.fsdecode(index["broken"][0]))
    keys: dict[str, int] = {}
    for row in range(len(index["track"])):
        if keys.setdefault(name := _name(index, row), row) != row:
            raise UserError(f"two tracklets {name} in {top}: expected each snippet's folder once")
    return LazySequences(keys, functools.partial(_build, roots[0] / "Data/VID" / part, index))


def read_tracklets(top: Path, folders: list[Path]) -> Arrays:
    """All tracklets of the folders below ``top`` as arrays.

    Returns:
      snippet: its folder below ``top``; track: its id within; first: number of its first frame; start: its first row
      in box and occluded, and after the last tracklet the rows there are; box: left, top, width, height in pixels;
      size: width and height of the frames; broken: files below ``top`` that could not be read (their frame is a gap).
    """
    snippets, tracks, broken = [], [], []
    first, start, sizes = array("q"), array("q", [0]), array("q")
    boxes, occluded = array("f"), array("b")
    for directory, (found, failed) in zip(folders, each(folders, _snippet, "indexing ImageNet VID"), strict=True):
        place = os.fsencode(directory.relative_to(top))
        broken += [os.path.join(place, os.fsencode(name)) for name in failed]
        for tracklet in found:
            snippets.append(place)
            tracks.append(os.fsencode(tracklet.track))
            first.append(tracklet.first)
            sizes.extend(tracklet.size_wh)
            boxes.extend(tracklet.boxes)
            occluded.extend(tracklet.occluded)
            start.append(len(occluded))
    return {
        "snippet": np.array(snippets, bytes),
        "track": np.array(tracks, bytes),
        "first": np.array(first, np.int64),
        "start": np.array(start, np.int64),
        "size": np.array(sizes, np.int64).reshape(-1, 2),
        "box": np.array(boxes).reshape(-1, 4),
        "occluded": np.array(occluded).astype(bool),
        "broken": np.array(broken[:_MOST_BROKEN], bytes),
    }


class Tracklet:
    """One target while it is being collected: its consecutive frames."""

    def __init__(self, track: str, first: int, size_wh: tuple[int, int]) -> None:
        self.track, self.first, self.size_wh = track, first, size_wh
        self.boxes, self.occluded = array("f"), array("b")

    def ends_before(self, number: int) -> bool:
        """Whether frame ``number`` is not the one after its last."""
        return number != self.first + len(self.occluded)


def _snippet(directory: Path) -> tuple[list[Tracklet], list[str]]:
    """The tracklets of one snippet, and the names of the annotations that could not be read."""
    tracklets: dict[str, Tracklet] = {}
    broken = []
    for name in sorted(entry.name for entry in list_directory(directory)):
        stem = name.removesuffix(".xml")
        if stem == name or not (stem.isdecimal() and len(stem) < 10):
            continue
        try:
            frame = read_frame(directory / name)
        except UserError:
            broken.append(name)
            continue
        for target in frame.targets:
            tracklet = tracklets.setdefault(target.track, Tracklet(target.track, int(stem), frame.size_wh))
            if not tracklet.ends_before(int(stem)):
                tracklet.boxes.extend(target.box_xywh)
                tracklet.occluded.append(target.occluded)
    return list(tracklets.values()), broken


def _build(data: Path, index: Arrays, name: str, row: int) -> Sequence:
    """One tracklet, up to the first frame whose picture is not there."""
    place = os.fsdecode(index["snippet"][row])
    rows = slice(*index["start"][row : row + 2].tolist())
    first, count = int(index["first"][row]), rows.stop - rows.start
    numbered = {int(stem): path for path in list_images(data / place) if (stem := Path(path).stem).isdecimal()}
    pictures = []
    for number in range(first, first + count):
        if number not in numbered:
            break
        pictures.append(numbered[number])
    flaws = []
    if not pictures:
        raise UserError(f"sequence {name}: no picture {first} in {data / place}, where its annotation begins")
    if len(pictures) < count:
        flaws.append(f"no picture {first + len(pictures)} in {data / place}: the first {len(pictures)} frames are used")
    inside = [path for path in index["broken"].tolist() if os.path.dirname(path) == os.fsencode(place)]
    flaws += [f"the annotation {os.fsdecode(path)} cannot be read: tracklets end there" for path in inside]
    boxes = index["box"][rows][: len(pictures)].astype(np.float64)
    visible = valid(boxes) & ~index["occluded"][rows][: len(pictures)]
    width, height = index["size"][row].tolist()
    return Sequence(name, ImageFrames(pictures, "stored"), boxes, visible, size_wh=(width, height), flaws=tuple(flaws))


def _name(index: Arrays, row: int) -> str:
    return f"{os.path.basename(os.fsdecode(index['snippet'][row]))}-{os.fsdecode(index['track'][row])}"


def _annotations(root: Path, part: str) -> Path:
    return root / "Annotations" / "VID" / part


def _folders(directory: Path, depth: int = 2) -> Iterator[Path]:
    """The folders of snippets: all folders at most ``depth`` below, whose times of change tell what is new."""
    for entry in list_directory(directory):
        if entry.is_dir():
            yield directory / entry.name
            if depth > 1:
                yield from _folders(directory / entry.name, depth - 1)
