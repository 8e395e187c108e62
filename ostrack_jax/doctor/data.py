"""Which data sets lie in a folder? Enters: a folder. Leaves: a finding for each that a reader understands.

A few looks at each; `ostrack data check` looks at every sequence.
"""

from __future__ import annotations

from pathlib import Path

from ostrack_jax.config import DataConfig
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import official
from ostrack_jax.data.packed.reader import is_packed, open_packed, read_manifest
from ostrack_jax.data.paths import named_directory
from ostrack_jax.data.readers.folder import open_folder
from ostrack_jax.data.readers.registry import READERS, open_dataset
from ostrack_jax.doctor.check import check_sequence
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.doctor.layouts import LAYOUTS, Layout, recognise
from ostrack_jax.errors import UserError


def find_datasets(directory: Path) -> list[Finding]:
    """What the readers understand in ``directory``, or else in the folders it holds.

    Raises:
      UserError: there is no such folder.
    """
    if not directory.is_dir():
        raise UserError(f"no folder {directory}: expected one with data sets")
    found = _benchmarks(directory)
    if not found:
        inside = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
        benchmarks = {path: _benchmarks(path) for path in inside}
        if any(benchmarks.values()):
            found = [finding for path in inside for finding in benchmarks[path] or _plain(path)]
        else:
            found = _plain(directory)
    shapes = "; ".join(f"{layout.reader}: {layout.shape}" for layout in LAYOUTS.values())
    return found or [
        Finding("wrong", f"no data set in {directory}", f"expected pictures or videos with boxes, or one of {shapes}")
    ]


def configured() -> list[Finding]:
    """The data sets in the folders that the environment or the file of paths names."""
    found = []
    for reader in sorted(READERS):
        named = named_directory(reader)
        if named is None:
            continue
        directory, said_by = named
        if directory.is_dir():
            found += find_datasets(directory)
        else:
            found.append(Finding("wrong", f"no folder {directory}", f"correct or remove it in {said_by}"))
    return found


def _benchmarks(directory: Path) -> list[Finding]:
    """The sets whose layout ``directory`` itself has, or the packed one that it is."""
    if is_packed(directory):
        return [_packed(directory)]
    return [finding for layout in recognise(directory) for finding in _parts(layout, directory)]


def _parts(layout: Layout, directory: Path) -> list[Finding]:
    """A finding for each part of a set that is there; of one that takes minutes to open, what to do."""
    if layout.slow:
        command = f"`ostrack data check {layout.reader} {directory}` reads it whole"
        return [Finding("ok", f"{layout.reader} in {directory}: {command}")]
    found, errors = [], []
    for part, place in layout.parts(directory).items():
        try:
            sequences = open_dataset(DataConfig(reader=layout.reader, dir=str(place), part=part))
        except UserError as e:  # its way to say that the part is not there
            errors.append(Finding("wrong", str(e)))
            continue
        what = f"{layout.reader} {part} in {place}" if part else f"{layout.reader} in {place}"
        found.append(_absent(what, layout, place, sequences) or _report(what, sequences, official(layout.reader, part)))
    return found or errors[:1]


def _packed(directory: Path) -> Finding:
    """What `ostrack data prepare` wrote."""
    try:
        manifest = read_manifest(directory)
        sequences = open_packed(directory, manifest["part"])
    except UserError as e:
        return Finding("wrong", str(e))
    return _report(f"{manifest['reader']} {manifest['part']} packed in {directory}", sequences, None)


def _absent(what: str, layout: Layout, directory: Path, sequences: LazySequences) -> Finding | None:
    """Sequences of a list without a folder, if there are any."""
    if layout.homes is None:
        return None
    absent = [name for name in sequences.names if not any(home.is_dir() for home in layout.homes(directory, name))]
    if not absent:
        return None
    named = f"{', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''}"
    return Finding("wrong", f"{what}: {len(absent)} of {len(sequences)} listed sequences have no folder ({named})")


def _plain(directory: Path) -> list[Finding]:
    """The sequences of one's own in ``directory``."""
    try:
        sequences = open_folder(directory)
    except UserError:  # its way to say that nothing is there
        return []
    found = _report(f"folder {directory}", sequences, None)
    # pictures alone may be of a data set that no reader understands
    return [found if found.verdict == "ok" else Finding("note", found.text)]


def _report(what: str, sequences: LazySequences, whole: int | None) -> Finding:
    """Count, and look at the first sequence."""
    text = f"{what}: {len(sequences)} sequences"
    if whole is not None and whole != len(sequences):
        text += f" (the official set has {whole:,})"
    findings, counted = check_sequence(sequences, 0)
    if findings:
        return Finding("wrong", f"{text}; {sequences.names[0]}: {findings[0].text}", findings[0].fix)
    return Finding("ok", f"{text}; {sequences.names[0]} has {counted.frames} frames of {counted.size}")
