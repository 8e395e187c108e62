"""NFS's two layouts (Galoogahi et al. 2017).

The authors' download: `NAME/30/NAME/00001.jpg` and `NAME/30/NAME.txt`, and the same with 240. A line of the annotation
is `track x1 y1 x2 y2 frame lost occluded generated "label"`. The re-hosted form, at 30 frames a second alone:
`sequences/NAME/00001.jpg` and `anno/nfs_NAME.txt` (or `NAME.txt`) of x y width height.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from ostrack_jax.data.annotations import check_gaps, parse_numbers, parse_rows, read_annotation
from ostrack_jax.data.frames import list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import Row, read_table
from ostrack_jax.data.readers.common import annotated, between, first_that, those_there
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.io import read_text

_EVERY = 8  # 240 frames a second to 30
_LINE = 'track x1 y1 x2 y2 frame lost occluded generated "label"'


def open_nfs(directory: Path, part: str = "30") -> LazySequences:
    """The sequences of one frame rate that are there, of the published 100.

    Args:
      directory: of the sequences' directories, or of `sequences` and `anno`.
      part: 30 | 240 frames a second.
    """

    def is_there(name: str) -> bool:
        return (directory / name / part).is_dir() or (part == "30" and (directory / "sequences" / name).is_dir())

    rows = those_there(f"NFS at {part} frames/s", directory, read_table("nfs"), is_there)
    return LazySequences(rows, functools.partial(_read, directory, part))


def _read(root: Path, part: str, name: str, row: Row) -> Sequence:
    place = root / name / part
    if not place.is_dir():
        return _rehosted(root, name, row)
    path, images = place / f"{name}.txt", list_images(place / name)
    table, lost = read_vatic(path)
    if part == "30" and len(table) > len(images) * _EVERY / 2:  # boxes of the video at 240
        table, lost = table[::_EVERY], lost[::_EVERY]
    check_gaps(images, len(table), path)
    if len(images) - len(table) in (-1, 1):  # so it is published, in ten sequences and more
        least = min(len(images), len(table))
        images, table, lost = images[:least], table[:least], lost[:least]
    found = read_annotation(path, len(images), read=lambda path: table)
    present = ~lost[: len(found.boxes_xywh)]
    return annotated(name, images, found, present, category=row.category, attributes=row.attributes)


def _rehosted(root: Path, name: str, row: Row) -> Sequence:
    """The re-hosted form; the images after the table's last have no box."""
    images = between(list_images(root / "sequences" / name), row.first, row.last)
    files = [root / "anno" / f"{prefix}{name}.txt" for prefix in ("nfs_", "")]
    found = read_annotation(first_that(Path.is_file, files) or files[0], images)
    return annotated(name, images, found, category=row.category, attributes=row.attributes)


def read_vatic(path: Path) -> tuple[Float[np.ndarray, "t 4"], Bool[np.ndarray, " t"]]:
    """Read boxes as x, y, width, height, and flags of those whose target is out of view.

    Lines are those of the annotation tool VATIC: corners, the frame, three flags, a label in quotation marks. The
    frame is skipped: files count it from 0 or from 1.

    Raises:
      UserError: a line is none of these.
    """
    table = parse_rows(path, read_text(path), _parse_vatic, _LINE)
    boxes = np.concatenate([table[:, :2], table[:, 2:4] - table[:, :2]], axis=1)
    return boxes, table[:, 5] > 0


def _parse_vatic(line: str) -> list[float]:
    numbers = line.partition('"')[0].replace(",", " ").split()[1:7]
    return parse_numbers(" ".join(numbers), 6)
