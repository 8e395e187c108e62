"""Draw the curves of training runs: losses, IoU, learning rates, keep ratio, gradient norm, speed, waiting for data.

DIR is the workdir of a run, finished or not; several are drawn into the same plots, to compare. Writes curves.png and
report.html, one file with everything in it (curves, the newest images, settings, versions), for a browser without a
server or network. Needs matplotlib: pip install 'ostrack-jax[report]'.

Example:
  ostrack report train runs/tiny
  ostrack report train runs/first runs/second --output compared
"""

from __future__ import annotations

from pathlib import Path

from absl import flags as absl_flags

from ostrack_jax.cli.paths import Place, define_path

ARGUMENTS = (Place("DIR"), Place("[DIR...]"))


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = "directory for the two files; without it, `report` in the (first) DIR"
    define_path("output", None, text, flags, writes="directory")


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Read the logs, draw the report and print where it is."""
    from ostrack_jax.training import report

    runs = report.read_runs([Path(argument) for argument in arguments])
    output = Path(arguments[0]) / "report" if flags.output is None else flags.output
    for path in report.write(output, runs):
        print(path)
    return 0
