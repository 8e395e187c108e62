"""The published lists and tables of sequences. Enters: a name. Leaves: its entries, checked against their SHA-256.

`NAME.txt` holds each list as ranges (`0 2-3`; after a class, of its numbers: `airplane 10-12 2`),
`SHA256SUMS` the hash of what they stand for: one entry a line, each ended by a newline. LaSOT's are so the
published files byte for byte. GOT-10k's are published in a shuffled order that means nothing; their positions rise
here, and the hash covers them as they rise. `NAME.csv` is a table, its hash that of the file.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from importlib import resources

from ostrack_jax.errors import UserError

LISTS = ("got10k_train_full", "got10k_vot_train", "got10k_vot_val", "lasot_ext", "lasot_test", "lasot_train")
TABLES = ("dtb70", "nfs", "otb100", "uav123", "uavdt")
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
    """One sequence of a table: which pictures of which video it is.

    Attributes:
      name: of the sequence.
      video: of the folder of its pictures; several sequences may share it.
      first: number in the file name of its first picture; ``last`` of its last.
      category: the target's class, as the published analysis has it.
      omit: pictures and boxes at its beginning that the published analysis leaves out.
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


def read_table(name: str) -> list[Row]:
    """The rows of one of `TABLES`, in its order; a `UserError` where it is not what was published."""
    text = _text(f"{name}.csv")
    _check(name, text)
    return [
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


def official(reader: str, part: str) -> int | None:
    """How many sequences the published set has; None where that is not known."""
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
