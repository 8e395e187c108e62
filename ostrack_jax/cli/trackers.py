"""Which tracker a command uses. Enters: its flags. Leaves: the tracker, and what its answers follow from."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.compiled import keep_compiled
from ostrack_jax.cli.paths import define_path
from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.weights import locate, names

if TYPE_CHECKING:
    from ostrack_jax.tracking.track import TrackerLike


@dataclass(frozen=True)
class LoadedTracker:
    """A tracker ready to start.

    Attributes:
      tracker: to be started on a frame.
      provenance: what its answers follow from, as JSON can hold it: `tracker`, and hashes of its weights or files.
      config: the whole config, where it has one; its `data` is what the weights were trained on.
    """

    tracker: TrackerLike
    provenance: dict[str, Any]
    config: dict[str, Any] | None = None


def define(flags: absl_flags.FlagValues) -> None:
    """Declare `--checkpoint` and `--config`, or `--tracker` and `--tracker_files`."""
    text = (
        "weights: a folder that `ostrack convert` wrote, a .safetensors file, a training's workdir, WORKDIR/best, or "
        f"the name of a network in the package ({', '.join(names())})"
    )
    define_path("checkpoint", None, text, flags)
    command.define_config_for(flags)
    text = "in place of a checkpoint: still, opencv:mil, opencv:nano or opencv:vit"
    absl_flags.DEFINE_string("tracker", None, text, flag_values=flags)
    text = "the folder of the model files of opencv:nano and opencv:vit"
    define_path("tracker_files", None, text, flags)


def choose(flags: absl_flags.FlagValues, targets: int = 1, otherwise: Path | None = None) -> LoadedTracker:
    """The tracker that the flags ask for, compiled; one of a checkpoint for ``targets`` at once.

    Where neither a checkpoint nor a tracker is named, the checkpoint ``otherwise`` if there is one.

    Raises:
      UserError: both or none are asked for, an unknown name, missing or broken files, weights that do not fit.
    """
    if flags.tracker is not None and flags.checkpoint is not None:
        raise UserError("expected --checkpoint DIR (with --config NAME) or --tracker NAME: found both")
    if flags.tracker is not None:
        if flags.config is not None or command.overrides(flags):
            raise UserError("--config goes with --checkpoint, not with --tracker")
        if targets > 1:
            raise UserError("--batch goes with --checkpoint: the trackers of --tracker know one target at a time")
        return of_baseline(flags.tracker, flags.tracker_files)
    if flags.tracker_files is not None:
        raise UserError("--tracker_files goes with --tracker, not with --checkpoint")
    checkpoint = flags.checkpoint or otherwise
    if checkpoint is None:
        raise UserError("expected --checkpoint DIR (with --config NAME) or --tracker NAME: found neither")
    return of_checkpoint(checkpoint, functools.partial(command.config_for, flags), targets)


def words(flags: absl_flags.FlagValues) -> list[str]:
    """What another process has to be called with, wherever it runs, to choose the same tracker."""
    out = []
    for name in ("checkpoint", "config", "tracker", "tracker_files"):
        value = flags[name].value
        if value is not None:
            name_alone = name == "tracker" or (name == "config" and not value.is_file())
            out += [f"--{name}", str(value if name_alone else locate(value).resolve())]
    return [*out, *(f"--config.{override}" for override in command.overrides(flags))]


def of_checkpoint(path: Path, config_for: Callable[[Config], Config] | None = None, targets: int = 1) -> LoadedTracker:
    """The tracker of a checkpoint, compiled for ``targets`` at once.

    By its own config in the precision of this device, or by what ``config_for`` makes of that.
    """
    from ostrack_jax.checkpoint.files import load_weights
    from ostrack_jax.tracking.precision import for_device
    from ostrack_jax.tracking.tracker import Tracker

    keep_compiled()
    stored, weights = load_weights(path)
    config = for_device(stored, config_for)
    # What the weights were trained on is the checkpoint's to say, whatever config they are run by.
    tracker = Tracker(dataclasses.replace(config, data=stored.data), weights, targets)
    return LoadedTracker(tracker, tracker.provenance, to_dict(tracker.config))


def of_baseline(name: str, files: Path | None = None) -> LoadedTracker:
    """A tracker to compare with: still, opencv:mil, ..; ``files`` is the folder of its model files."""
    from ostrack_jax.tracking import baselines

    return LoadedTracker(baselines.make(name, files), baselines.describe(name, files))
