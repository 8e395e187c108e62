"""UAV123's layout (Mueller et al. 2016) and that of UAVDT's single-object set (Du et al. 2018).

`data_seq/UAV123` holds 91 directories of images, `anno/UAV123` and `anno/UAV20L` a file of boxes for each sequence, and
`att` in there one of its attributes. The 123 sequences are pieces of the 91 videos: the published table has where they
begin and end. UAV20L's 20 are complete videos, up to the last image that UAV123 uses of them. UAV123@10fps is a
download of its own: every third image, in directories named `UAV123_10fps`.

UAVDT has `UAV-benchmark-S/S0101/img000001.jpg` and `UAV-benchmark-SOT_v1.0/anno/S0101_gt.txt`; re-hosted, directories
named `sequences` and `annotations`, or `seq` and `anno`. Its table has 50 sequences and their lengths.
"""

from __future__ import annotations

import functools
from pathlib import Path

from ostrack_jax.data.annotations import read_annotation
from ostrack_jax.data.frames import list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import COLUMNS, Row, read_flags, read_table
from ostrack_jax.data.readers.common import annotated, between, first_that, those_there
from ostrack_jax.data.sequence import Sequence

ANNOTATIONS = {"uav123": "anno/UAV123", "uav20l": "anno/UAV20L", "uav123_10fps": "anno/UAV123_10fps"}
VIDEOS = {"uav123": "data_seq/UAV123", "uav20l": "data_seq/UAV123", "uav123_10fps": "data_seq/UAV123_10fps"}

# Where `data_seq` and `anno` may lie: in the set's directory, or in the one that the archive makes in it.
ROOTS = (".", "UAV123", "UAV123_10fps")

UAVDT_VIDEOS = ("UAV-benchmark-S", "sequences", "seq")
UAVDT_ANNOTATIONS = ("UAV-benchmark-SOT_v1.0/anno", "annotations", "anno")


def open_uav(directory: Path, part: str = "uav123") -> LazySequences:
    """The sequences of one part whose videos are there.

    Args:
      directory: with `data_seq` and `anno`, or the one around it.
      part: uav123 (123 sequences) | uav20l (20 long ones) | uav123_10fps (the 123, every third image).
    """
    root = first_that(lambda place: (place / VIDEOS[part]).is_dir(), map(directory.joinpath, ROOTS)) or directory
    rows = read_table("uav", part)

    def is_there(name: str) -> bool:
        return (root / VIDEOS[part] / rows[name].video).is_dir()

    return LazySequences(those_there(part, directory, rows, is_there), functools.partial(_read, root, part))


def _read(root: Path, part: str, name: str, row: Row) -> Sequence:
    """One piece of a video; boxes are NaN where the target is not seen."""
    images = between(list_images(root / VIDEOS[part] / row.video), row.first, row.last)
    found = read_annotation(root / ANNOTATIONS[part] / f"{name}.txt", images)
    flags = root / ANNOTATIONS[part] / "att" / f"{name}.txt"
    attributes = read_flags(flags, COLUMNS["uav"]) if flags.is_file() else ()
    return annotated(name, images, found, category=row.category, attributes=attributes)


def open_uavdt(directory: Path) -> LazySequences:
    """The 50 sequences of UAVDT's single-object set, those that are there.

    Args:
      directory: with the directories of videos and of annotations.
    """
    videos = first_that(Path.is_dir, (directory / place for place in UAVDT_VIDEOS)) or directory
    boxes = first_that(Path.is_dir, (directory / place for place in UAVDT_ANNOTATIONS)) or directory

    def is_there(name: str) -> bool:
        return (videos / name).is_dir()

    rows = those_there("UAVDT's single-object set", directory, read_table("uavdt"), is_there)
    return LazySequences(dict.fromkeys(rows, boxes), functools.partial(_read_uavdt, videos))


def _read_uavdt(videos: Path, name: str, boxes: Path) -> Sequence:
    images = list_images(videos / name)
    return annotated(name, images, read_annotation(boxes / f"{name}_gt.txt", images))
