"""The published lists and tables of sequences, checked against their SHA-256.

`NAME.txt` holds a list as ranges (`0 2-3`; after a class, of its numbers: `airplane 10-12 2`). `SHA256SUMS` has the
hash of its entries, one a line: for LaSOT that of the published file. GOT-10k's lists are published in a shuffled order
that means nothing; here they are sorted. `NAME.csv` is a table, its hash that of the file; numbers in it are those in
the images' file names. `sets.toml` has what is known of each reader's set.

The attributes of sequences (fast motion, occlusion, ..) are in these tables or in files. OTB, LaSOT and UAV123 publish
a file of zeros and ones a sequence, a column an attribute; what the columns mean stands in their toolkits' code alone.
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ostrack_jax.data.annotations import read_labels
from ostrack_jax.data.frames import list_directory
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.data.spelling import ByName
from ostrack_jax.errors import UserError, unknown

LISTS = ("got10k_train_full", "got10k_vot_train", "got10k_vot_val", "lasot_ext", "lasot_test", "lasot_train")
TABLES = {"dtb70": "dtb70", "nfs": "nfs", "otb": "otb100", "uav": "uav123", "uavdt": "uavdt"}  # by reader


def _text(file: str) -> str:
    return resources.files("ostrack_jax.data.lists").joinpath(file).read_text("utf-8")


_SETS: dict[str, Any] = tomllib.loads(_text("sets.toml"))
_READERS: dict[str, dict[str, Any]] = _SETS["readers"]
ATTRIBUTES: dict[str, str] = _SETS["attributes"]
COLUMNS = {reader: tuple(columns.split()) for reader, columns in _SETS["columns"].items()}
# By reader: what its set's directory holds; paths to recognise it by; its parts with their sizes; published splits.
SHAPES: dict[str, str] = {reader: known["shape"] for reader, known in _READERS.items() if "shape" in known}
PATHS: dict[str, list[str]] = {reader: known["paths"] for reader, known in _READERS.items() if "paths" in known}
OFFICIAL: dict[str, dict[str, int]] = {reader: known["parts"] for reader, known in _READERS.items() if "parts" in known}
SPLITS: dict[str, list[str]] = {reader: known["lists"] for reader, known in _READERS.items() if "lists" in known}


@dataclass(frozen=True)
class Row:
    """One sequence of a table: which images of which video it is.

    Attributes:
      video: the directory of its images; several sequences may share it.
      first: number in the file name of its first image; ``last`` of its last.
      category: the target's class, as the published analysis has it.
      omit: images and boxes at its beginning that the published analysis leaves out.
      attributes: of the values of `ATTRIBUTES`, where the table has them.
    """

    video: str
    first: int
    last: int
    category: str
    omit: int = 0
    attributes: tuple[str, ...] = ()


def read_published(name: str) -> list[str]:
    """The entries of one of `LISTS`: positions in the train part's `list.txt` (GOT-10k), or names of sequences (LaSOT).

    Raises:
      UserError: there is no such list, or it is not what was published (a damaged installation).
    """
    if name not in LISTS:
        raise unknown("published list", name, LISTS)
    entries = expand(_text(f"{name}.txt"))
    _check(name, "".join(f"{entry}\n" for entry in entries))
    return entries


def read_table(reader: str, part: str = "") -> dict[str, Row]:
    """The sequences of a reader's set by name, in the order of its table, or of its ``part``; none without a table.

    UAV20L's are complete videos of UAV123; UAV123@10fps has every third of its images, renumbered (its `configSeqs.m`).

    Raises:
      UserError: the table is not what was published (a damaged installation).
    """
    if reader not in TABLES:
        return {}
    text = _text(f"{TABLES[reader]}.csv")
    _check(TABLES[reader], text)
    rows = {
        row["name"]: Row(
            row.get("video") or row["name"],
            int(row["first"]),
            int(row["last"]),
            row["category"],
            int(row.get("omit") or 0),
            tuple(ATTRIBUTES[word] for word in row.get("attributes", "").split()),
        )
        for row in csv.DictReader(text.splitlines())
    }
    if part == "uav20l":
        ends = {row.video: row for row in rows.values()}  # the last piece of each
        return {name: Row(name, 1, ends[name].last, ends[name].category) for name in _SETS["uav20l"]}
    if part == "uav123_10fps":
        for name, row in rows.items():
            rows[name] = replace(row, first=(row.first - 1) // 3 + 1, last=(row.last - 1) // 3 + 1)
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
        return dict.fromkeys(f"GOT-10k_Val_{i:06d}" for i in range(1, 181))
    counted = part != "240"  # NFS's table is of 30 frames a second
    rows = read_table(reader, part)
    return {name: row.last - row.first + 1 - row.omit if counted else None for name, row in rows.items()}


def official_count(reader: str, part: str) -> int | None:
    """The number of sequences of the published set; None where that is not known."""
    parts = OFFICIAL.get(reader, {})
    return parts.get(part, parts.get("")) or None


def with_published_attributes(sequences: LazySequences, reader: str, part: str = "") -> LazySequences:
    """The same sequences with the class and the attributes that the published table of the set's part has, if any.

    For sequences that a reader knows by their boxes alone; LaSOT's class is in the sequence's name.
    """
    rows = ByName(read_table(reader, part).items())

    def change(sequence: Sequence) -> dict[str, Any]:
        if row := rows.find(sequence.name):
            return {"category": row.category, "attributes": row.attributes}
        return {"category": sequence.name.rpartition("-")[0]} if reader in ("lasot", "lasot_ext") else {}

    return _changed(sequences, change)


def with_attributes_of_files(sequences: LazySequences, directory: Path, reader: str) -> LazySequences:
    """The same sequences, each with the attributes that its file in ``directory`` (NAME.txt) has a 1 for.

    Args:
      sequences: of one benchmark.
      directory: of the attribute files; sequences without one keep what they have.
      reader: whose columns they have, of `COLUMNS`.

    Raises:
      UserError: no columns known for the reader, no file of a sequence in ``directory``; when a sequence is read, a
        file with other columns.
    """
    if reader not in COLUMNS:
        known = ", ".join(COLUMNS)
        raise UserError(f"what the columns of {reader}'s attribute files mean is not known: expected {known}")
    columns = COLUMNS[reader]
    entries = [Path(entry.name) for entry in list_directory(directory) if entry.is_file()]
    files = ByName([(path.stem, directory / path) for path in entries if path.suffix.lower() == ".txt"])
    if not any([files.find(name, reader) for name in sequences.names]):  # a list: two that fit one are an error
        expected = f"expected NAME.txt, {len(columns)} times 0 or 1"
        raise UserError(f"no attributes of these sequences in {directory}: {expected}")

    def change(sequence: Sequence) -> dict[str, Any]:
        path = files.find(sequence.name, reader)
        return {"attributes": read_flags(path, columns)} if path else {}

    return _changed(sequences, change)


def _changed(sequences: LazySequences, change: Callable[[Sequence], dict[str, Any]]) -> LazySequences:
    keys = {name: place for place, name in enumerate(sequences.names)}

    def build(name: str, place: int) -> Sequence:
        sequence = sequences[place]
        return replace(sequence, **change(sequence))

    return LazySequences(keys, build)


def read_flags(path: Path, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Read the attributes in a file of as many zeros and ones as ``columns``; a `UserError` for anything else."""
    flags = read_labels(path)
    if len(flags) != len(columns) or not set(flags.tolist()) <= {0, 1}:
        expected = f"expected {len(columns)} times 0 or 1 ({', '.join(columns)})"
        raise UserError(f"{path}: {expected}, found {len(flags)} numbers")
    return tuple(ATTRIBUTES[column] for column, flag in zip(columns, flags, strict=True) if flag)


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
