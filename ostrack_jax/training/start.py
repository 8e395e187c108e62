"""Where a run begins. Enters: a config, a workdir, perhaps given weights. Leaves: the state, and where it stands.

The workdir's newest whole checkpoint, else the given weights, else fresh ones by the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.config import Config, freeze, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as model_weights
from ostrack_jax.models.interpolate import fitted
from ostrack_jax.training.events import last_validation
from ostrack_jax.training.saving import Saving, items_of, with_items
from ostrack_jax.training.step import State, init_state


class Start(NamedTuple):
    """A state, its step, the last validation of the run (``epoch`` and its numbers), and where they are from."""

    state: State
    step: int
    validation: dict[str, float] | None
    origin: str


def start(config: Config, workdir: Path, init: Path | None, mesh: Mesh, saving: Saving, console: Console) -> Start:
    """The state to begin with.

    Raises:
      UserError: the workdir is another run's, or none of its checkpoints is whole; weights that do not fit.
    """
    if saving.newest.steps():
        if init is not None:
            text = f"notice: --init {init} is not used: {workdir} has checkpoints already, another --workdir has none"
            console.print(text, highlight=False, soft_wrap=True)
        return _resume(config, workdir, mesh, saving, console)
    if init is None:
        weights, origin = model_weights.initial_weights(config.model, config.train.seed), "fresh weights"
    else:
        weights, notices = fitted(config.model, load_weights(init)[1])
        origin = str(init)
        for notice in notices:
            console.print(f"notice: {notice}", highlight=False, soft_wrap=True)
        model_weights.check(config.model, weights)
    return Start(init_state(config, weights, mesh), 0, None, origin)


def blank_state(config: Config, mesh: Mesh) -> State:
    """A state of zeros in the shapes, types and shardings that ``config`` and ``mesh`` ask for."""
    tensors = model_weights.flat(model_weights.structure(config.model)[1])
    return init_state(config, {name: np.zeros(of.shape, of.dtype) for name, of in tensors.items()}, mesh)


def _resume(config: Config, workdir: Path, mesh: Mesh, saving: Saving, console: Console) -> Start:
    state = blank_state(config, mesh)
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
    del state  # its memory is needed

    def read(step: int) -> tuple[dict[str, Any], State]:
        about = saving.newest.about(step)
        _check_same_run(config, workdir, about)
        # Whether an average is kept may change within a run: there it begins with the parameters, or ends.
        averaged = freeze(about["config"]).train.ema > 0
        saved = items_of(like._replace(ema=like.params if averaged else {}))
        found = with_items(like, saving.newest.restore(step, saved))
        if averaged != (config.train.ema > 0):
            found = found._replace(ema={} if averaged else jax.tree.map(jnp.copy, found.params))
        return about, found

    step, (about, state) = saving.newest.newest_whole(read)
    saving.newest.put_aside(step)
    # A step is saved before it is validated: what that said then stands in the log alone.
    saving.validation = last_validation(workdir, step) or about["validation"]
    for change in _changes(to_dict(freeze(about["config"])), to_dict(config)):
        console.print(f"notice: since step {step}: {change}", highlight=False, soft_wrap=True)
    return Start(state, step, saving.validation, f"step {step} of {workdir}")


def _check_same_run(config: Config, workdir: Path, about: Mapping[str, Any]) -> None:
    """What may not change within a run: the network, and which pairs are whose step's."""
    before = freeze(about["config"])
    how = {name: getattr(config.model, name) for name in ("remat", "attention")}  # the same numbers, another way
    if replace(before.model, **how) != config.model:
        raise UserError(f"{workdir} holds checkpoints of another model: use another workdir (and --init {workdir})")
    for name in ("seed", "batch", "freeze"):
        old, new = getattr(before.train, name), getattr(config.train, name)
        if old != new:
            raise UserError(
                f"config.train.{name}: the run in {workdir} has {old}, found {new}: a run that is gone on with keeps "
                f"it (begin another one with --init {workdir})"
            )


def _changes(before: Any, after: Any, where: str = "config") -> Iterator[str]:
    """Settings that differ, in words."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*after, *(key for key in before if key not in after)]:
            yield from _changes(before.get(key), after.get(key), f"{where}.{key}")
    elif before != after:
        yield f"{where} {before} -> {after}"
