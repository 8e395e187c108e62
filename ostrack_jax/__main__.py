"""`python -m ostrack_jax`: the `ostrack` command."""

import sys

from ostrack_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
