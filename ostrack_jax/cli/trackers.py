"""The flags of every command that tracks: which tracker, by which weights and config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.paths import define_path
from ostrack_jax.errors import UserError
from ostrack_jax.weights import locate, names

if TYPE_CHECKING:
    from ostrack_jax.tracking.baselines import Baseline
    from ostrack_jax.tracking.tracker import Tracker


def define(flags: absl_flags.FlagValues) -> None:
    """Declare `--checkpoint` and `--config`, or `--tracker` and `--tracker_files`."""
    text = (
        "weights: a directory that `ostrack convert` wrote, a .safetensors file, a training's workdir, WORKDIR/best, "
        f"or the name of a network in the package ({', '.join(names())})"
    )
    define_path("checkpoint", None, text, flags)
    command.define_config_for(flags)
    text = "in place of a checkpoint: still, opencv:mil, opencv:nano or opencv:vit"
    absl_flags.DEFINE_string("tracker", None, text, flag_values=flags)
    text = "the directory of the model files of opencv:nano and opencv:vit"
    define_path("tracker_files", None, text, flags)


def choose(flags: absl_flags.FlagValues, targets: int = 1, otherwise: Path | None = None) -> Tracker | Baseline:
    """Load the tracker that the flags ask for; one of a checkpoint is compiled for ``targets`` at once.

    Where neither a checkpoint nor a tracker is named, the checkpoint ``otherwise`` if there is one.

    Raises:
      UserError: both or none are asked for, an unknown name, missing or invalid files, weights that do not fit.
    """
    expected = "expected --checkpoint DIR (with --config NAME) or --tracker NAME"
    if flags.tracker is not None:
        if flags.checkpoint is not None:
            raise UserError(f"{expected}: found both")
        if flags.config is not None or command.overrides(flags) or targets > 1:
            name = "batch" if targets > 1 else "config"
            raise UserError(f"--{name} goes with --checkpoint, not with --tracker")
        from ostrack_jax.tracking import baselines

        return baselines.make(flags.tracker, flags.tracker_files)
    if flags.tracker_files is not None:
        raise UserError("--tracker_files goes with --tracker, not with --checkpoint")
    checkpoint = flags.checkpoint or otherwise
    if checkpoint is None:
        raise UserError(f"{expected}: found neither")
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking.tracker import Tracker

    keep_compiled()
    return Tracker.from_checkpoint(checkpoint, flags.config, targets, changes=command.overrides(flags))


def words(flags: absl_flags.FlagValues) -> list[str]:
    """Return the words that choose the same tracker in another process, whatever its directory."""
    out = []
    for name in ("checkpoint", "config", "tracker", "tracker_files"):
        value = flags[name].value
        if value is not None:
            name_alone = name == "tracker" or (name == "config" and not value.is_file())
            out += [f"--{name}", str(value if name_alone else locate(value).resolve())]
    return [*out, *(f"--config.{override}" for override in command.overrides(flags))]
