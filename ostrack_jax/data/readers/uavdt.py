"""UAVDT's layout (Du et al. 2018), its single-object set: sequences, read lazily.

`UAV-benchmark-S/S0101/img000001.jpg` and `UAV-benchmark-SOT_v1.0/anno/S0101_gt.txt`; re-hosted, folders named
`sequences` and `annotations`, or `seq` and `anno`. The table holds the names of the 50 sequences and their lengths.
"""

from __future__ import annotations

import functools
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation, valid
from ostrack_jax.data.frames import ImageFrames, list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import Row, read_table
from ostrack_jax.data.lists.tables import there
from ostrack_jax.data.sequence import Sequence

VIDEOS = ("UAV-benchmark-S", "sequences", "seq")
ANNOTATIONS = ("UAV-benchmark-SOT_v1.0/anno", "annotations", "anno")
SHAPE = f"{VIDEOS[0]}/S0101/img000001.jpg .. and {ANNOTATIONS[0]}/S0101_gt.txt"


def open_uavdt(directory: Path) -> LazySequences:
    """The 50 sequences of the single-object set, those that are there.

    Args:
      directory: with the folders of videos and of annotations.

    Raises:
      UserError: none of the sequences is there.
    """
    videos = next((directory / place for place in VIDEOS if (directory / place).is_dir()), directory)
    boxes = next((directory / place for place in ANNOTATIONS if (directory / place).is_dir()), directory)

    def is_there(row: Row) -> bool:
        return (videos / row.name).is_dir()

    rows = there("UAVDT's single-object set", directory, read_table("uavdt"), is_there, SHAPE)
    return LazySequences(dict.fromkeys(row.name for row in rows), functools.partial(_read, videos, boxes))


def _read(videos: Path, boxes: Path, name: str, key: None) -> Sequence:
    pictures = list_images(videos / name)
    found = read_annotation(boxes / f"{name}_gt.txt", pictures)
    visible = valid(found.boxes_xywh)
    return Sequence(name, ImageFrames(pictures[: len(visible)], "stored"), found.boxes_xywh, visible, flaws=found.flaws)
