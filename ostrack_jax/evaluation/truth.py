"""A benchmark's ground truth without images, in a directory of text files.

The benchmark's published list decides which of the files are its own; where none is published, all are, up to its
number of sequences. Sets share names (bike1 is in UAV123, UAV20L and UAV123@10fps, Car2 in OTB and DTB70, car2 in
UAV123): a directory of which another set's list knows more than the benchmark's own is that set's.
"""

from __future__ import annotations

from pathlib import Path

from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import with_published_attributes
from ostrack_jax.data.readers.boxes_only import find_files, sequences_of
from ostrack_jax.data.spelling import ByName, of_set
from ostrack_jax.errors import UserError, listed
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, Benchmark
from ostrack_jax.io import read_text


def open_truth(benchmark: Benchmark, directory: Path) -> tuple[LazySequences, str]:
    """Open the ground truth of a benchmark's sequences in ``directory``.

    Returns:
      the sequences under their published names, with class and attributes where a table has them; a note on the files
      that are not the benchmark's, empty without any.

    Raises:
      UserError: it holds no boxes, none of the benchmark's sequences, another set's, or more than there are.
    """
    found = find_files(directory)
    index = ByName(found.items())
    # by the benchmark's list, else those without another set's prefix
    own = _published(benchmark, index) if benchmark.names else {n: found[n] for n in of_set(found, benchmark.reader)}
    if (other := _better_match(benchmark, index, own)) is not None:
        raise UserError(
            f"{directory} holds sequences of {other.name} ({listed(_published(other, index))}), not those of "
            f"{benchmark.name}: expected --benchmark {other.name}, or another directory"
        )
    if not own:
        raise UserError(
            f"no sequence of {benchmark.name} in {directory} ({listed(found)}): expected its own, such as "
            f"{listed(benchmark.names)}"
        )
    if benchmark.sequences is not None and len(own) > benchmark.sequences:
        raise UserError(
            f"{directory} holds {len(own):,} sequences ({listed(own)}), but {benchmark.name} has "
            f"{benchmark.sequences:,}: expected a directory of its own alone"
        )
    names = {path: name for name, path in own.items()}
    others = [name for name, path in found.items() if path not in names]
    note = (
        f"{len(others):,} of the {len(found):,} sequences in {directory} are not part of {benchmark.name}, and not "
        f"scored: {listed(others)}"
    )
    sequences = sequences_of({names[path]: path for path in found.values() if path in names})
    return with_published_attributes(sequences, benchmark.reader, benchmark.part), note if others else ""


def _published(benchmark: Benchmark, index: ByName[Path]) -> dict[str, Path]:
    """Return the files of a benchmark's published sequences, by their published names."""
    paths = {name: index.find(name, benchmark.reader) for name in benchmark.names}
    return {name: path for name, path in paths.items() if path is not None}


def _better_match(benchmark: Benchmark, index: ByName[Path], own: dict[str, Path]) -> Benchmark | None:
    """Return the benchmark whose list knows all that could be ``own``, and more, or as much and its lengths fit better.

    None where ``benchmark`` itself fits best.
    """
    best, most = None, (len(own), 0)
    for other in BENCHMARKS.values() if benchmark.sequences is not None else ():
        theirs = _published(other, index) if other.name != benchmark.name else {}
        if not theirs or not set(own.values()) <= set(theirs.values()):
            continue
        if own and not benchmark.names:  # no list of its own; TC-128 has half of OTB-100's names
            if len(theirs) > len(other.names) / 2:
                return other
            continue
        fitting = _right_lengths(other, theirs) - _right_lengths(benchmark, own) if len(theirs) == len(own) else 0
        if (len(theirs), fitting) > most:
            best, most = other, (len(theirs), fitting)
    return best


def _right_lengths(benchmark: Benchmark, files: dict[str, Path]) -> int:
    """Count the files that have as many boxes as in the benchmark's table."""
    names = benchmark.names
    return sum(names[name] == len(read_text(path).rstrip().splitlines()) for name, path in files.items())
