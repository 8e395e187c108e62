"""The `ostrack` command. Enters: the words of the command line. Leaves: the named subcommand's exit status.

A subcommand's module is imported when it is called, so that `ostrack --help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from ostrack_jax import __version__
from ostrack_jax.cli import command
from ostrack_jax.errors import UserError

COMMANDS = {
    "train": "train a tracker from a config",
    "eval": "score a tracker on a benchmark",
    "profile": "what a model costs here: MACs, memory, latency, with and without elimination",
    "compare": "trackers side by side by their result files, ours and others' raw ones",
    "submit": "pack results for an evaluation server: GOT-10k's, TrackingNet's",
    "vot": "set up a tracker in a workspace of the VOT toolkit",
    "data": "check folders of data; pack them for training",
    "report": "draw training runs and evaluations: curves and pictures as PNG and HTML",
    "convert": "turn published weights into a checkpoint of this project, and back",
    "track": "follow one object through a video or a folder of images",
    "visualize": "draw what the network sees of one sequence: elimination, attention, discriminative regions",
    "demo": "follow a rabbit through a clip with the network in the package; --train: train a tiny one in four minutes",
    "doctor": "check versions, devices, disk and data sets, and that the network computes what it should",
}
GROUPS = ("convert", "data", "report")  # commands that have commands of their own
_DOC = """OSTrack, one-stream visual object tracking, in JAX and Flax.

Example:
  ostrack train --config tiny --workdir runs/tiny
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand that ``argv`` (the process's own words when None) names; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] == "--version":
        print(f"ostrack-jax {__version__}")
        return 0
    try:
        name = command.choose(COMMANDS, _DOC, words, "ostrack")
    except UserError as e:
        return command.fail("ostrack", e)
    if name is None:
        return 0
    if name in GROUPS:
        return importlib.import_module(f"ostrack_jax.cli.{name}").main(words[1:])
    return command.run(command.load(f"ostrack_jax.cli.{name}"), words[1:], f"ostrack {name}")


if __name__ == "__main__":
    sys.exit(main())
