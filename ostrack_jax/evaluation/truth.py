"""A benchmark's ground truth without images, in a folder of text files.

The benchmark's published list decides which of the files are its own; where none is published, all are, up to its
number of sequences. Sets share names (bike1 is in UAV123, UAV20L and UAV123@10fps, Car2 in OTB and DTB70, car2 in
UAV123): a folder of which another set's list knows more than the benchmark's own is that set's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ostrack_jax.data import attributes
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.matching import ByName, of_set
from ostrack_jax.data.readers.boxes_only import find_files, sequences_of
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, Benchmark
from ostrack_jax.io import read_text

_NAMED = 4  # sequences that a message names

Files = Mapping[str, Path]  # of boxes, by sequence


@dataclass(frozen=True, eq=False)
class Truth:
    """What a folder holds of a benchmark.

    Attributes:
      sequences: the benchmark's own as they lie there, by their published names, with class and attributes where a
        table has them.
      note: what else lies there, in a line; empty where there is nothing.
    """

    sequences: LazySequences
    note: str


def open_truth(protocol: Benchmark, folder: Path) -> Truth:
    """The ground truth of a benchmark's sequences in ``folder``.

    Raises:
      UserError: it holds no boxes, none of the benchmark's sequences, another set's, or more than there are.
    """
    found = find_files(folder)
    index = ByName(found.items())
    # by the benchmark's list, else those without another set's prefix
    own = _listed(protocol, index) if protocol.names else {name: found[name] for name in of_set(found, protocol.reader)}
    if (other := _whose(protocol, index, own)) is not None:
        theirs = _listed(other, index)
        raise UserError(
            f"{folder} holds sequences of {other.name} ({_some(theirs)}), not those of {protocol.name}: "
            f"expected --benchmark {other.name}, or another folder"
        )
    if not own:
        raise UserError(
            f"no sequence of {protocol.name} in {folder} ({_some(found)}): expected its own, such as "
            f"{_some(protocol.names)}"
        )
    if protocol.sequences is not None and len(own) > protocol.sequences:
        raise UserError(
            f"{folder} holds {len(own):,} sequences ({_some(own)}), but {protocol.name} has {protocol.sequences:,}: "
            "expected a folder of its own alone"
        )
    names = {path: name for name, path in own.items()}
    others = [name for name, path in found.items() if path not in names]
    ordered = {names[path]: path for path in found.values() if path in names}
    sequences = attributes.by_table(sequences_of(ordered), protocol.reader, protocol.part)
    return Truth(sequences, _note(protocol, folder, others, len(found)) if others else "")


def _listed(protocol: Benchmark, index: ByName[Path]) -> Files:
    """The files of a benchmark's published sequences, by their published names."""
    paths = {name: index.find(name, protocol.reader) for name in protocol.names}
    return {name: path for name, path in paths.items() if path is not None}


def _whose(protocol: Benchmark, index: ByName[Path], own: Files) -> Benchmark | None:
    """The benchmark whose list knows all that could be ``own``, and more, or as much and its lengths fit better."""
    best, most = None, (len(own), 0)
    for other in BENCHMARKS.values() if protocol.sequences is not None else ():
        theirs = _listed(other, index) if other.name != protocol.name else {}
        if not theirs or not set(own.values()) <= set(theirs.values()):
            continue
        if own and not protocol.names:  # no list of its own; TC-128 has half of OTB-100's names
            if len(theirs) > len(other.names) / 2:
                return other
            continue
        fitting = _fitting(other, theirs) - _fitting(protocol, own) if len(theirs) == len(own) else 0
        if (len(theirs), fitting) > most:
            best, most = other, (len(theirs), fitting)
    return best


def _fitting(protocol: Benchmark, files: Files) -> int:
    """How many of these have the length that the benchmark's table has."""
    lengths = protocol.names
    return sum(lengths[name] == len(read_text(path).rstrip().splitlines()) for name, path in files.items())


def _note(protocol: Benchmark, folder: Path, others: list[str], count: int) -> str:
    named = f"{len(others):,} of the {count:,} sequences in {folder}"
    return f"{named} are not part of {protocol.name}, and not scored: {_some(others)}"


def _some(names: Mapping[str, object] | list[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_NAMED]) + (", ..." if len(listed) > _NAMED else "")
