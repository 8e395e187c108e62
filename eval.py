"""Score a tracker: `python eval.py --config configs/NAME.py --checkpoint DIR ...`; see its --help."""

import sys

from ostrack_jax.cli import eval as evaluate
from ostrack_jax.cli.command import run

if __name__ == "__main__":
    sys.exit(run(evaluate, sys.argv[1:], "python eval.py"))
