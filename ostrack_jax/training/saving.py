"""When and what a run saves. Enters: a state at a step, what validation said. Leaves: the newest and the best."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ostrack_jax.checkpoint.marks import marks
from ostrack_jax.checkpoint.steps import BEST, STEPS, BrokenStepError, TrainCheckpoints
from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.training.step import State

_NAMED = ("params", "buffers", "ema")
_log = logging.getLogger(__name__)


def items_of(state: State) -> dict[str, Any]:
    """A state as a checkpoint's items: the weights by name, and the rest."""
    fields = state._asdict()
    named = {name: fields.pop(name) for name in _NAMED if fields.get(name)}
    return {**named, "rest": fields}


def with_items(state: State, items: Mapping[str, Any]) -> State:
    """``state`` with a checkpoint's items in place of its own; the inverse of `items_of`."""
    return state._replace(**{name: items[name] for name in _NAMED if name in items}, **items["rest"])


class Saving:
    """A run's checkpoints: the newest in ``checkpoints``, the one with the best validation IoU in ``best``.

    Attributes:
      newest: to resume from.
      best: at most one step.
      validation: the run's last one: its numbers, its ``epoch`` and ``step``; saved with every step.
    """

    def __init__(self, config: Config, workdir: Path):
        self._config = config
        self.newest = TrainCheckpoints(workdir / STEPS, config.train.keep_checkpoints, write=True)
        self.best = TrainCheckpoints(workdir / BEST, 1, write=True)
        self.validation: dict[str, float] | None = None
        self._last = time.monotonic()

    def prepare(self, state: State) -> None:
        """Compile what the first save of such a state needs: one that is asked for by SIGTERM has few seconds."""
        marks(items_of(state))

    def due(self) -> bool:
        """Whether ``save_minutes`` have passed. Of several hosts all must ask at the same step; the first decides."""
        minutes = self._config.train.save_minutes
        if not minutes:
            return False
        due = time.monotonic() - self._last >= 60 * minutes
        return bool(multihost_utils.broadcast_one_to_all(np.array(due))) if jax.process_count() > 1 else due

    def save(self, state: State, step: int) -> None:
        """Write ``state`` to the newest, where it is not there yet and something has been learnt."""
        if step and step not in self.newest.steps():
            self.newest.save(step, items_of(state), self._about(step))
        self._last = time.monotonic()

    def save_now(self, state: State, step: int) -> None:
        """`save`, and wait until it is written: before a run says that it was."""
        self.save(state, step)
        self.newest.wait()

    def save_if_best(self, state: State, step: int, validation: Mapping[str, float | int]) -> None:
        """Write ``state`` to the best where ``validation``, made of it, says so."""
        self.best.wait()
        try:
            before, about = self.best.newest_whole(self.best.about)
            if step == before or validation["iou"] <= about["validation"]["iou"]:
                return
        except BrokenStepError:
            before = -1  # there is none, or none that can be read
        self.best.put_aside(min(before, step - 1))  # the newest is kept: a best of later steps, gone back from, is not
        self.best.save(step, items_of(state), self._about(step))

    def check(self) -> None:
        """Raise the `UserError` of what could not be written."""
        self.newest.check()
        self.best.check()

    def _about(self, step: int) -> dict[str, Any]:
        """All randomness of a run follows from its seed and a step: the records, and the network's own."""
        train = self._config.train
        position = {"seed": train.seed, "step": step, "next_record": step * train.batch}
        return {"config": to_dict(self._config), "position": position, "validation": self.validation}

    def __enter__(self) -> Saving:
        return self

    def __exit__(self, kind: object, error: object, _: object) -> None:
        """Wait until all is written; where the run already ends by an error, that one is told first."""
        try:
            with ExitStack() as both:
                both.callback(self.best.close)
                both.callback(self.newest.close)
        except UserError as e:
            if error is None:
                raise
            _log.warning("warning: %s", e)
