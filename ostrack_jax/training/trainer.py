"""The way from a config to trained weights. Enters: a config, a workdir, initial weights. Leaves: checkpoints and logs.

Stations: mesh, `start` (resume, else given weights, else fresh ones), then per epoch train, validate, draw, save.
"""

from __future__ import annotations

import datetime
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from rich.console import Console

from ostrack_jax import environment
from ostrack_jax.checkpoint.files import save_config
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import Use, batches, steps_per_epoch
from ostrack_jax.pipeline.sampling import Source
from ostrack_jax.training import checks, ending, hosts, lock, logging
from ostrack_jax.training.console import validates
from ostrack_jax.training.feed import Feed
from ostrack_jax.training.run import Run
from ostrack_jax.training.saving import Saving
from ostrack_jax.training.schedule import peak_rate
from ostrack_jax.training.sharding import make_mesh
from ostrack_jax.training.start import Start, start
from ostrack_jax.training.stop import Stop


def train(config: Config, workdir: Path, init: Path | None = None, console: Console | None = None) -> dict[str, float]:
    """Train, or go on training, in ``workdir``; the numbers of the run's last validation (empty without one).

    Raises:
      UserError: data sets missing, weights that do not fit, a batch the devices cannot share, a number not finite, a
        folder that cannot be written to or that another run trains in. What was trained is saved.
      Stopped: SIGTERM or Ctrl-C; all is saved.
    """
    console = console or Console(quiet=not hosts.first())
    mesh = make_mesh(config)
    hosts.check_shared(workdir)
    hosts.check_same(config)
    for notice in checks.check_settings(config):
        console.print(f"notice: {notice}", highlight=False, soft_wrap=True)
    sources = checks.open_checked(config)
    try:
        with Stop() as stop, lock.held(workdir, console), Saving(config, workdir) as saving:
            begin = start(config, workdir, init, mesh, saving, console)
            saving.prepare(begin.state)
            if hosts.first():
                save_config(workdir, config)
                tell_start(config, workdir, mesh, begin, sources, console)
            run = Run(config, workdir, mesh, saving, stop, console, begin.state)
            validated = begin.validation is not None and begin.validation["step"] == begin.step
            with (
                logging.Log(workdir, begin.step, config, validated) if hosts.first() else logging.Silent() as log,
                batches(config, "train", start_step=begin.step, sources=sources["train"], **hosts.share()) as data,
                ending.saved(run),
            ):
                return epochs(run, begin, Feed(data, mesh), log)
    except (OSError, jax.errors.JaxRuntimeError) as e:
        told = ending.in_words(e, config)
        if told is None:
            raise
        raise UserError(told) from e


def epochs(run: Run, begin: Start, feed: Feed, log: logging.Log) -> dict[str, float]:
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
        if epoch % train.save_every == 0 or epoch == train.epochs or validates(train, epoch):
            saving.save(state, step)
        if validates(train, epoch) and (validation is None or validation["step"] < step):
            validation = saving.validation = {**run.validate(state, step, epoch, log), "epoch": epoch, "step": step}
            saving.save_if_best(state, step, validation)
        if fresh and train.picture_every and (epoch % train.picture_every == 0 or epoch == train.epochs):
            run.picture(state, step, epoch, log)
        saving.check()
    return {name: value for name, value in (validation or {}).items() if name not in ("epoch", "step")}


def tell_start(
    config: Config,
    workdir: Path,
    mesh: Mesh,
    begin: Start,
    sources: Mapping[Use, tuple[Source, ...]],
    console: Console,
) -> None:
    """Print where the run begins, on what, how fast it learns and from what; or that nothing is left to train."""
    peak, epochs = peak_rate(config.train), config.train.epochs
    if begin.step >= epochs * steps_per_epoch(config):
        lines = [
            f"{config.name}: all {epochs} epochs are done ({begin.origin}): nothing is left to train. More epochs: "
            f"--config.train.epochs=N above {epochs}; another run from these weights: --init {workdir} and another "
            "--workdir"
        ]
    else:
        lines = [
            f"{config.name}: from {begin.origin}; {mesh.size} {jax.devices()[0].platform} device(s){hosts.told()}; "
            f"batch {config.train.batch}; learning rate {peak:.3g} (backbone "
            f"{peak * config.train.backbone_lr_scale:.3g}); {checks.parameters(config)}",
            *(f"{use}: {', '.join(checks.sequences(config, s) for s in of)}" for use, of in sources.items()),
        ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def about() -> dict[str, Any]:
    """What this run is made with, for its log."""
    return {
        "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "versions": environment.versions(),
        "hardware": environment.hardware(),
        "commit": environment.commit(),
    }
