"""Find data sets in directories, open one that is to be checked, name what would mend a directory that is refused.

A set is recognised by a path that every directory of its layout has, and by its reader, which must be able to open it.
`ostrack doctor` then reads two of its sequences, `ostrack data check` all of them.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from ostrack_jax.config import DataConfig
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import OFFICIAL, PATHS, SHAPES, official_count
from ostrack_jax.data.packed.reader import is_packed, open_packed, read_manifest
from ostrack_jax.data.readers.registry import READERS, named_directory, open_dataset
from ostrack_jax.doctor.check import check_sequence
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.errors import UnknownNameError, UserError, listed

_SLOW = ("coco", "vid")  # readers that take minutes to open a set the first time
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_FEW = 200  # entries of a directory that are looked at to recognise it


def find_datasets(directory: Path) -> list[Finding]:
    """Findings on the data sets in ``directory``, or else in its subdirectories.

    Raises:
      UserError: the directory does not exist.
    """
    if not directory.is_dir():
        raise UserError(f"no folder {directory}: expected one with data sets")
    found = _sets(directory)
    if not found:
        inside = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
        below = {path: _sets(path) for path in inside}
        if any(below.values()):
            found = [finding for path in inside for finding in below[path] or _own(path)]
        else:
            found = _own(directory)
    shapes = "; ".join(f"{reader}: {shape}" for reader, shape in SHAPES.items())
    return found or [Finding("wrong", f"no data set in {directory}", f"expected one of {shapes}")]


def configured() -> list[Finding]:
    """The data sets in the directories that the environment or the file of paths names."""
    found = []
    for directory, named_by in filter(None, map(named_directory, sorted(READERS))):
        if directory.is_dir():
            found += find_datasets(directory)
        else:
            found.append(Finding("wrong", f"no folder {directory}", f"correct or remove it in {named_by}"))
    return found


def open_checked(data: DataConfig, directory: Path) -> tuple[LazySequences | None, list[Finding]]:
    """The set's sequences, None if the reader refuses the directory; and the findings on the directory itself.

    Raises:
      UnknownNameError: an unknown reader, part or split.
    """
    try:
        sequences = open_dataset(data)
    except UnknownNameError:
        raise
    except UserError as e:
        return None, [Finding("wrong", str(e), "" if is_packed(directory) else _mend(data.reader, directory))]
    findings = [Finding("note", note) for note in sequences.notes]
    whole, count = official_count(data.reader, data.part), len(sequences)
    if whole is not None and data.split in ("all", "otb100") and count < whole:
        text = f"{count:,} of the {whole:,} sequences of the official set are there"
        archives = _archives(directory)
        fix = f"unpack the archives there ({listed(archives, 3)})" if archives else ""
        if not archives and (data.reader, data.part) == ("trackingnet", "train"):
            fix = "where chunks are missing, name those that are there: split=0-3"
        findings.append(Finding("wrong" if archives else "note", text, fix))
    return sequences, findings


def _mend(reader: str, directory: Path) -> str:
    """What would mend a directory that ``reader`` refuses, as the files in and around it show."""
    below = (path for inner in _inner(directory) for path in (inner, *_inner(inner)))
    near = itertools.chain(below, itertools.islice(directory.resolve().parents, 2))
    if better := next((path for path in near if _open(reader, path)), None):
        return f"{better} looks like it: give that folder"
    if archives := _archives(directory):
        return f"unpack the {len(archives)} archives there ({listed(archives, 3)})"
    others = sorted({reader for reader, _ in _recognise(directory)} - {reader})
    if others:
        return f"it looks like {' and '.join(others)}: give that name"
    return f"expected {SHAPES[reader]}" if reader in SHAPES else ""


def _sets(directory: Path) -> list[Finding]:
    """The sets whose layout ``directory`` itself has, or the packed one that it is."""
    if is_packed(directory):
        try:
            manifest = read_manifest(directory)
            sequences = open_packed(directory, manifest["part"])
        except UserError as e:
            return [Finding("wrong", str(e))]
        return [_describe(f"{manifest['reader']} {manifest['part']} packed in {directory}", sequences)]
    found = []
    for (reader, part), sequences in _recognise(directory).items():
        if sequences is None:
            text = f"{reader} in {directory}: `ostrack data check {reader} {directory}` reads all of it"
            found.append(Finding("ok", text))
        else:
            what = " ".join(filter(None, (reader, part, "in", str(directory))))
            found.append(_describe(what, sequences, official_count(reader, part)))
    return found


def _own(directory: Path) -> list[Finding]:
    """The user's own sequences in ``directory``."""
    try:
        found = _describe(f"folder {directory}", open_dataset(DataConfig("folder", str(directory))))
    except UserError:  # nothing is there
        return []
    # images alone may be of a data set that no reader understands
    return [found if found.verdict == "ok" else Finding("note", found.text)]


def _describe(what: str, sequences: LazySequences, whole: int | None = None) -> Finding:
    """Count the sequences, and check the first and the last."""
    text = f"{what}: {len(sequences)} sequences"
    if whole is not None and whole != len(sequences):
        text += f" (the official set has {whole:,})"
    first, last = (check_sequence(sequences, index) for index in (0, len(sequences) - 1))
    for checked in (first, last):
        for finding in checked.findings:
            return Finding("wrong", f"{text}; {checked.name}: {finding.text}", finding.fix)
    return Finding("ok", f"{text}; {first.name} has {first.counts['frames']} frames of {first.size}")


def _recognise(directory: Path) -> dict[tuple[str, str], LazySequences | None]:
    """The sets by reader and part whose layout ``directory`` itself has; None for one that takes minutes to open."""
    found = {(reader, part): s for reader in PATHS for part, s in _open(reader, directory).items()}
    kept: dict[tuple[str, str], LazySequences | None] = {}
    for (reader, part), sequences in sorted(found.items(), key=lambda item: -len(item[1] or ())):
        others = [set(other.names) for (by, _), other in kept.items() if other is not None and by != reader]
        if sequences is None or not any(others_names.issuperset(sequences.names) for others_names in others):
            kept[reader, part] = sequences
    return {key: kept[key] for key in found if key in kept}


def _open(reader: str, directory: Path) -> dict[str, LazySequences | None]:
    """The parts of a reader's set that ``directory`` itself has; None for one that takes minutes to open."""
    if not any(_has(directory, path.split("/")) for path in PATHS.get(reader, ())):
        return {}
    if reader in _SLOW:
        return {"": None}
    if reader == "itb" and "itb" not in directory.name.lower():  # any directory of directories of sequences looks so
        return {}
    found: dict[str, LazySequences | None] = {}
    for part in _parts(reader, directory):
        try:
            found[part] = open_dataset(DataConfig(reader, str(directory), part))
        except UserError:
            continue
    return found


def _parts(reader: str, directory: Path) -> list[str]:
    """The parts of a reader's set that may lie in ``directory``."""
    parts = list(OFFICIAL[reader])
    if reader == "vot":  # the years differ in their names alone
        return [year for year in parts if year in directory.name or (directory / f"vot{year}").is_dir()] or parts[-1:]
    if reader == "got10k":
        there = [part for part in parts if (directory / part / "list.txt").is_file() or directory.name == part]
        return there or parts[:1]
    return parts


def _has(directory: Path, pattern: list[str]) -> bool:
    """Whether a path below ``directory`` matches, whatever the case, among the first entries of each directory."""
    first, *rest = pattern
    if "*" in first or "?" in first:
        names = [entry.name for entry in _scan(directory) if fnmatch.fnmatch(entry.name.lower(), first.lower())]
    else:
        names = [first] if (directory / first).exists() else []
    return any(not rest or _has(directory / name, rest) for name in names)


def _archives(directory: Path) -> list[str]:
    """Archives in a directory and, by their directory's name, in those it holds: files not unpacked yet."""
    entries = [entry for place in (directory, *_inner(directory)) for entry in _scan(place)]
    return sorted(os.path.relpath(entry.path, directory) for entry in entries if entry.name.lower().endswith(_ARCHIVES))


def _inner(directory: Path) -> Iterator[Path]:
    return (directory / entry.name for entry in _scan(directory) if entry.is_dir())


def _scan(directory: Path) -> list[os.DirEntry[str]]:
    """Some of the entries of a directory, hidden ones left out."""
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in itertools.islice(entries, _FEW) if not entry.name.startswith(".")]
    except OSError:  # not ours to read, or no directory
        return []
