"""Report evaluations: scores beside the paper's, curves, sequences, attributes, speed, the best and worst in pictures.

DIR is the --output of `ostrack eval` or of `ostrack compare`; all trackers of a benchmark share its plots. Writes
report.html, one file with everything in it for a browser without a server or network; the same as report.md with its
PNG pictures, and as report.json. With the benchmark's data the best and worst sequences are drawn; with the weights
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
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from ostrack_jax.cli import orientation
from ostrack_jax.cli.paths import Place, define_path
from ostrack_jax.errors import UserError

if TYPE_CHECKING:
    from ostrack_jax.evaluation.evaluations import Evaluation
    from ostrack_jax.visualization.strips import Shown

ARGUMENTS = (Place("DIR"), Place("[DIR...]"))


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = "folder for the files; without it, `report` in the (first) DIR"
    define_path("output", None, text, flags, writes="directory")
    text = "the benchmark's folder, to draw sequences; all DIRs must be of one benchmark then"
    define_path("data_dir", None, text, flags)
    orientation.define(flags)
    text = "the weights that were evaluated, to draw what elimination leaves; goes with --data_dir"
    define_path("checkpoint", None, text, flags)
    text = "so many of the best and of the worst sequences of each DIR are drawn"
    absl_flags.DEFINE_integer("show", 2, text, flag_values=flags, lower_bound=0, upper_bound=20)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Read, draw, say where."""
    from ostrack_jax.evaluation import page as eval_page
    from ostrack_jax.evaluation.comparisons import tables_of
    from ostrack_jax.evaluation.evaluations import comparison_in, read_evaluations

    evaluations = read_evaluations([Path(argument) for argument in arguments])
    output = Path(arguments[0]) / "report" if flags.output is None else flags.output
    output.mkdir(parents=True, exist_ok=True)  # told now, not after the drawing, where it cannot be
    told = [comparison_in(Path(argument)) for argument in arguments]
    more = [table for one in told if one is not None for table in tables_of(one)]
    for path in eval_page.write(output, evaluations, _shown(flags, evaluations), more):
        print(path)
    return 0


def _shown(flags: absl_flags.FlagValues, evaluations: list[Evaluation]) -> dict[str, list[Shown]]:
    """The sequences to draw of each evaluation, by its name; made-up benchmarks need no folder."""
    from rich.progress import track

    from ostrack_jax.config import freeze
    from ostrack_jax.evaluation import benchmarks
    from ostrack_jax.evaluation.evaluations import comparison_in
    from ostrack_jax.visualization import strips
    from ostrack_jax.visualization.looks import Looker

    found = sorted({one.benchmark for one in evaluations})
    if flags.data_dir is None and found != ["synthetic"]:
        if flags.checkpoint is not None:
            raise UserError("--checkpoint goes with --data_dir: the sequences' frames are what is looked at")
        return {}
    if len(found) > 1:
        raise UserError(f"--data_dir is of one benchmark, but the results are of {', '.join(found)}")
    protocol = benchmarks.find(found[0])
    options = orientation.options(flags, protocol.reader)
    sequences = protocol.open(flags.data_dir, options)
    seen = None if flags.checkpoint is None else _weights(flags.checkpoint)
    if seen is not None and all(seen[0] != one.facts.get("weights_sha256") for one in evaluations):
        raise UserError(f"--checkpoint {flags.checkpoint}: no DIR holds results of these weights")
    drawn: dict[str, list[Shown]] = {}
    ours = [one for one in evaluations if comparison_in(one.folder) is None]  # whose result files lie there
    for folder in dict.fromkeys(one.folder for one in evaluations if one not in ours):
        print(f"{folder} compares results that lie elsewhere: to draw sequences, give the trackers' own folders too")
    for one in track(ours, "sequences", transient=True):
        same = seen is not None and one.config is not None and seen[0] == one.facts.get("weights_sha256")
        looker = Looker(freeze(one.config or {}), seen[1]) if seen is not None and same else None
        drawn[one.name] = list(strips.show(one, protocol, sequences, flags.show, looker))
    return drawn


def _weights(path: Path) -> tuple[str, dict[str, Any]]:
    """A checkpoint's hash and its weights."""
    from ostrack_jax.checkpoint.files import load_weights, sha256
    from ostrack_jax.cli.compiled import keep_compiled

    keep_compiled()
    _, weights = load_weights(path)
    return sha256(weights), dict(weights)
