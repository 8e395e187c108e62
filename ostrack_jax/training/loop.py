"""The way from a config to trained weights. Enters: a config, a workdir, initial weights. Leaves: checkpoints and logs.

Stations: mesh, `start` (resume, else given weights, else fresh ones), then per epoch train, validate, draw, save.
"""

from __future__ import annotations

import datetime
import shlex
import sys
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from rich.console import Console

from ostrack_jax import environment
from ostrack_jax.checkpoint import save_config
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import batches, open_sources, steps_per_epoch
from ostrack_jax.training import hosts, logs, pictures
from ostrack_jax.training.console import validates
from ostrack_jax.training.feed import Feed
from ostrack_jax.training.mesh import make_mesh
from ostrack_jax.training.run import Run
from ostrack_jax.training.saving import Saving
from ostrack_jax.training.schedule import peak_rate
from ostrack_jax.training.start import Start, start
from ostrack_jax.training.stop import Stop


def train(config: Config, workdir: Path, init: Path | None = None, console: Console | None = None) -> dict[str, float]:
    """Train, or go on training, in ``workdir``; the numbers of the run's last validation (empty without one).

    Raises:
      UserError: data sets missing, weights that do not fit, a batch the devices cannot share, a number not finite, a
        folder that cannot be written to.
      Stopped: SIGTERM or Ctrl-C; all is saved.
    """
    console = console or Console(quiet=not hosts.first())
    mesh = make_mesh(config)
    hosts.check_shared(workdir)
    hosts.check_same(config)
    sources = open_sources(config, "train")
    check_later_sets(config)
    try:
        with Stop() as stop, Saving(config, workdir) as saving:
            begin = start(config, workdir, init, mesh, saving, console)
            if hosts.first():
                save_config(workdir, config)
            tell_start(config, mesh, begin, console)
            run = Run(config, workdir, mesh, saving, stop, console)
            validated = begin.validation is not None and begin.validation["step"] == begin.step
            with (
                logs.Log(workdir, begin.step, config, validated) if hosts.first() else logs.Silent() as log,
                batches(config, "train", start_step=begin.step, sources=sources, **hosts.share()) as data,
            ):
                return epochs(run, begin, Feed(data, mesh), log)
    except OSError as e:
        what = f"{e.filename or workdir}: {e.strerror or e}"
        raise UserError(f"{what}; the same command goes on from the last checkpoint") from e
    except jax.errors.JaxRuntimeError as e:
        if "RESOURCE_EXHAUSTED" not in str(e):
            raise
        raise UserError(
            f"a batch of {config.train.batch} does not fit into the memory of {mesh.size} device(s): try "
            "--config.model.remat=True, then --config.train.accumulate=2, 4 .. (docs/scale.md)"
        ) from e


def check_later_sets(config: Config) -> None:
    """Raise the `UserError` of a set that only a validation or a picture will open, before the first epoch."""
    if config.train.validate_every:
        steps_per_epoch(config, "validation")
        open_sources(config, "validation")
    if config.train.picture_every:
        open_sources(config, pictures.use_of(config))


def epochs(run: Run, begin: Start, feed: Feed, log: logs.Log) -> dict[str, float]:
    """Train to the end; a run that stood at the end of an epoch first does what was left to do there."""
    train, saving, (state, step, validation, _) = run.config.train, run.saving, begin
    if step < train.epochs * run.per_epoch:
        log.about(step, about())
    if validation is not None and validation["step"] == step:
        saving.save_if_best(state, step, validation)  # where the run was killed before it could
    for epoch in range(max(1, -(-step // run.per_epoch)), train.epochs + 1):
        fresh = step < epoch * run.per_epoch
        if fresh:
            state, step = run.epoch(state, step, epoch, feed, log), epoch * run.per_epoch
        if validates(train, epoch) and (validation is None or validation["step"] < step):
            validation = saving.validation = {**run.validate(state, step, epoch, log), "epoch": epoch, "step": step}
            saving.save_if_best(state, step, validation)
        if fresh and train.picture_every and (epoch % train.picture_every == 0 or epoch == train.epochs):
            run.picture(state, step, epoch, log)
        if epoch % train.save_every == 0 or epoch == train.epochs:
            saving.save(state, step)
        saving.check()
    return {name: value for name, value in (validation or {}).items() if name not in ("epoch", "step")}


def tell_start(config: Config, mesh: Mesh, begin: Start, console: Console) -> None:
    """A line on where the run begins, on what, and how fast it learns."""
    peak = peak_rate(config.train)
    console.print(
        f"{config.name}: from {begin.origin}; {mesh.size} {jax.devices()[0].platform} device(s){hosts.told()}; "
        f"batch {config.train.batch}; learning rate {peak:.3g} (backbone {peak * config.train.backbone_lr_scale:.3g})",
        highlight=False,
        soft_wrap=True,
    )


def about() -> dict[str, Any]:
    """What this run is made with, for its log."""
    return {
        "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "versions": environment.versions(),
        "hardware": environment.hardware(),
        "commit": environment.commit(),
    }
