"""What is hard about a sequence, told apart from its data. Enters: sequences. Leaves: the same with attributes, class.

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
from ostrack_jax.data.lists.published import ATTRIBUTES, Row
from ostrack_jax.data.lists.tables import rows_of
from ostrack_jax.data.matching import ByName
from ostrack_jax.data.sequence import Sequence
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
    rows = ByName([(row.name, row) for row in rows_of(reader, part)])

    def build(sequence: Sequence, key: Row | None) -> Sequence:
        if key is not None:
            return dataclasses.replace(sequence, category=key.category, attributes=key.attributes)
        category = sequence.name.rpartition("-")[0] if reader in ("lasot", "lasot_ext") else sequence.category
        return dataclasses.replace(sequence, category=category)

    return _changed(sequences, {name: rows.find(name) for name in sequences.names}, build)


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
        raise UserError(
            f"what the columns of {reader}'s attribute files mean is not known: expected {', '.join(COLUMNS)}"
        )
    columns = COLUMNS[reader]
    entries = [Path(entry.name) for entry in list_directory(directory) if entry.is_file()]
    files = ByName([(path.stem, directory / path) for path in entries if path.suffix.lower() == ".txt"])
    found = {name: files.find(name, reader) for name in sequences.names}
    if not any(found.values()):
        raise UserError(
            f"no attributes of these sequences in {directory}: expected NAME.txt, {len(columns)} times 0 or 1"
        )

    def build(sequence: Sequence, key: Path | None) -> Sequence:
        return sequence if key is None else dataclasses.replace(sequence, attributes=read_flags(key, columns))

    return _changed(sequences, found, build)


def _changed(
    sequences: LazySequences, keys: dict[str, Any], change: Callable[[Sequence, Any], Sequence]
) -> LazySequences:
    places = {name: i for i, name in enumerate(sequences.names)}
    return LazySequences(keys, lambda name, key: change(sequences[places[name]], key))


def read_flags(path: Path, columns: tuple[str, ...]) -> tuple[str, ...]:
    """What a file of as many zeros and ones as ``columns`` calls hard; a `UserError` where it holds anything else."""
    flags = read_labels(path)
    if len(flags) != len(columns) or not set(flags.tolist()) <= {0, 1}:
        raise UserError(
            f"{path}: expected {len(columns)} times 0 or 1 ({', '.join(columns)}), found {len(flags)} numbers"
        )
    return tuple(ATTRIBUTES[column] for column, flag in zip(columns, flags, strict=True) if flag)
