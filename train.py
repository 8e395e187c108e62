"""Train a tracker: `python train.py --config configs/NAME.py --workdir DIR`; see `python train.py --help`."""

import sys

from ostrack_jax.cli import train
from ostrack_jax.cli.command import run

if __name__ == "__main__":
    sys.exit(run(train, sys.argv[1:], "python train.py"))
