"""UAV123's layout (Mueller et al. 2016). Enters: its folder, a part. Leaves: sequences, read lazily.

`data_seq/UAV123` holds 91 folders of pictures, `anno/UAV123` and `anno/UAV20L` a file of boxes for each sequence, and
in `att` one of what is hard about it. The 123 sequences are pieces of the 91 videos: where they begin and end says the
published table. UAV20L's 20 are complete videos, up to the last picture that UAV123 uses of them. UAV123@10fps is a
download of its own: every third picture, in folders named `UAV123_10fps`.
"""

from __future__ import annotations

import functools
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation, valid
from ostrack_jax.data.attributes import COLUMNS, read_flags
from ostrack_jax.data.frames import ImageFrames, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import Row
from ostrack_jax.data.lists.tables import between, rows_of, there
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import unknown

ANNOTATIONS = {"uav123": "anno/UAV123", "uav20l": "anno/UAV20L", "uav123_10fps": "anno/UAV123_10fps"}
VIDEOS = {"uav123": "data_seq/UAV123", "uav20l": "data_seq/UAV123", "uav123_10fps": "data_seq/UAV123_10fps"}
SHAPE = "data_seq/UAV123/bike1/000001.jpg .. and anno/UAV123/bike1.txt (UAV123_10fps in place of UAV123 at 10 frames/s)"


def open_uav(directory: Path, part: str = "uav123") -> LazySequences:
    """The sequences of one part whose videos are there.

    Args:
      directory: with `data_seq` and `anno`, or the one around it.
      part: uav123 (123 sequences) | uav20l (20 long ones) | uav123_10fps (the 123, every third picture).

    Raises:
      UserError: an unknown part, none of the videos.
    """
    if part not in ANNOTATIONS:
        raise unknown("part of UAV123", part, ANNOTATIONS)
    root = next((place for place in roots(directory) if (place / VIDEOS[part]).is_dir()), directory)

    def is_there(row: Row) -> bool:
        return (root / VIDEOS[part] / row.video).is_dir()

    rows = there(part, directory, rows_of("uav", part), is_there, SHAPE)
    return LazySequences({row.name: row for row in rows}, functools.partial(_read, root, part))


def roots(directory: Path) -> tuple[Path, ...]:
    """Where `data_seq` and `anno` may lie: in ``directory``, or in the one that the archive makes in it."""
    return directory, directory / "UAV123", directory / "UAV123_10fps"


def _read(root: Path, part: str, name: str, row: Row) -> Sequence:
    """One piece of a video; boxes are NaN where the target is not seen."""
    pictures = between(list_images(root / VIDEOS[part] / row.video), row.first, row.last)
    found = read_annotation(root / ANNOTATIONS[part] / f"{name}.txt", pictures)
    visible = valid(found.boxes_xywh)
    hard = root / ANNOTATIONS[part] / "att" / f"{name}.txt"
    return Sequence(
        name,
        ImageFrames(pictures[: len(visible)], "stored"),
        found.boxes_xywh,
        visible,
        flaws=found.flaws,
        category=row.category,
        attributes=read_flags(hard, COLUMNS["uav"]) if hard.is_file() else (),
    )
