"""Results as an evaluation server wants them. Enters: a result folder, its sequences. Leaves: a zip, opened again.

got10k: NAME/NAME_001.txt .. _003.txt and NAME/NAME_time.txt; trackingnet: NAME.txt; nothing above them, commas between
numbers. The folder of results is read only, and no file is replaced.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.progress import track

from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.errors import UserError, unknown
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, Benchmark
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.io import unfinished

_LISTED = 5  # names that an error lists
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same results make the same archive


# How many runs of a tracker a server's form holds.
RUNS = {"got10k": 3, "trackingnet": 1}


def find(server: str) -> Benchmark:
    """The benchmark that a server scores; a `UserError` names the nearest for an unknown one."""
    served = {protocol.server: protocol for protocol in BENCHMARKS.values() if protocol.server}
    if server not in served:
        raise unknown("server", server, served)
    return served[server]


@dataclass(frozen=True)
class Wanted:
    """How an archive is to be.

    Attributes:
      benchmark: whose server it is for, see `find`.
      runs: how often each result stands there. The tracker is deterministic: its three runs of GOT-10k's form are the
        same three times, which is what the toolkit's own three repetitions would give.
      whole_pixels: boxes cut to whole numbers, as the PyTorch release writes them; else 4 decimals.
    """

    benchmark: Benchmark
    runs: int = 1
    whole_pixels: bool = False

    def __post_init__(self) -> None:
        most = RUNS[self.benchmark.server]
        if not 1 <= self.runs <= most:
            raise UserError(f"{self.runs} runs: {self.benchmark.server}'s form holds 1 to {most}")


def pack(wanted: Wanted, folder: Path, sequences: LazySequences, output: Path) -> int:
    """Write ``output`` (a .zip) from the results in ``folder``, check it, and only then give it its name; its frames.

    Args:
      wanted: whose archive, and how.
      folder: of results as `ostrack eval` writes them.
      sequences: all that the server expects; their number of frames and first boxes are what is checked against.
      output: a name that is free.

    Raises:
      UserError: the data set is not whole; a result is missing, has another number of frames or another first box than
        the sequence, or a box that is none; ``output`` is taken.
    """
    if output.suffix.lower() != ".zip":
        raise UserError(f"--output {output}: expected a name that ends in .zip")
    if output.exists():
        raise _taken(output)
    if not folder.is_dir():
        raise UserError(f"no folder of results {folder}: expected one that `ostrack eval` wrote")
    whole, form = wanted.benchmark.sequences, wanted.benchmark.form
    if whole is not None and len(sequences) != whole:
        raise UserError(f"the data set has {len(sequences)} sequences here: {wanted.benchmark.server} expects {whole}")
    missing = [name for name in sequences.names if not results.files(folder, name, form).boxes.is_file()]
    if missing:
        listed = ", ".join(missing[:_LISTED]) + (", ..." if len(missing) > _LISTED else "")
        raise UserError(f"{folder} lacks results of {len(missing)} of {len(sequences)} sequences: {listed}")
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(output)
    try:
        try:
            _write(temporary, wanted, folder, sequences)
        except OSError as e:  # a full disk's names no file
            raise OSError(e.errno, e.strerror, str(output)) from e
        frames = check(temporary, wanted, sequences)
        _name(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    return frames


def _name(temporary: Path, output: Path) -> None:
    """Give the file its name, unless another took it while this one was written."""
    try:
        os.link(temporary, output)
    except FileExistsError as e:
        raise _taken(output) from e
    except OSError as e:  # a disk without links
        if output.exists():
            raise _taken(output) from e
        os.replace(temporary, output)


def _taken(output: Path) -> UserError:
    return UserError(f"{output} is there already and nothing is replaced: give another --output")


def check(archive: Path, wanted: Wanted, sequences: LazySequences) -> int:
    """Open an archive and compare it with what its server expects; the number of frames in it.

    Raises:
      UserError: another list of files, another number of lines, a first box that is not the sequence's, a box that is
        not finite or has a negative side, seconds that are none.
    """
    frames = 0
    with zipfile.ZipFile(archive) as file:
        expected = {entry for name in sequences.names for entry in _entries(name, wanted)}
        found = file.namelist()
        if sorted(found) != sorted(expected):
            odd = sorted(expected ^ {*found}) or sorted({entry for entry in found if found.count(entry) > 1})
            raise UserError(
                f"{archive}: the files differ from what {wanted.benchmark.server} expects: {', '.join(odd[:_LISTED])}"
            )
        for i, name in enumerate(_told(sequences.names, "checking")):
            sequence = sequences[i]
            for entry, what in _entries(name, wanted).items():
                table = _table(file.read(entry), entry)
                columns = wanted.runs if what == "times" else 4
                if table.shape != (len(sequence), columns):
                    raise UserError(
                        f"{entry} has {table.shape[0]} lines of {table.shape[1]} numbers: expected {columns} a line, a "
                        f"line for each of the sequence's {len(sequence)} frames"
                    )
                if what == "boxes":
                    _check_boxes(table, sequence.boxes_xywh[0], 1.0 if wanted.whole_pixels else 1e-3, entry)
                elif not (table >= 0).all():
                    raise UserError(f"{entry}: expected seconds of at least 0, found {table[~(table >= 0)][0]:g}")
            frames += len(sequence)
    return frames


def _write(path: Path, wanted: Wanted, folder: Path, sequences: LazySequences) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in _told(sequences.names, "packing"):
            result = results.read(folder, name, wanted.benchmark.form)
            for entry, what in _entries(name, wanted).items():
                info = zipfile.ZipInfo(entry, _LONG_AGO)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                file.writestr(info, _text(what, result, wanted))


def _entries(name: str, wanted: Wanted) -> dict[str, str]:
    """The files of one sequence: boxes | times by name."""
    if wanted.benchmark.form == "otb":
        return {f"{name}.txt": "boxes"}
    runs = {f"{name}/{name}_{run:03d}.txt": "boxes" for run in range(1, wanted.runs + 1)}
    return {**runs, f"{name}/{name}_time.txt": "times"}


def _text(what: str, result: SequenceResult, wanted: Wanted) -> str:
    if what == "times":  # a column for each run, as the GOT-10k toolkit records them
        return results.as_text(np.repeat(result.times_s[:, None], wanted.runs, axis=1), "%.8f")
    if wanted.whole_pixels:
        return results.as_text(np.trunc(result.boxes_xywh) + 0.0, "%.0f")  # no -0
    return results.as_text(result.boxes_xywh, "%.4f")


def _table(data: bytes, where: str) -> Float[np.ndarray, "t columns"]:
    try:
        return np.loadtxt(io.BytesIO(data), delimiter=",", ndmin=2)
    except ValueError as e:
        raise UserError(f"{where}: expected numbers with commas between: {e}") from e


def _check_boxes(
    boxes: Float[np.ndarray, "t 4"], first_xywh: Float[np.ndarray, " 4"], tolerance: float, entry: str
) -> None:
    wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < 0).any(axis=1)
    if wrong.any():
        t = int(wrong.argmax())
        raise UserError(f"{entry} line {t + 1}: {boxes[t].tolist()} is no box x,y,w,h")
    if not np.abs(boxes[0] - first_xywh).max() < tolerance:
        raise UserError(f"{entry} begins with {boxes[0].tolist()}: the sequence's first box is {first_xywh.tolist()}")


def _told(names: Iterable[str], what: str) -> Iterator[str]:
    """The names, with a progress bar on the terminal's standard error."""
    console = Console(stderr=True)
    yield from track(list(names), what, console=console, transient=True, disable=not console.is_terminal)
