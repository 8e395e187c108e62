"""Train a tracker, or go on where an earlier run in the same folder stopped.

The folder receives config.json, checkpoints/, log.jsonl and tensorboard/. Data folders come from
--config.data.NAME.dir=PATH, from OSTRACK_<READER>_DIR or from one TOML file (docs/data.md).

Example:
  ostrack train --config tiny --workdir runs/tiny
  ostrack train --config vitb_256_mae_ce_32x4_got10k_ep100 --workdir runs/got10k --init weights/mae \\
    --config.data.got10k.dir=/data/got10k --config.train.batch=64
"""

from __future__ import annotations

from pathlib import Path

from absl import flags as absl_flags

from ostrack_jax.cli.command import define_config, read_config
from ostrack_jax.errors import UserError


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    define_config(flags)
    absl_flags.DEFINE_string("workdir", None, "folder of the run", flag_values=flags, required=True)
    absl_flags.DEFINE_string(
        "init", None, "weights to start from (a converter's output); unused when the run resumes", flag_values=flags
    )


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Train; 0 when the last epoch is done."""
    del arguments
    config = read_config(flags)
    init = Path(flags.init) if flags.init else None
    if init is not None and not init.exists():
        raise UserError(f"--init: nothing at {init}")
    from ostrack_jax.training.loop import train

    train(config, Path(flags.workdir), init)
    return 0
