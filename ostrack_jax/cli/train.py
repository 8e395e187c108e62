"""Train a tracker, or resume the run in the same directory.

The directory receives config.json, checkpoints/ (the newest), best/ (by validation IoU), log.jsonl and tensorboard/.
Data sets are found by --config.data.NAME.dir=PATH, OSTRACK_<READER>_DIR or one TOML file (docs/data.md);
--config.data.NAME.reader=READER adds a data set, such as one's own (docs/training.md).
SIGTERM or Ctrl-C saves and ends with status 143 or 130 (of several processes all, with 143), an error saves too; the
same command resumes the run. A directory belongs to one run at a time.
A step whose loss or gradient is not finite stops the run and is kept in a file; --replay runs it again and names the
operation that gives the first NaN.

Several processes train together where a launcher (SLURM, Open MPI, Kubernetes, a TPU pod) has started several, or with
--coordinator, --process and --processes; each runs the same command, and the first writes logs and images.

Example:
  ostrack train --config tiny --workdir runs/tiny
  ostrack train --config vitb_256_mae_ce_32x4_got10k_ep100 --workdir runs/got10k --init weights/mae \\
    --config.data.got10k.dir=/data/got10k --config.train.batch=64
  ostrack train --config tiny --workdir runs/two --coordinator localhost:9000 --processes 2 --process 0  # and 1
  ostrack train --replay runs/got10k/replay_1234.safetensors
"""

from __future__ import annotations

from absl import flags as absl_flags

from ostrack_jax.cli.command import define_config, read_config
from ostrack_jax.cli.paths import define_path
from ostrack_jax.errors import UserError
from ostrack_jax.weights import locate, names


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    define_config(flags, required=False)
    define_path("workdir", None, "directory of the run", flags, writes="directory")
    text = "weights to start from (a converter's output, another run, ..); not used when the run resumes"
    define_path("init", None, text, flags)
    text = "in place of training: a step that was not finite, to run again; status 1 where it still is not"
    define_path("replay", None, text, flags)
    text = "where processes that train together meet: process 0 listens there (docs/scale.md)"
    absl_flags.DEFINE_string("coordinator", None, f"HOST:PORT, {text}", flag_values=flags)
    absl_flags.DEFINE_integer("process", None, "which of them this is, from 0", 0, flag_values=flags)
    text = "how many train together; 1: this one alone, whatever a launcher's variables are"
    absl_flags.DEFINE_integer("processes", None, text, 1, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Train; 0 when the last epoch is done."""
    del arguments
    if flags.replay is not None:
        return _replay(flags)
    config = read_config(flags)
    if flags.workdir is None:
        raise UserError("--workdir is required")
    if flags.init is not None and not locate(flags.init).exists():
        raise UserError(f"--init: nothing at {flags.init}; networks in the package: {', '.join(names())}")
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.training import distributed
    from ostrack_jax.training.trainer import train

    distributed.join(flags.coordinator, flags.process, flags.processes)
    keep_compiled()
    train(config, flags.workdir, flags.init)
    return 0


def _replay(flags: absl_flags.FlagValues) -> int:
    """Run a kept step again; 1 where it is again not finite."""
    for name in ("config", "workdir", "init"):
        if flags[name].value is not None:
            raise UserError(f"--{name} does not go with --replay, whose file holds all of them")
    from rich.console import Console

    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.training.replay import run_again

    keep_compiled()
    return 0 if run_again(flags.replay, Console()) else 1
