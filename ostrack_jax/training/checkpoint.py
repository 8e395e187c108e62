"""The checkpoints of a run: resume or start, save the newest and the best."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.checkpoint.steps import BEST, STEPS, TrainCheckpoints
from ostrack_jax.config import Config, freeze, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as model_weights
from ostrack_jax.models.interpolate import fitted
from ostrack_jax.training.logging import LOG_FILE, read_events
from ostrack_jax.training.step import State, abstract_state, init_state

_NAMED = ("params", "buffers", "ema")
_log = logging.getLogger(__name__)


class RunCheckpoints:
    """The newest states of a run in ``checkpoints``, the one with the best validation IoU in ``best``.

    Attributes:
      workdir: the directory of the run.
      newest: to resume from.
      best: at most one step.
      validation: the run's last one: its numbers, its ``epoch`` and ``step``; saved with every step.
    """

    def __init__(self, config: Config, workdir: Path):
        self._config, self.workdir = config, workdir
        self.newest = TrainCheckpoints(workdir / STEPS, config.train.keep_checkpoints, write=True)
        self.best = TrainCheckpoints(workdir / BEST, 1, write=True)
        self.validation: dict[str, Any] | None = None
        self._last = time.monotonic()

    def start(self, init: Path | None, mesh: Mesh) -> tuple[State, list[str]]:
        """A state at step 0 with the weights at ``init``, else fresh ones by the seed; and notices on changes to fit.

        Raises:
          UserError: the weights do not fit.
        """
        model, notices = self._config.model, []
        if init is None:
            weights = model_weights.initial_weights(model, self._config.train.seed)
        else:
            weights, notices = fitted(model, load_weights(init)[1])
            model_weights.check(model, weights)
        return init_state(self._config, weights, mesh), notices

    def resume(self, mesh: Mesh) -> tuple[State, list[str]]:
        """The newest state that can be read, and the settings changed since.

        Raises:
          UserError: the workdir is another run's, or no checkpoint can be read.
        """
        config, like = self._config, abstract_state(self._config, mesh)

        def read(step: int) -> tuple[dict[str, Any], State]:
            about = self.newest.about(step)
            before = freeze(about["config"])
            self._check_same_run(before)
            # Whether an average is kept may change within a run: it begins with the parameters, or ends.
            saved = like._replace(ema=like.params if before.train.ema else {})
            items = self.newest.restore(step, _items(saved))
            state = saved._replace(**{name: items[name] for name in _NAMED if name in items}, **items["rest"])
            if bool(before.train.ema) != bool(config.train.ema):
                state = state._replace(ema=jax.tree.map(jnp.copy, state.params) if config.train.ema else {})
            return about, state

        step, (about, state) = self.newest.newest(read)
        self.newest.put_aside(step)
        self.validation = about["validation"]
        if (self.workdir / LOG_FILE).exists():
            # A step is saved before it is validated: the numbers are then in the log alone.
            for event in read_events(self.workdir, "validation"):
                if event["step"] <= step:
                    self.validation = {name: value for name, value in event.items() if name != "kind"}
        changes = _changes(to_dict(freeze(about["config"])), to_dict(config))
        return state, [f"since step {step}: {change}" for change in changes]

    def due(self) -> bool:
        """Whether ``save_minutes`` have passed. Of several hosts all must ask at the same step; the first decides."""
        minutes = self._config.train.save_minutes
        due = bool(minutes) and time.monotonic() - self._last >= 60 * minutes
        return bool(minutes) and bool(multihost_utils.broadcast_one_to_all(np.array(due)))

    def save(self, state: State, step: int) -> None:
        """Write ``state`` to the newest, where it is not there yet and something has been learnt."""
        if step and step not in self.newest.steps():
            self.newest.save(step, _items(state), self._about(step))
        self._last = time.monotonic()

    def save_if_best(self, state: State, step: int) -> None:
        """Write ``state`` to the best where its ``validation`` is better."""
        assert self.validation is not None
        before = self.best.steps()
        if before and self.validation["iou"] <= self.best.about(before[-1])["validation"]["iou"]:
            return
        self.best.put_aside(step - 1)  # what a run that has gone back will reach again
        self.best.save(step, _items(state), self._about(step))

    def _about(self, step: int) -> dict[str, Any]:
        """All randomness of a run follows from its seed and a step: the records, and the network's own."""
        train = self._config.train
        position = {"seed": train.seed, "step": step, "next_record": step * train.batch}
        return {"config": to_dict(self._config), "position": position, "validation": self.validation}

    def _check_same_run(self, before: Config) -> None:
        """Refuse changes within a run to the network or to the pairs of a step."""
        model, workdir = self._config.model, self.workdir
        if replace(before.model, remat=model.remat, attention=model.attention) != model:  # which compute the same
            raise UserError(f"{workdir} holds checkpoints of another model: use another workdir (and --init {workdir})")
        for name in ("seed", "batch", "freeze"):
            old, new = getattr(before.train, name), getattr(self._config.train, name)
            if old != new:
                raise UserError(
                    f"config.train.{name}: the run in {workdir} has {old}, found {new}: a run that is resumed keeps it "
                    f"(begin another one with --init {workdir})"
                )

    def __enter__(self) -> RunCheckpoints:
        return self

    def __exit__(self, kind: object, error: object, _: object) -> None:
        """Wait until all is written; where the run already ends by an error, that one is reported first."""
        for each in (self.newest, self.best):
            try:
                each.close()
            except UserError as e:
                if error is None:
                    raise
                _log.warning("warning: %s", e)


def _items(state: State) -> dict[str, Any]:
    """A state as a checkpoint's items: the weights by name, and the rest."""
    fields = state._asdict()
    named = {name: fields.pop(name) for name in _NAMED if fields.get(name)}
    return {**named, "rest": fields}


def _changes(before: Any, after: Any, where: str = "config") -> Iterator[str]:
    """Describe the settings that differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*after, *(key for key in before if key not in after)]:
            yield from _changes(before.get(key), after.get(key), f"{where}.{key}")
    elif before != after:
        yield f"{where} {before} -> {after}"
