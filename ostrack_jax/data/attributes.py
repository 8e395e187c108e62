"""The attributes of sequences (fast motion, occlusion, ..) from files or published tables.

OTB, LaSOT and UAV123 publish a file of zeros and ones a sequence, a column an attribute; what the columns mean stands
in their toolkits' code alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ostrack_jax.data.annotations import read_labels
from ostrack_jax.data.frames import list_directory
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import ATTRIBUTES, read_table
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.data.spelling import ByName
from ostrack_jax.errors import UserError

# Columns of the attribute files, by reader.
_LASOT = ("IV", "POC", "DEF", "MB", "CM", "ROT", "BC", "VC", "SV", "FOC", "FM", "OV", "LR", "ARC")
COLUMNS = {
    "lasot": _LASOT,
    "lasot_ext": _LASOT,
    "otb": ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR"),
    "uav": ("SV", "ARC", "LR", "FM", "FOC", "POC", "OV", "BC", "IV", "VC", "CM", "SOB"),
}


def by_table(sequences: LazySequences, reader: str, part: str = "") -> LazySequences:
    """The same sequences with the class and the attributes that the published table of the set's part has, if any.

    For sequences that a reader knows by their boxes alone; LaSOT's class is in the sequence's name.
    """
    rows = ByName([(row.name, row) for row in read_table(reader, part)])

    def change(sequence: Sequence) -> dict[str, Any]:
        if row := rows.find(sequence.name):
            return {"category": row.category, "attributes": row.attributes}
        return {"category": sequence.name.rpartition("-")[0]} if reader in ("lasot", "lasot_ext") else {}

    return _changed(sequences, change)


def by_files(sequences: LazySequences, directory: Path, reader: str) -> LazySequences:
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
        return dataclasses.replace(sequence, **change(sequence))

    return LazySequences(keys, build)


def read_flags(path: Path, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Read the attributes in a file of as many zeros and ones as ``columns``; a `UserError` for anything else."""
    flags = read_labels(path)
    if len(flags) != len(columns) or not set(flags.tolist()) <= {0, 1}:
        expected = f"expected {len(columns)} times 0 or 1 ({', '.join(columns)})"
        raise UserError(f"{path}: {expected}, found {len(flags)} numbers")
    return tuple(ATTRIBUTES[column] for column, flag in zip(columns, flags, strict=True) if flag)
