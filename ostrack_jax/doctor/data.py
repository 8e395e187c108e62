"""Find data sets in directories by a few samples of each; `ostrack data check` checks every sequence."""

from __future__ import annotations

from pathlib import Path

from ostrack_jax.config import DataConfig
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import official
from ostrack_jax.data.packed.reader import is_packed, open_packed, read_manifest
from ostrack_jax.data.readers.registry import READERS, SHAPES, named_directory, open_dataset
from ostrack_jax.doctor.check import check_sequence
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.doctor.layouts import LAYOUTS, SLOW, find_parts, recognise
from ostrack_jax.errors import UserError, listed


def find_datasets(directory: Path) -> list[Finding]:
    """Findings on the data sets in ``directory``, or else in its subdirectories.

    Raises:
      UserError: the directory does not exist.
    """
    if not directory.is_dir():
        raise UserError(f"no folder {directory}: expected one with data sets")
    found = _benchmarks(directory)
    if not found:
        inside = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
        benchmarks = {path: _benchmarks(path) for path in inside}
        if any(benchmarks.values()):
            found = [finding for path in inside for finding in benchmarks[path] or _own(path)]
        else:
            found = _own(directory)
    shapes = "; ".join(f"{reader}: {SHAPES[reader]}" for reader in LAYOUTS)
    return found or [
        Finding("wrong", f"no data set in {directory}", f"expected images or videos with boxes, or one of {shapes}")
    ]


def configured() -> list[Finding]:
    """The data sets in the directories that the environment or the file of paths names."""
    found = []
    for named in filter(None, map(named_directory, sorted(READERS))):
        directory, named_by = named
        if directory.is_dir():
            found += find_datasets(directory)
        else:
            found.append(Finding("wrong", f"no folder {directory}", f"correct or remove it in {named_by}"))
    return found


def _benchmarks(directory: Path) -> list[Finding]:
    """The sets whose layout ``directory`` itself has, or the packed one that it is."""
    if not is_packed(directory):
        return [finding for reader in recognise(directory) for finding in _parts(reader, directory)]
    try:
        manifest = read_manifest(directory)
        sequences = open_packed(directory, manifest["part"])
    except UserError as e:
        return [Finding("wrong", str(e))]
    return [_describe(f"{manifest['reader']} {manifest['part']} packed in {directory}", sequences)]


def _parts(reader: str, directory: Path) -> list[Finding]:
    """A finding for each part of a set that is there; of one that takes minutes to open, what to do."""
    if reader in SLOW:
        return [Finding("ok", f"{reader} in {directory}: `ostrack data check {reader} {directory}` reads it whole")]
    found, errors = [], []
    for part, place in find_parts(reader, directory).items():
        try:
            sequences = open_dataset(DataConfig(reader=reader, dir=str(place), part=part))
        except UserError as e:  # the part is not there
            errors.append(Finding("wrong", str(e)))
            continue
        what = f"{reader} {part} in {place}" if part else f"{reader} in {place}"
        absent = [name for name in sequences.names if not (place / name).is_dir()] if reader == "got10k" else []
        if absent:
            text = f"{len(absent)} of {len(sequences)} listed sequences have no folder ({listed(absent, 3)})"
            found.append(Finding("wrong", f"{what}: {text}"))
        else:
            found.append(_describe(what, sequences, official(reader, part)))
    return found or errors[:1]


def _own(directory: Path) -> list[Finding]:
    """The user's own sequences in ``directory``."""
    try:
        sequences = open_dataset(DataConfig(reader="folder", dir=str(directory)))
    except UserError:  # nothing is there
        return []
    found = _describe(f"folder {directory}", sequences)
    # images alone may be of a data set that no reader understands
    return [found if found.verdict == "ok" else Finding("note", found.text)]


def _describe(what: str, sequences: LazySequences, whole: int | None = None) -> Finding:
    """Count the sequences, and check the first."""
    text = f"{what}: {len(sequences)} sequences"
    if whole is not None and whole != len(sequences):
        text += f" (the official set has {whole:,})"
    first = check_sequence(sequences, 0)
    if first.findings:
        return Finding("wrong", f"{text}; {first.name}: {first.findings[0].text}", first.findings[0].fix)
    return Finding("ok", f"{text}; {first.name} has {first.counts['frames']} frames of {first.size}")
