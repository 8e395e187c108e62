"""A run's work on the devices. Enters: a state and batches. Leaves: the state an epoch later, numbers, pictures.

While the devices work at a step the next batch is put on them, and numbers are read a step late: nothing waits for a
step but what is saved.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console

from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import batches, steps_per_epoch
from ostrack_jax.training import hosts, logging, pictures, replay
from ostrack_jax.training.console import Display, summary
from ostrack_jax.training.feed import Feed
from ostrack_jax.training.flops import mfu
from ostrack_jax.training.meter import Meter, NotFiniteError
from ostrack_jax.training.saving import Saving
from ostrack_jax.training.schedule import Kept, keep_ratio, kept_at, kept_in_epoch, learning_rate
from ostrack_jax.training.sharding import replicated
from ostrack_jax.training.step import State, make_step, make_validation
from ostrack_jax.training.stop import Stop

_FEW_PAIRS = 2000  # a validation so small is over before worker processes have started

Show = Callable[[int, Mapping[str, float]], None]


class Run:
    """What stays the same over the epochs: the executables, one for each number of kept tokens.

    Attributes:
      state: the newest; what is saved where the run ends early.
    """

    def __init__(
        self, config: Config, workdir: Path, mesh: Mesh, saving: Saving, stop: Stop, console: Console, state: State
    ):
        self.config, self.workdir, self.mesh, self.saving, self.stop = config, workdir, mesh, saving, stop
        self.state = state
        self.per_epoch = steps_per_epoch(config)
        self.display = Display(console, config.train, self.per_epoch)
        self._jitted = {
            "training": make_step(config, mesh),
            "validation": make_validation(config),
            "pictures": pictures.make_look(config, mesh),
        }
        self._compiled: dict[tuple[str, tuple[int, ...], bool], Callable[..., Any]] = {}
        self._counts: dict[tuple[int, ...], jax.Array] = {}
        self._recent: deque[tuple[int, dict[str, jax.Array]]] = deque(maxlen=3)  # steps under way or just done

    def epoch(self, state: State, step: int, epoch: int, feed: Feed, log: logging.Log) -> State:
        """Train from ``step``, which lies within ``epoch`` (1, 2, ..), to the epoch's end."""
        train, kept, end = self.config.train, kept_in_epoch(self.config, epoch), epoch * self.per_epoch
        with self.display.epoch(epoch, step - (end - self.per_epoch)) as show, Meter(train.batch) as meter:
            reading = Reading(self, epoch, meter, feed, log, show)
            try:
                try:
                    with meter.uncounted():  # processes start
                        self._prepare(feed)
                    while step < end:
                        batch = feed.take()
                        with meter.uncounted():
                            run = self._executable("training", state, batch, kept)
                        state, metrics = run(state, batch)
                        self.state, step = state, step + 1
                        self._recent.append((step, batch))
                        reading.finished(meter.add(step, metrics))
                        if self.stop.requested():
                            raise self.stop.stopped()
                        if step < end and step % train.log_every == 0 and self.saving.due():
                            reading.finished(meter.finish())
                            self.saving.save(state, step)
                        with meter.waiting():
                            self._prepare(feed)
                finally:  # whatever ends it: the log has every step that is done
                    reading.finished(meter.finish())
            except NotFiniteError as e:
                batch = next(batch for at, batch in self._recent if at == e.step)
                raise replay.keep(self.config, self.workdir, e.step, state, batch, self.display.tell) from e
        more = f"  kept {kept.exact[-1]}" if kept.exact else ""
        more += "".join(f"  unreadable in {name}: {n}" for name, n in feed.data.tally.unreadable.items() if n)
        self.display.tell(summary(f"epoch {epoch}/{train.epochs}", mean(reading.all)) + more)
        return state

    def validate(self, state: State, step: int, epoch: int, log: logging.Log) -> dict[str, float]:
        """The losses on the validation pairs, always the same ones, at the epoch's keep ratio."""
        train, kept = self.config.train, kept_in_epoch(self.config, epoch)
        workers = 0 if train.validation_pairs <= _FEW_PAIRS else train.workers
        steps = steps_per_epoch(self.config, "validation")
        with (
            batches(self.config, "validation", workers=workers, **hosts.share()) as data,
            self.display.validation(steps) as show,
            Meter(train.batch) as meter,
        ):
            feed = Feed(data, self.mesh)
            with meter.uncounted():
                self._prepare(feed)
            try:
                for done in range(1, steps + 1):
                    batch = feed.take()
                    with meter.uncounted():
                        run = self._executable("validation", state, batch, kept)
                    meter.add(done, run(state, batch))
                    show(done)
                    if self.stop.requested():
                        raise self.stop.stopped()
                    if done < steps:
                        with meter.waiting():
                            self._prepare(feed)
                meter.finish()
            except NotFiniteError as e:
                pairs = f"{(e.step - 1) * train.batch} to {e.step * train.batch - 1}"
                raise UserError(
                    f"the validation after step {step}: loss not finite for one of its pairs {pairs}"
                ) from e
            numbers = meter.read()
        log.write("validation", step, numbers | {"epoch": epoch})
        self.display.tell(summary("  validation", numbers))
        return numbers

    def picture(self, state: State, step: int, epoch: int, log: logging.Log) -> None:
        """What the network sees and answers on a few validation pairs, at the keep ratio it will be used with."""
        kept, everywhere = kept_at(self.config, 0.0), NamedSharding(self.mesh, PartitionSpec())
        batch = pictures.pairs(self.config)
        placed = jax.device_put(batch, everywhere)
        prediction = jax.device_get(self._executable("pictures", state, placed, kept)(state, placed))
        path = log.picture(f"epoch_{epoch:04}", step, pictures.draw(batch, prediction))
        self.display.tell(f"  picture      {path}")

    def _prepare(self, feed: Feed) -> None:
        """Put the next batch on the devices; a wish to stop that comes while it is waited for is heard."""
        while not feed.ready(0.1):
            if self.stop.wished:
                raise self.stop.stopped()
        feed.prepare()

    def _executable(self, name: str, state: State, batch: Mapping[str, Any], kept: Kept) -> Callable[..., Any]:
        """What ``name`` says (training, validation, pictures) compiled for the sizes of ``kept``.

        A wish to stop that comes meanwhile is heard.
        """
        valid = None if kept.valid is None else self._placed(kept.valid)
        key = name, kept.sizes, valid is None
        if key not in self._compiled:
            at_most = "" if valid is None else "at most "
            what = f"{name} for {at_most}{', '.join(map(str, kept.sizes))} kept tokens" if kept.sizes else name
            began = time.perf_counter()
            with self.display.working(f"compiling {what}"):
                lowered = self._jitted[name].lower(state, batch, valid, kept=kept.sizes)
                self._compiled[key] = self.stop.during(lowered.compile)
            self.display.tell(f"compiled {what} in {time.perf_counter() - began:.1f} s")
        compiled = self._compiled[key]
        return lambda state, batch: compiled(state, batch, valid)

    def _placed(self, counts: tuple[int, ...]) -> jax.Array:
        """``counts`` on the devices: put there once, as several hosts wait for one another to do so."""
        if counts not in self._counts:
            self._counts[counts] = replicated(counts, self.mesh)
        return self._counts[counts]


class Reading:
    """Tells log and terminal what one epoch's finished steps gave, every ``log_every`` steps and at its end.

    Attributes:
      all: what was told.
    """

    def __init__(self, run: Run, epoch: int, meter: Meter, feed: Feed, log: logging.Log, show: Show):
        self.all: list[dict[str, float]] = []
        self._config, self._devices, self._epoch = run.config, run.mesh.size, epoch
        self._meter, self._feed, self._log, self._show = meter, feed, log, show
        self._start, self._end = (epoch - 1) * run.per_epoch, epoch * run.per_epoch
        # All rates of the epoch at once: asked for one by one, each would wait for the step under way.
        self._rates = np.asarray(learning_rate(run.config)(jnp.arange(self._start, self._end)))

    def finished(self, steps: list[int]) -> None:
        """``steps`` are done."""
        for step in steps:
            if step % self._config.train.log_every == 0 or step == self._end:
                numbers = self._meter.read()
                self.all.append(numbers | self._facts(step, numbers["pairs_per_second"]))
                by_set = {f"unreadable/{name}": n for name, n in self._feed.data.tally.unreadable.items() if n}
                facts = {"epoch": self._epoch, "unreadable": self._feed.data.unreadable} | by_set
                self._log.write("train", step, self.all[-1] | facts)
                self._show(step - self._start, self.all[-1])

    def _facts(self, step: int, pairs_per_second: float) -> dict[str, float]:
        """What holds of ``step``, beside its losses."""
        config = self._config
        rate = float(self._rates[step - 1 - self._start])
        facts = {"lr": rate, "lr_backbone": rate * config.train.backbone_lr_scale}
        if config.model.keep_ratio:
            facts["keep_ratio"] = keep_ratio(config.train, config.model.keep_ratio[0], self._epoch)
        kept = kept_in_epoch(config, self._epoch).exact
        share = mfu(config, kept, pairs_per_second, jax.devices()[0].device_kind, self._devices)
        return facts if share is None else facts | {"mfu": share}


def mean(readings: list[dict[str, float]]) -> dict[str, float]:
    """The mean of readings with the same names."""
    return {name: sum(r[name] for r in readings) / len(readings) for name in readings[0]}
