"""ImageNet VID's layout (Russakovsky et al. 2015), a sequence per tracklet.

`Data/VID/train/.../SNIPPET/000000.JPEG` and `Annotations/VID/train/.../SNIPPET/000000.xml`. A tracklet is a target from
its first frame up to its first gap (as the release has it); frames in which it is occluded are not visible. The
1.1 million XML files are read once, into arrays that are cached.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.annotations import valid
from ostrack_jax.data.frames import ImageFrames, list_directory, list_images
from ostrack_jax.data.index import Arrays, cached, each, sign
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.common import by_name, first_that, number, subdirectories
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

_FORM = "2"  # of the index: another number makes it again

_log = logging.getLogger(__name__)


def open_vid(directory: Path, part: str = "train") -> LazySequences:
    """Every tracklet, named SNIPPET-TRACK.

    Args:
      directory: of `Data` and `Annotations` (the archive's `ILSVRC` or `ILSVRC2015`), or its parent.
      part: train | val.

    Raises:
      UserError: a snippet lies there twice.
    """
    root = first_that(
        lambda root: (root / "Annotations/VID" / part).is_dir(),
        (directory, directory / "ILSVRC", directory / "ILSVRC2015"),
    )
    if root is None:
        return LazySequences({}, functools.partial(_build, directory, {}))
    top = root / "Annotations/VID" / part
    # Snippets lie at most two levels below; the times of change of all these directories show what is new.
    directories = [path for outer in subdirectories(top) for path in (outer, *subdirectories(outer))]
    index = cached("vid", top, f"{_FORM} {sign(directories)}", lambda: read_tracklets(top, directories))
    if corrupt := index["corrupt"].tolist():
        _log.warning("%d annotations cannot be read (%s, ...)", len(corrupt), top / corrupt[0])
    tracklets = zip(index["snippet"].tolist(), index["track"].tolist(), strict=True)
    names = [f"{os.path.basename(snippet)}-{track}" for snippet, track in tracklets]
    keys = by_name(top, ((name, row) for row, name in enumerate(names)))
    return LazySequences(keys, functools.partial(_build, root / "Data/VID" / part, index))


def read_tracklets(top: Path, directories: list[Path]) -> Arrays:
    """Read all tracklets of the directories below ``top``.

    Returns:
      snippet: its directory below ``top``; track: its id within; first: number of its first frame; start: its first row
      in box and occluded, and after the last tracklet the rows there are; box: left, top, width, height in pixels;
      size: width and height of the frames; corrupt: files below ``top`` that could not be read (their frame is a gap).
    """
    snippets, tracks, corrupt, tables = [], [], [], [np.zeros((0, 8))]
    found_in = each(directories, _read_snippet, "indexing ImageNet VID")
    for directory, (found, failed) in zip(directories, found_in, strict=True):
        place = str(directory.relative_to(top))
        corrupt += [f"{place}/{name}" for name in failed]
        snippets += [place] * len(found)
        tracks += found
        tables += found.values()
    table, start = np.concatenate(tables), np.cumsum([len(rows) for rows in tables])
    return {
        "snippet": np.array(snippets, np.str_),
        "track": np.array(tracks, np.str_),
        "first": table[start[:-1], 0].astype(np.int64),
        "start": start,
        "size": table[start[:-1], 1:3].astype(np.int64),
        "box": table[:, 3:7].astype(np.float32),
        "occluded": table[:, 7] > 0,
        "corrupt": np.array(corrupt, np.str_),
    }


def _read_snippet(directory: Path) -> tuple[dict[str, Float[np.ndarray, "t 8"]], list[str]]:
    """The tracklets of one snippet by track, and the names of the annotations that could not be read.

    A row of a tracklet is the frame's number, width and height, the box, and whether it is occluded.
    """
    tracklets: dict[str, list[tuple[float, ...]]] = {}
    corrupt = []
    for name in sorted(entry.name for entry in list_directory(directory)):
        stem = name.removesuffix(".xml")
        if stem == name or not (stem.isdecimal() and len(stem) < 10):
            continue
        try:
            size_wh, targets = read_targets(directory / name)
        except UserError:
            corrupt.append(name)
            continue
        for track, box_xywh, occluded in targets:
            rows = tracklets.setdefault(track, [])
            if not rows or int(stem) == rows[-1][0] + 1:  # not behind a gap
                rows.append((int(stem), *size_wh, *box_xywh, occluded))
    return {track: np.array(rows, np.float64) for track, rows in tracklets.items()}, corrupt


Target = tuple[str, tuple[float, float, float, float], bool]


def read_targets(path: Path) -> tuple[tuple[int, int], list[Target]]:
    """Read one frame's annotation.

    Python's parser fetches nothing; a document type, the way to entities, is refused.

    Returns:
      The frame's width and height; of each target its track, its box (left, top, width, height in pixels: the right
      edge less the left, as the release reads it), and whether it is occluded.

    Raises:
      UserError: no such file, or one that is not VID's.
    """
    try:
        data = path.read_bytes()
        if b"<!DOCTYPE" in data:
            raise ValueError("a document type, which no file of the set has")
        root = ElementTree.fromstring(data)
        if root.tag != "annotation":
            raise ValueError(f"its root is {root.tag[:40]!r}")
        size_wh = (int(_text(root, "size/width")), int(_text(root, "size/height")))
        return size_wh, [_target(found) for found in root.iterfind("object")]
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}") from e
    except (ElementTree.ParseError, ValueError, OverflowError) as e:
        raise UserError(f"{path} does not hold a frame of ImageNet VID: {e}") from e


def _target(found: ElementTree.Element) -> Target:
    left, top, right, bottom = (float(_text(found, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
    box_xywh = (left, top, right - left, bottom - top)
    return _text(found, "trackid"), box_xywh, (found.findtext("occluded") or "0").strip() != "0"


def _text(element: ElementTree.Element, path: str) -> str:
    text = (element.findtext(path) or "").strip()
    if not text:
        raise ValueError(f"no {path}")
    return text


def _build(data: Path, index: Arrays, name: str, row: int) -> Sequence:
    """One tracklet, up to the first frame whose image is not there."""
    place = str(index["snippet"][row])
    rows = slice(*index["start"][row : row + 2].tolist())
    first, count = int(index["first"][row]), rows.stop - rows.start
    numbered = {number(path): path for path in list_images(data / place)}
    images = [numbered[i] for i in itertools.takewhile(numbered.__contains__, range(first, first + count))]
    if not images:
        fix = "its images are missing: unpack its archive again"
        raise UserError(f"sequence {name}: no image {first} in {data / place}, where its annotation begins", fix)
    flaws = []
    if len(images) < count:
        flaws.append(f"no image {first + len(images)} in {data / place}: the first {len(images)} frames are used")
    inside = [path for path in index["corrupt"].tolist() if os.path.dirname(path) == place]
    flaws += [f"the annotation {path} cannot be read: tracklets end there" for path in inside]
    boxes = index["box"][rows][: len(images)].astype(np.float64)
    visible = valid(boxes) & ~index["occluded"][rows][: len(images)]
    width, height = index["size"][row].tolist()
    return Sequence(name, ImageFrames(images, "stored"), boxes, visible, size_wh=(width, height), flaws=tuple(flaws))
