"""The published lists and tables of sequences, checked against their SHA-256.

`NAME.txt` holds a list as ranges (`0 2-3`; after a class, of its numbers: `airplane 10-12 2`). `SHA256SUMS` has the
hash of its entries, one a line: for LaSOT that of the published file. GOT-10k's lists are published in a shuffled order
that means nothing; here they are sorted. `NAME.csv` is a table, its hash that of the file; numbers in it are those in
the images' file names.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, replace
from importlib import resources

from ostrack_jax.errors import UserError

LISTS = ("got10k_train_full", "got10k_vot_train", "got10k_vot_val", "lasot_ext", "lasot_test", "lasot_train")
TABLES = {"dtb70": "dtb70", "nfs": "nfs", "otb": "otb100", "uav": "uav123", "uavdt": "uavdt"}  # by reader
# UAV20L's sequences: complete videos of UAV123.
UAV20L = (
    *("bike1", "bird1", "car1", "car3", "car6", "car8", "car9", "car16", "group1", "group2", "group3"),
    *("person2", "person4", "person5", "person7", "person14", "person17", "person19", "person20", "uav1"),
)
# What makes a sequence hard, by the short names of OTB (Wu et al. 2015), UAV123 (Mueller et al. 2016), LaSOT.
ATTRIBUTES = {
    "ARC": "aspect ratio change",
    "BC": "background clutter",
    "CM": "camera motion",
    "DEF": "deformation",
    "FM": "fast motion",
    "FOC": "full occlusion",
    "IPR": "in-plane rotation",
    "IV": "illumination variation",
    "LR": "low resolution",
    "MB": "motion blur",
    "OCC": "occlusion",
    "OPR": "out-of-plane rotation",
    "OV": "out of view",
    "POC": "partial occlusion",
    "ROT": "rotation",
    "SOB": "similar object",
    "SV": "scale variation",
    "VC": "viewpoint change",
}
# Sequences of the sets as published, by reader and part; of readers without parts, by the empty name.
OFFICIAL: dict[str, dict[str, int]] = {
    "dtb70": {"": 70},
    "got10k": {"train": 9335, "val": 180, "test": 180},
    "itb": {"": 180},
    "lasot": {"train": 1120, "test": 280},
    "lasot_ext": {"": 150},
    "nfs": {"30": 100, "240": 100},
    "otb": {"": 100},
    "tc128": {"": 128},
    "tnl2k": {"": 700},
    "trackingnet": {"train": 30_132, "test": 511},
    "uav": {"uav123": 123, "uav20l": 20, "uav123_10fps": 123},
    "uavdt": {"": 50},
    "vot": {"2018": 60, "2019": 60, "2020": 60, "2021": 60, "2022": 62},
}


@dataclass(frozen=True)
class Row:
    """One sequence of a table: which images of which video it is.

    Attributes:
      name: of the sequence.
      video: of the directory of its images; several sequences may share it.
      first: number in the file name of its first image; ``last`` of its last.
      category: the target's class, as the published analysis has it.
      omit: images and boxes at its beginning that the published analysis leaves out.
      attributes: of the values of `ATTRIBUTES`, where the table has them.
    """

    name: str
    video: str
    first: int
    last: int
    category: str
    omit: int = 0
    attributes: tuple[str, ...] = ()


def read_published(name: str) -> list[str]:
    """The entries of one of `LISTS`: positions in the train part's `list.txt` (GOT-10k), or names of sequences (LaSOT).

    Raises:
      UserError: the list is not what was published (a damaged installation).
    """
    entries = expand(_text(f"{name}.txt"))
    _check(name, "".join(f"{entry}\n" for entry in entries))
    return entries


def read_table(reader: str, part: str = "") -> list[Row]:
    """The sequences of a reader's set in the order of its table, or of its ``part``; none without a table.

    UAV20L's are complete videos of UAV123; UAV123@10fps has every third of its images, renumbered (its `configSeqs.m`).

    Raises:
      UserError: the table is not what was published (a damaged installation).
    """
    if reader not in TABLES:
        return []
    text = _text(f"{TABLES[reader]}.csv")
    _check(TABLES[reader], text)
    rows = [
        Row(
            row["name"],
            row.get("video") or row["name"],
            int(row["first"]),
            int(row["last"]),
            row["category"],
            int(row.get("omit") or 0),
            tuple(ATTRIBUTES[word] for word in row.get("attributes", "").split()),
        )
        for row in csv.DictReader(text.splitlines())
    ]
    if part == "uav20l":
        ends = {row.video: row for row in rows}  # the last piece of each
        return [Row(name, name, 1, ends[name].last, ends[name].category) for name in UAV20L]
    if part == "uav123_10fps":
        return [replace(row, first=(row.first - 1) // 3 + 1, last=(row.last - 1) // 3 + 1) for row in rows]
    return rows


def published_lengths(reader: str, part: str) -> dict[str, int | None]:
    """The names of a published set's sequences, each with its number of frames where a table has it.

    Empty where the package has no list.
    """
    if reader == "lasot":
        return dict.fromkeys(read_published(f"lasot_{part}"))
    if reader == "lasot_ext":
        return dict.fromkeys(read_published("lasot_ext"))
    if (reader, part) == ("got10k", "val"):
        return dict.fromkeys(f"GOT-10k_Val_{i:06d}" for i in range(1, OFFICIAL["got10k"]["val"] + 1))
    counted = part != "240"  # NFS's table is of 30 frames a second
    return {row.name: row.last - row.first + 1 - row.omit if counted else None for row in read_table(reader, part)}


def official(reader: str, part: str) -> int | None:
    """The number of sequences of the published set; None where that is not known."""
    parts = OFFICIAL.get(reader, {})
    return parts.get(part, parts.get(""))


def expand(text: str) -> list[str]:
    """Ranges to single entries: `0 2-3` is 0 2 3, and `cat 1 3-4 dog 2` is cat-1 cat-3 cat-4 dog-2."""
    entries, prefix = [], ""
    for item in text.split():
        first, _, last = item.partition("-")
        if not first.isdecimal():
            prefix = f"{item}-"
            continue
        entries += [f"{prefix}{number}" for number in range(int(first), int(last or first) + 1)]
    return entries


def _check(name: str, text: str) -> None:
    found = hashlib.sha256(text.encode()).hexdigest()
    wanted = {file: digest for digest, file in (line.split() for line in _text("SHA256SUMS").splitlines())}
    if found != wanted[name]:
        raise UserError(f"the list {name} of this installation is damaged ({found[:12]}): install ostrack-jax again")


def _text(file: str) -> str:
    return resources.files("ostrack_jax.data.lists").joinpath(file).read_text("utf-8")
