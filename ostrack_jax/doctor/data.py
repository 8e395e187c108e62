"""Which data sets lie in a folder? Enters: a folder. Leaves: a finding for each that a reader understands."""

from __future__ import annotations

from pathlib import Path

from ostrack_jax.datasets.folder import open_folder
from ostrack_jax.datasets.got10k import PARTS, open_got10k
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.otb import open_otb
from ostrack_jax.datasets.paths import named_folder
from ostrack_jax.datasets.readers import READERS
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.errors import UserError

OFFICIAL = {"train": 9335, "val": 180, "test": 180}  # sequences of GOT-10k's parts
OFFICIAL_OTB = 100  # targets of OTB-100


def find_datasets(folder: Path) -> list[Finding]:
    """What the readers understand in ``folder``, or else in the folders it holds.

    Raises:
      UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}: expected one with data sets")
    found = _benchmark(folder)
    if not found:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        benchmarks = {path: _benchmark(path) for path in inside}
        if any(benchmarks.values()):
            found = [finding for path in inside for finding in benchmarks[path] or _plain(path)]
        else:
            found = _plain(folder)
    return found or [
        Finding(
            "wrong",
            f"no data set in {folder}",
            "expected GOT-10k (list.txt), OTB (NAME/img and groundtruth_rect.txt), or pictures or videos with boxes",
        )
    ]


def configured() -> list[Finding]:
    """The data sets in the folders that the environment or the file of paths names."""
    found = []
    for reader in sorted(READERS):
        named = named_folder(reader)
        if named is None:
            continue
        folder, said_by = named
        if folder.is_dir():
            found += find_datasets(folder)
        else:
            found.append(Finding("wrong", f"no folder {folder}", f"correct or remove it in {said_by}"))
    return found


def _benchmark(folder: Path) -> list[Finding]:
    """The parts of GOT-10k or the OTB that ``folder`` itself is."""
    parts = [part for part in PARTS if (folder / part / "list.txt").is_file()]
    if parts:
        return [_got10k(folder / part, part) for part in parts]
    if (folder / "list.txt").is_file():
        return [_got10k(folder, folder.name if folder.name in PARTS else "train")]
    if next(folder.glob("*/groundtruth_rect*.txt"), None) is not None:
        return [_report(f"otb in {folder}", open_otb(folder), OFFICIAL_OTB)]
    return []


def _plain(folder: Path) -> list[Finding]:
    """The sequences of one's own in ``folder``."""
    try:
        sequences = open_folder(folder)
    except UserError:  # its way to say that nothing is there
        return []
    found = _report(f"folder {folder}", sequences, None)
    # pictures alone may be of a data set that no reader understands
    return [found if found.verdict == "ok" else Finding("note", found.text)]


def _got10k(folder: Path, part: str) -> Finding:
    sequences = open_got10k(folder, part)
    missing = [name for name in sequences.names if not (folder / name).is_dir()]
    if missing:
        text = f"got10k {part} in {folder}: {len(missing)} of {len(sequences)} sequences of list.txt have no folder"
        return Finding("wrong", f"{text} ({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''})")
    return _report(f"got10k {part} in {folder}", sequences, OFFICIAL[part])


def _report(what: str, sequences: LazySequences, official: int | None) -> Finding:
    """Count, and read one sequence and its first frame to see that they can be."""
    try:
        first = sequences[0]
        height, width = first.frames[0].shape[:2]
    except (UserError, IndexError) as e:
        return Finding("wrong", f"{what}: {e}")
    if first.flaws:
        return Finding("wrong", f"{what}: {first.name}: {'; '.join(first.flaws)}")
    text = f"{what}: {len(sequences)} sequences"
    if official is not None and official != len(sequences):
        text += f" (the official set has {official:,})"
    return Finding("ok", f"{text}; {first.name} has {len(first.frames)} frames of {width} x {height}")
