"""Archives of results in the form that an evaluation server expects.

got10k: NAME/NAME_001.txt .. _003.txt and NAME/NAME_time.txt; trackingnet: NAME.txt; no directory above them, commas
between numbers. The directory of results is only read, and no file is replaced.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, listed, unknown
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, Benchmark
from ostrack_jax.io import replacing

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same results make the same archive
RUNS = {"got10k": 3, "trackingnet": 1}  # of a tracker that a server's form holds at most


def find(server: str) -> Benchmark:
    """Return the benchmark that a server scores; a `UserError` suggests the nearest for an unknown one."""
    served = {benchmark.server: benchmark for benchmark in BENCHMARKS.values() if benchmark.server}
    if server not in served:
        raise unknown("server", server, served)
    return served[server]


def pack(
    benchmark: Benchmark,
    directory: Path,
    sequences: LazySequences,
    output: Path,
    runs: int | None = None,
    whole_pixels: bool = False,
) -> int:
    """Write ``output`` (a .zip), every file of it checked, and only then give it its name; return its frames.

    Args:
      benchmark: whose server it is for, see `find`.
      directory: of results as `ostrack eval` writes them.
      sequences: all that the server expects; their number of frames and first boxes are what is checked against.
      output: a name that is free.
      runs: how often each result is in it; None: as often as the form holds. The tracker is deterministic: its three
        runs of GOT-10k's form are the same three times, which is what the toolkit's own three repetitions would give.
      whole_pixels: truncate boxes to integers, as the PyTorch release writes them; else they have 4 decimals.

    Raises:
      UserError: the data set is not complete; a result is missing, has another number of frames or another first box
        than the sequence, or an invalid box or time; ``output`` exists.
    """
    names, most = sequences.names, RUNS[benchmark.server]
    runs = most if runs is None else runs
    if not 1 <= runs <= most:
        raise UserError(f"{runs} runs: {benchmark.server}'s form holds 1 to {most}")
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
    console, frames = Console(stderr=True), 0
    quiet = not console.is_terminal
    with replacing(output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for sequence in track(sequences, "packing", len(names), console=console, transient=True, disable=quiet):
            frames += len(sequence)
            for entry, text in _entries(benchmark, directory, sequence, runs, whole_pixels).items():
                info = zipfile.ZipInfo(entry, _LONG_AGO)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                file.writestr(info, text)
    return frames


def _entries(
    benchmark: Benchmark, directory: Path, sequence: Sequence, runs: int, whole_pixels: bool
) -> dict[str, bytes]:
    """Return the text of each of a sequence's files by name, checked."""
    name, result = sequence.name, results.read(directory, sequence.name, benchmark.form)
    boxes, times = result.boxes_xywh, np.repeat(result.times_s[:, None], runs, axis=1)  # as the toolkit records runs
    prefix = name if benchmark.form == "otb" else f"{name}/{name}_001"
    if len(boxes) != len(sequence):
        raise UserError(f"{prefix}.txt has {len(boxes)} lines: expected one for each of the {len(sequence)} frames")
    wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < 0).any(axis=1)
    if wrong.any():
        t = int(wrong.argmax())
        raise UserError(f"{prefix}.txt line {t + 1}: expected a box x,y,w,h, found {boxes[t].tolist()}")
    if not np.abs(boxes[0] - sequence.boxes_xywh[0]).max() < 1e-3:
        first = sequence.boxes_xywh[0].tolist()
        raise UserError(f"{prefix}.txt begins with {boxes[0].tolist()}: the sequence's first box is {first}")
    text = results.as_text(np.trunc(boxes) + 0.0, "%.0f") if whole_pixels else results.as_text(boxes, "%.4f")  # no -0
    if benchmark.form == "otb":
        return {f"{name}.txt": text}
    if not (times >= 0).all():
        raise UserError(f"{name}_time.txt: expected seconds of at least 0, found {times[~(times >= 0)][0]:g}")
    seconds = results.as_text(times, "%.8f")
    return {**{f"{name}/{name}_{run:03d}.txt": text for run in range(1, runs + 1)}, f"{name}/{name}_time.txt": seconds}
