"""OSTrack, one-stream visual object tracking, in JAX and Flax.

Example:
  ostrack train --config tiny --workdir runs/tiny
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ostrack_jax import __version__
from ostrack_jax.cli import command

PREFIX = "ostrack_jax.cli."
COMMANDS = {  # a command's module is imported when it is called, so that `ostrack --help` answers at once
    "train": "train a tracker from a config",
    "eval": "score a tracker on a benchmark",
    "profile": "what a model costs here: MACs, memory, latency, with and without elimination",
    "compare": "trackers side by side by their result files, ours and others' raw ones",
    "submit": "pack results for an evaluation server: GOT-10k's, TrackingNet's",
    "vot": "set up a tracker in a workspace of the VOT toolkit",
    "data": "check directories of data; pack them for training",
    "report": "draw training runs and evaluations: curves and images as PNG and HTML",
    "convert": "turn published weights into a checkpoint of this project, and back",
    "track": "follow one object through a video or a directory of images",
    "visualize": "draw what the network sees of one sequence: elimination, attention, discriminative regions",
    "demo": "follow a rabbit through a clip with the network in the package; --train: train a tiny one in four minutes",
    "doctor": "check versions, devices, disk and data sets, and that the network computes what it should",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (the process's own words when None) names; return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        with command.guarded():
            print(f"ostrack-jax {__version__}")
        return 0
    return command.dispatch(sys.modules[__name__], words, "ostrack")


if __name__ == "__main__":
    sys.exit(main())
