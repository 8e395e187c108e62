"""The way from a config to trained weights. Enters: a config, a workdir, initial weights. Leaves: checkpoints and logs.

Stations: mesh, start (resume, else given weights, else fresh ones), then per epoch train, validate, save.
"""

from __future__ import annotations

import datetime
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console

from ostrack_jax import environment
from ostrack_jax.checkpoint import CONFIG_FILE, STEPS, TrainCheckpoints, load_config, load_weights, save_config
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as model_weights
from ostrack_jax.pipeline.loader import Batches, batches, open_sources, steps_per_epoch
from ostrack_jax.training import logs, pictures
from ostrack_jax.training.console import Display, summary, validates
from ostrack_jax.training.flops import mfu
from ostrack_jax.training.mesh import make_mesh, place, replicated
from ostrack_jax.training.meter import Meter
from ostrack_jax.training.schedule import Kept, keep_ratio, kept_at, kept_in_epoch, learning_rate, peak_rate
from ostrack_jax.training.step import State, init_state, make_step, make_validation

_FEW_PAIRS = 2000  # a validation so small is over before worker processes have started


def train(config: Config, workdir: Path, init: Path | None = None, console: Console | None = None) -> dict[str, float]:
    """Train, or go on training, in ``workdir``; the numbers of the last validation (empty without one).

    Raises:
      UserError: data sets missing, weights that do not fit, a batch the devices cannot share, a number not finite.
    """
    console = console or Console()
    mesh = make_mesh(config)
    sources = open_sources(config, "train")
    checkpoints = TrainCheckpoints(workdir / STEPS, config.train.keep_checkpoints)
    state = start(config, workdir, init, mesh, checkpoints, console)
    first, per_epoch, epochs = int(state.step), steps_per_epoch(config), config.train.epochs
    run = Run(config, mesh, console)
    told: dict[str, float] = {}
    with logs.Log(workdir, first, config) as log, batches(config, "train", start_step=first, sources=sources) as data:
        if first < epochs * per_epoch:
            log.about(first, about())
        for epoch in range(first // per_epoch + 1, epochs + 1):
            state = run.epoch(state, epoch, data, log)
            if validates(config.train, epoch):
                told = run.validate(state, epoch, log)
            if config.train.picture_every and (epoch % config.train.picture_every == 0 or epoch == epochs):
                run.picture(state, epoch, log)
            if epoch % config.train.save_every == 0 or epoch == epochs:
                checkpoints.save(int(state.step), state.params | state.buffers, (state.step, state.moments))
        checkpoints.close()
    return told


def start(
    config: Config, workdir: Path, init: Path | None, mesh: Mesh, checkpoints: TrainCheckpoints, console: Console
) -> State:
    """The state to begin with: the workdir's newest, else ``init``'s weights, else fresh ones by the seed."""
    resume = checkpoints.latest()
    if resume is not None and load_config(workdir).model != config.model:
        raise UserError(f"{workdir} holds checkpoints of another model ({CONFIG_FILE}): use another workdir")
    if init is not None and resume is None:
        weights = load_weights(init)[1]
        model_weights.check(config.model, weights)
    else:
        weights = model_weights.initial_weights(config.model, config.train.seed)
    state = init_state(config, weights, mesh)
    if resume is not None:
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
        found, (step, moments) = checkpoints.restore(
            resume, abstract.params | abstract.buffers, (abstract.step, abstract.moments)
        )
        params, buffers = ({name: found[name] for name in part} for part in (state.params, state.buffers))
        state = state._replace(step=step, params=params, buffers=buffers, moments=moments)
    save_config(workdir, config)
    origin = f"step {resume} of {workdir}" if resume is not None else str(init) if init else "fresh weights"
    rates = f"{peak_rate(config.train):.3g} (backbone {peak_rate(config.train) * config.train.backbone_lr_scale:.3g})"
    console.print(
        f"{config.name}: from {origin}; {mesh.size} {jax.devices()[0].platform} device(s); batch {config.train.batch}; "
        f"learning rate {rates}",
        highlight=False,
        soft_wrap=True,
    )
    return state


def about() -> dict[str, Any]:
    """What this run is made with, for its log."""
    return {
        "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "versions": environment.versions(),
        "hardware": environment.hardware(),
        "commit": environment.commit(),
    }


class Run:
    """What stays the same over the epochs: the executables, one for each number of kept tokens."""

    def __init__(self, config: Config, mesh: Mesh, console: Console):
        self.config, self.mesh = config, mesh
        self.display = Display(console, config.train, steps_per_epoch(config))
        self._jitted = {
            "training": make_step(config, mesh),
            "validation": make_validation(config),
            "pictures": pictures.make_look(config),
        }
        self._compiled: dict[tuple[str, tuple[int, ...], bool], Callable] = {}
        self._rate = learning_rate(config)

    def _executable(self, name: str, state: State, batch: Mapping[str, Any], kept: Kept) -> Callable:
        """What ``name`` says (training, validation, pictures) compiled for the sizes of ``kept``."""
        valid = None if kept.valid is None else replicated(kept.valid, self.mesh)
        key = name, kept.sizes, valid is None
        if key not in self._compiled:
            at_most = "" if valid is None else "at most "
            what = f"{name} for {at_most}{', '.join(map(str, kept.sizes))} kept tokens" if kept.sizes else name
            began = time.perf_counter()
            with self.display.working(f"compiling {what}"):
                self._compiled[key] = self._jitted[name].lower(state, batch, valid, kept=kept.sizes).compile()
            self.display.tell(f"compiled {what} in {time.perf_counter() - began:.1f} s")
        compiled = self._compiled[key]
        return lambda state, batch: compiled(state, batch, valid)

    def epoch(self, state: State, epoch: int, data: Batches, log: logs.Log) -> State:
        """Train to the end of ``epoch`` (1, 2, ..) from wherever ``state`` stands in it."""
        train, steps, kept = self.config.train, steps_per_epoch(self.config), kept_in_epoch(self.config, epoch)
        before = (epoch - 1) * steps
        done, meter, readings = int(state.step) - before, Meter(train.batch), []
        with self.display.epoch(epoch, done) as show:
            while done < steps:
                with meter.waiting():
                    batch = place(next(data), self.mesh)
                with meter.uncounted():
                    run = self._executable("training", state, batch, kept)
                state, metrics = run(state, batch)
                meter.add(metrics)
                done += 1
                if done % train.log_every == 0 or done == steps:
                    numbers = meter.read(before + done)
                    readings.append(numbers | self._facts(epoch, before + done, kept, numbers["pairs_per_second"]))
                    log.write("train", before + done, readings[-1] | {"epoch": epoch, "unreadable": data.unreadable})
                    show(done, readings[-1])
        more = f"  kept {kept.exact[-1]}" if kept.exact else ""
        self.display.tell(summary(f"epoch {epoch}/{train.epochs}", mean(readings)) + more)
        return state

    def _facts(self, epoch: int, step: int, kept: Kept, pairs_per_second: float) -> dict[str, float]:
        """What holds of the last step up to ``step``, beside its losses."""
        config = self.config
        rate = float(jax.device_get(self._rate(step - 1)))
        facts = {"lr": rate, "lr_backbone": rate * config.train.backbone_lr_scale}
        if config.model.keep_ratio:
            facts["keep_ratio"] = keep_ratio(config.train, config.model.keep_ratio[0], epoch)
        share = mfu(config, kept.exact, pairs_per_second, jax.devices()[0].device_kind, self.mesh.size)
        return facts if share is None else facts | {"mfu": share}

    def validate(self, state: State, epoch: int, log: logs.Log) -> dict[str, float]:
        """The losses on the validation pairs, always the same ones, at the epoch's keep ratio."""
        train, kept, meter = self.config.train, kept_in_epoch(self.config, epoch), Meter(self.config.train.batch)
        workers = 0 if train.validation_pairs <= _FEW_PAIRS else train.workers
        steps = steps_per_epoch(self.config, "validation")
        with batches(self.config, "validation", workers=workers) as data, self.display.validation(steps) as show:
            for done in range(1, steps + 1):
                with meter.waiting():
                    batch = place(next(data), self.mesh)
                with meter.uncounted():
                    run = self._executable("validation", state, batch, kept)
                meter.add(run(state, batch))
                show(done)
        numbers = meter.read(int(state.step))
        log.write("validation", int(state.step), numbers | {"epoch": epoch})
        self.display.tell(summary("  validation", numbers))
        return numbers

    def picture(self, state: State, epoch: int, log: logs.Log) -> None:
        """What the network sees and answers on a few validation pairs, at the keep ratio it will be used with."""
        kept, everywhere = kept_at(self.config, 0.0), NamedSharding(self.mesh, PartitionSpec())
        batch = pictures.pairs(self.config)
        placed = jax.device_put(batch, everywhere)
        prediction = jax.device_get(self._executable("pictures", state, placed, kept)(state, placed))
        path = log.picture(f"epoch_{epoch:04}", int(state.step), pictures.draw(batch, prediction))
        self.display.tell(f"  picture      {path}")


def mean(readings: list[dict[str, float]]) -> dict[str, float]:
    """The mean of readings with the same names."""
    return {name: sum(r[name] for r in readings) / len(readings) for name in readings[0]}
