"""Pack results for an evaluation server: got10k or trackingnet, whose test sets have no public truth.

RESULTS is a directory that `ostrack eval` wrote for the benchmark's test part; it is read only. What goes into
the archive is compared with the data set: every sequence, its number of frames, its first box, boxes that are boxes.
Only then it gets its name, and a file that is there is never replaced. For got10k it reports whether the weights are
one-shot.

Example:
  ostrack submit got10k results/got10k_test --data_dir /data/got10k --output got10k.zip
  ostrack submit trackingnet results/trackingnet --data_dir /data/trackingnet --output trackingnet.zip
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from ostrack_jax.cli.paths import Place, define_path

ARGUMENTS = ("SERVER", Place("RESULTS"))


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = "the benchmark's directory; without it, from OSTRACK_<READER>_DIR or the paths file"
    define_path("data_dir", None, text, flags)
    define_path("output", None, "the archive to write, NAME.zip", flags, writes="file", required=True)
    text = "how often each result stands in GOT-10k's archive: without it three times, its toolkit's repetitions"
    absl_flags.DEFINE_integer("runs", None, text, flag_values=flags)
    text = "cut boxes to whole pixels, as the PyTorch release does; without it they keep 4 decimals"
    absl_flags.DEFINE_boolean("whole_pixels", False, text, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Pack the results, check the archive and print its contents."""
    from ostrack_jax.evaluation import locks, submit

    server, directory = arguments[0], Path(arguments[1])
    benchmark = submit.find(server)
    records = locks.read_records(directory)
    sequences = benchmark.open(flags.data_dir)
    frames = submit.pack(benchmark, directory, sequences, flags.output, flags.runs, flags.whole_pixels)
    runs = submit.RUNS[server] if flags.runs is None else flags.runs
    each = f", {runs} runs each" if runs > 1 else ""
    print(f"{flags.output}: {len(sequences)} sequences{each}, {frames} frames; checked for {server}")
    if server == "got10k":
        print(training_of(records))
    print(f"for `ostrack report eval {directory}`: write what the server answers into {directory}/server.json")


def training_of(records: Iterable[Mapping[str, Any]]) -> str:
    """The training data of the weights behind the results, by GOT-10k's rule, from the processes' records."""
    from ostrack_jax.evaluation.report import not_one_shot

    configs = [record.get("config") for record in records if "done" in record["sequences"].values()]
    notes = dict.fromkeys(not_one_shot(config if isinstance(config, dict) else None) for config in configs or [None])
    return "; ".join(note or "one-shot: trained on got10k alone" for note in notes)
