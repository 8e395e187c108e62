"""NFS's two layouts (Galoogahi et al. 2017). Enters: its folder, a part. Leaves: sequences, read lazily.

The authors' download: `NAME/30/NAME/00001.jpg` and `NAME/30/NAME.txt`, and the same with 240. A line of the annotation
is `track x1 y1 x2 y2 frame lost occluded generated "label"`. The re-hosted form, at 30 frames a second alone:
`sequences/NAME/00001.jpg` and `anno/nfs_NAME.txt` (or `NAME.txt`) of x y width height.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from ostrack_jax.data.annotations import FARTHEST, Annotation, check_gaps, read_annotation, valid
from ostrack_jax.data.frames import ImageFrames, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import Row, read_table
from ostrack_jax.data.lists.tables import between, there
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown
from ostrack_jax.io import read_text

PARTS = ("30", "240")
SHAPE = "NAME/30/NAME/00001.jpg .. and NAME/30/NAME.txt, or sequences/NAME/00001.jpg .. and anno/nfs_NAME.txt"
_EVERY = 8  # 240 frames a second to 30


def open_nfs(directory: Path, part: str = "30") -> LazySequences:
    """The sequences of one frame rate that are there, of the published 100.

    Args:
      directory: of the sequences' folders, or of `sequences` and `anno`.
      part: 30 | 240 frames a second.

    Raises:
      UserError: an unknown part, none of the sequences at that rate.
    """
    if part not in PARTS:
        raise unknown("part of NFS", part, PARTS)

    def is_there(row: Row) -> bool:
        return (directory / row.name / part).is_dir() or (
            part == "30" and (directory / "sequences" / row.name).is_dir()
        )

    rows = there(f"NFS at {part} frames/s", directory, read_table("nfs"), is_there, SHAPE)
    return LazySequences({row.name: row for row in rows}, functools.partial(_read, directory, part))


def _read(root: Path, part: str, name: str, row: Row) -> Sequence:
    place = root / name / part
    if not place.is_dir():
        return _rehosted(root, name, row)
    pictures = list_images(place / name)
    table, lost = read_vatic(place / f"{name}.txt")
    if part == "30" and len(table) > len(pictures) * _EVERY / 2:  # boxes of the video at 240
        table, lost = table[::_EVERY], lost[::_EVERY]
    check_gaps(pictures, len(table), place / f"{name}.txt")
    if len(pictures) - len(table) in (-1, 1):  # so it is published, in ten sequences and more
        least = min(len(pictures), len(table))
        pictures, table, lost = pictures[:least], table[:least], lost[:least]
    found = read_annotation(place / f"{name}.txt", len(pictures), read=lambda path: table)
    visible = valid(found.boxes_xywh)
    visible &= ~lost[: len(visible)]
    return _sequence(row, pictures, found, visible)


def _rehosted(root: Path, name: str, row: Row) -> Sequence:
    """The re-hosted form; the pictures after the table's last have no box."""
    pictures = between(list_images(root / "sequences" / name), row.first, row.last)
    files = [root / "anno" / f"{prefix}{name}.txt" for prefix in ("nfs_", "")]
    found = read_annotation(next((path for path in files if path.is_file()), files[0]), pictures)
    return _sequence(row, pictures, found, valid(found.boxes_xywh))


def _sequence(row: Row, pictures: list[str], found: Annotation, visible: Bool[np.ndarray, " t"]) -> Sequence:
    return Sequence(
        row.name,
        ImageFrames(pictures[: len(visible)], "stored"),
        found.boxes_xywh,
        visible,
        flaws=found.flaws,
        category=row.category,
        attributes=row.attributes,
    )


def read_vatic(path: Path) -> tuple[Float[np.ndarray, "t 4"], Bool[np.ndarray, " t"]]:
    """Boxes as x, y, width, height, and which of them say that the target is out of view.

    Lines are those of the annotation tool VATIC: corners, the frame, three flags, a label in quotation marks. The
    frame is passed over: files count it from 0 or from 1.

    Raises:
      UserError: a line is none of these.
    """
    lines = read_text(path).rstrip().splitlines()
    rows = []
    for i, line in enumerate(lines):
        words = line.partition('"')[0].replace(",", " ").split()
        try:
            rows.append([float(word) for word in words[1:7]])
        except ValueError:
            rows.append([])
        if len(rows[-1]) != 6 or any(abs(number) > FARTHEST for number in rows[-1]):
            expected = 'track x1 y1 x2 y2 frame lost occluded generated "label"'
            raise UserError(f"{path} line {i + 1}: expected {expected}, found {line.strip()[:60]!r}")
    if not rows:
        raise UserError(f"{path} is empty: expected a line per frame")
    table = np.array(rows)
    boxes = np.concatenate([table[:, :2], table[:, 2:4] - table[:, :2]], axis=1)
    return boxes, table[:, 5] > 0
