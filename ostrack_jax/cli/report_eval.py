"""Report evaluations: scores next to the paper's, curves, sequences, attributes, speed, the best and worst as images.

DIR is the --output of `ostrack eval` or of `ostrack compare`; all trackers of a benchmark share its plots. Writes
report.html, one file with everything in it for a browser without a server or network; the same as report.md with its
PNG images, and as report.json. With the benchmark's data the best and worst sequences are drawn; with the weights
too, the candidates that each elimination stage leaves. What a server answered for results of got10k_test or
trackingnet is read from DIR/server.json, as {"ao": 0.71, "sr50": 0.804, "sr75": 0.682}.
Needs matplotlib: pip install 'ostrack-jax[report]'.

Example:
  ostrack report eval results/256 --data_dir /data/lasot --checkpoint weights/256
  ostrack report eval results/256 results/nano --output shown
  ostrack compare results/256 raw/ATOM --data_dir /data/otb --output compared && ostrack report eval compared
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from ostrack_jax.cli import orientation
from ostrack_jax.cli.paths import Place, define_path
from ostrack_jax.errors import UserError

if TYPE_CHECKING:
    from ostrack_jax.evaluation.report import Report
    from ostrack_jax.evaluation.report_sequences import DrawnSequence

ARGUMENTS = (Place("DIR"), Place("[DIR...]"))


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = "directory for the files; without it, `report` in the (first) DIR"
    define_path("output", None, text, flags, writes="directory")
    text = "the benchmark's directory, to draw sequences; all DIRs must be of one benchmark then"
    define_path("data_dir", None, text, flags)
    orientation.define(flags)
    text = "the weights that were evaluated, to draw what elimination leaves; goes with --data_dir"
    define_path("checkpoint", None, text, flags)
    text = "so many of the best and of the worst sequences of each DIR are drawn"
    absl_flags.DEFINE_integer("show", 2, text, flag_values=flags, lower_bound=0, upper_bound=20)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Read the reports, draw them, print the names of the files."""
    from ostrack_jax.evaluation import report_page

    directories = [Path(argument) for argument in arguments]
    reports = report_page.read_reports(directories)
    output = directories[0] / "report" if flags.output is None else flags.output
    output.mkdir(parents=True, exist_ok=True)  # reported now, not after the drawing, where it cannot be made
    for path in report_page.write(output, reports, _draw_sequences(flags, reports)):
        print(path)
    return 0


def _draw_sequences(flags: absl_flags.FlagValues, reports: list[Report]) -> dict[str, list[DrawnSequence]]:
    """The sequences to show of each report, by its name; synthetic benchmarks need no directory."""
    found = sorted({one.benchmark for one in reports})
    if flags.data_dir is None and found != ["synthetic"]:
        if flags.checkpoint is not None:
            raise UserError("--checkpoint goes with --data_dir: the sequences' frames are what is looked at")
        return {}
    from rich.progress import track

    from ostrack_jax.checkpoint.files import load_weights, sha256
    from ostrack_jax.config import freeze
    from ostrack_jax.evaluation import benchmarks, compare
    from ostrack_jax.evaluation.report_sequences import draw_sequences
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking.tracker import Tracker

    if len(found) > 1:
        raise UserError(f"--data_dir is of one benchmark, but the results are of {', '.join(found)}")
    benchmark = benchmarks.find(found[0])
    sequences = benchmark.open(flags.data_dir, orientation.options(flags, benchmark.reader))
    weights, sha = {}, ""
    if flags.checkpoint is not None:
        weights = dict(load_weights(flags.checkpoint)[1])
        sha = sha256(weights)
        if not any(one.weights_sha256 == sha for one in reports):
            raise UserError(f"--checkpoint {flags.checkpoint}: no DIR holds results of these weights")
        keep_compiled()
    elsewhere = [one for one in reports if compare.is_in(one.directory)]
    for directory in dict.fromkeys(one.directory for one in elsewhere):
        print(f"{directory} compares results that lie elsewhere: to draw sequences, give theirs too")
    drawn: dict[str, list[DrawnSequence]] = {}
    for one in track([one for one in reports if one not in elsewhere], "sequences", transient=True):
        tracker = None
        if one.config is not None and one.weights_sha256 == sha:
            tracker = Tracker(freeze(one.config), weights, details=True)
        drawn[one.name] = list(draw_sequences(one, benchmark, sequences, flags.show, tracker))
    return drawn
