"""Archives of results in the form that an evaluation server expects.

got10k: NAME/NAME_001.txt .. _003.txt and NAME/NAME_time.txt; trackingnet: NAME.txt; no directory above them, commas
between numbers. The directory of results is only read, and no file is replaced.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.progress import track

from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.errors import UserError, listed, unknown
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, Benchmark
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.io import replacing

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same results make the same archive
RUNS = {"got10k": 3, "trackingnet": 1}  # of a tracker that a server's form holds at most


def find(server: str) -> Benchmark:
    """Return the benchmark that a server scores; a `UserError` suggests the nearest for an unknown one."""
    served = {benchmark.server: benchmark for benchmark in BENCHMARKS.values() if benchmark.server}
    if server not in served:
        raise unknown("server", server, served)
    return served[server]


@dataclass(frozen=True)
class ArchiveForm:
    """The contents of an archive.

    Attributes:
      benchmark: whose server it is for, see `find`.
      runs: how often each result is in it. The tracker is deterministic: its three runs of GOT-10k's form are the same
        three times, which is what the toolkit's own three repetitions would give.
      whole_pixels: boxes truncated to integers, as the PyTorch release writes them; else 4 decimals.
    """

    benchmark: Benchmark
    runs: int = 1
    whole_pixels: bool = False

    def __post_init__(self) -> None:
        most = RUNS[self.benchmark.server]
        if not 1 <= self.runs <= most:
            raise UserError(f"{self.runs} runs: {self.benchmark.server}'s form holds 1 to {most}")

    def entries(self, name: str) -> dict[str, str]:
        """Return the files of one sequence: boxes | times by file name."""
        if self.benchmark.form == "otb":
            return {f"{name}.txt": "boxes"}
        runs = {f"{name}/{name}_{run:03d}.txt": "boxes" for run in range(1, self.runs + 1)}
        return {**runs, f"{name}/{name}_time.txt": "times"}

    def text(self, content: str, result: SequenceResult) -> bytes:
        """Return the text of a file of boxes or of times."""
        if content == "times":  # a column for each run, as the GOT-10k toolkit records them
            return results.as_text(np.repeat(result.times_s[:, None], self.runs, axis=1), "%.8f")
        if self.whole_pixels:
            return results.as_text(np.trunc(result.boxes_xywh) + 0.0, "%.0f")  # no -0
        return results.as_text(result.boxes_xywh, "%.4f")


def pack(form: ArchiveForm, directory: Path, sequences: LazySequences, output: Path) -> int:
    """Write ``output`` (a .zip), check it, and only then give it its name; return the number of frames in it.

    Args:
      form: whose archive, and how.
      directory: of results as `ostrack eval` writes them.
      sequences: all that the server expects; their number of frames and first boxes are what is checked against.
      output: a name that is free.

    Raises:
      UserError: the data set is not complete; a result is missing, has another number of frames or another first box
        than the sequence, or an invalid box; ``output`` exists.
    """
    benchmark, names = form.benchmark, sequences.names
    if output.suffix.lower() != ".zip":
        raise UserError(f"--output {output}: expected a name that ends in .zip")
    if output.exists():
        raise UserError(f"{output} exists and nothing is replaced: give another --output")
    if not directory.is_dir():
        raise UserError(f"no directory of results {directory}: expected one that `ostrack eval` wrote")
    if benchmark.sequences is not None and len(names) != benchmark.sequences:
        raise UserError(
            f"the data set has {len(names)} sequences here: {benchmark.server} expects {benchmark.sequences}"
        )
    missing = [name for name in names if not results.files(directory, name, benchmark.form).boxes.is_file()]
    if missing:
        raise UserError(f"{directory} lacks results of {len(missing)} of {len(names)} sequences: {listed(missing)}")
    console = Console(stderr=True)
    with replacing(output) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
            for name in track(names, "packing", console=console, transient=True, disable=not console.is_terminal):
                result = results.read(directory, name, benchmark.form)
                for entry, content in form.entries(name).items():
                    info = zipfile.ZipInfo(entry, _LONG_AGO)
                    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                    file.writestr(info, form.text(content, result))
        return check(temporary, form, sequences)


def check(archive: Path, form: ArchiveForm, sequences: LazySequences) -> int:
    """Open an archive and check it against its server's form; return the number of frames in it.

    Raises:
      UserError: another list of files, another number of lines, a first box that is not the sequence's, a box that is
        not finite or has a negative side, negative or unknown seconds.
    """
    frames = 0
    with zipfile.ZipFile(archive) as file:
        expected = [entry for name in sequences.names for entry in form.entries(name)]
        if sorted(file.namelist()) != sorted(expected):
            odd = sorted({*expected} ^ {*file.namelist()})
            raise UserError(f"{archive}: the files differ from what {form.benchmark.server} expects: {listed(odd)}")
        for sequence in sequences:
            for entry, content in form.entries(sequence.name).items():
                columns = form.runs if content == "times" else 4
                table = _read_table(file.read(entry), entry)
                if table.shape != (len(sequence), columns):
                    raise UserError(
                        f"{entry} has {table.shape[0]} lines of {table.shape[1]} numbers: expected {columns} a line, a "
                        f"line for each of the sequence's {len(sequence)} frames"
                    )
                if content == "boxes":
                    _check_boxes(table, sequence.boxes_xywh[0], 1.0 if form.whole_pixels else 1e-3, entry)
                elif not (table >= 0).all():
                    raise UserError(f"{entry}: expected seconds of at least 0, found {table[~(table >= 0)][0]:g}")
            frames += len(sequence)
    return frames


def _read_table(data: bytes, where: str) -> Float[np.ndarray, "t columns"]:
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
        raise UserError(f"{entry} line {t + 1}: expected a box x,y,w,h, found {boxes[t].tolist()}")
    if not np.abs(boxes[0] - first_xywh).max() < tolerance:
        raise UserError(f"{entry} begins with {boxes[0].tolist()}: the sequence's first box is {first_xywh.tolist()}")
