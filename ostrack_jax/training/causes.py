"""Why a step is not finite. Enters: the state before it and its batch, on the host. Leaves: the names of what is not.

BatchNorm mixes the samples of a step, and one that is not finite spoils all. So every element is looked at by itself,
as a batch of one that is normalised by the running buffers: inputs, the backbone's features, losses, gradient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rich.console import Console
from rich.table import Table

from ostrack_jax.config import Config
from ostrack_jax.models.weights import from_flat, structure
from ostrack_jax.training.losses import Losses, losses
from ostrack_jax.training.schedule import Kept
from ostrack_jax.training.sharding import make_mesh
from ostrack_jax.training.step import State, make_gradient, step_keys

_SHOWN = 12


class Causes(NamedTuple):
    """What of a step is finite.

    Attributes:
      elements: per sample of the batch, numbers by name: losses and the norm of its own gradient.
      sound: per sample, whether its boxes, its features, its losses, its gradient are finite.
      tensors: the state's that are not finite.
      gradients: tensors whose gradient is not finite: of some element, or else of all together.
    """

    elements: dict[str, np.ndarray]
    sound: dict[str, np.ndarray]
    tensors: list[str]
    gradients: list[str]

    def told(self) -> str:
        """In one line: the elements and where they are broken first, else what else is broken."""
        parts = []
        if self.tensors:
            parts.append(f"in the weights or the optimizer's state {_some(self.tensors)}")
        broken = [f"{i} ({what})" for i, what in enumerate(map(self.first_broken, range(self.size))) if what]
        if broken:
            parts.append(f"batch elements {_some(broken)}")
        elif not self.tensors:
            parts.append("no batch element by itself, only all together")
        if self.gradients:
            parts.append(f"gradients of {_some(self.gradients)}")
        return "; ".join(parts)

    @property
    def size(self) -> int:
        """Samples in the batch."""
        return len(next(iter(self.sound.values())))

    def first_broken(self, element: int) -> str:
        """Where an element is not finite first on the way through the network; empty where it is not."""
        return next((name for name, sound in self.sound.items() if not sound[element]), "")

    def show(self, console: Console) -> None:
        """Every element in a row of a table, then the tensors that are not finite."""
        table = Table(title="each element by itself", title_justify="left")
        table.add_column("element", justify="right")
        for name in self.elements:
            table.add_column(name, justify="right")
        table.add_column("not finite first")
        for i in range(self.size):
            values = (f"{column[i]:.5g}" for column in self.elements.values())
            table.add_row(str(i), *values, self.first_broken(i))
        console.print(table)
        for what, names in (("tensors of the state", self.tensors), ("gradients", self.gradients)):
            console.print(f"{what} not finite: {', '.join(names) or 'none'}", highlight=False, soft_wrap=True)


def find(config: Config, state: State, batch: Mapping[str, np.ndarray], kept: Kept) -> Causes:
    """Look at the step after ``state``. Runs on one device, an element at a time: about two steps' time in all."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    tensors = [jax.tree_util.keystr(path, simple=True, separator="/") for path, leaf in leaves if not _finite(leaf)]
    out, features, norms, gradient = jax.device_get(_by_element(config, state, batch, kept.exact))
    named = {**out._asdict(), "gradient norm": norms}
    boxes = np.isfinite(batch["template_box"]).all(1) & np.isfinite(batch["search_box"]).all(1)
    sound = {"boxes": boxes, "features": features}
    sound |= {name: np.isfinite(value) for name, value in named.items() if name not in ("loss", "iou")}
    if all(of_all.all() for of_all in sound.values()):
        gradient = _together(config, state, batch, kept)
    return Causes(named, sound, tensors, sorted(name for name, finite in gradient.items() if not np.all(finite)))


def _by_element(
    config: Config, state: State, batch: Mapping[str, np.ndarray], kept: tuple[int, ...]
) -> tuple[Losses, jax.Array, jax.Array, dict[str, jax.Array]]:
    """Of every sample as a batch of one: losses, whether its features are finite, its gradient's norm, and of which
    tensors the gradient is finite.
    """
    graph = structure(config.model)[0]

    def loss(params: Any, buffers: Any, one: Mapping[str, jax.Array], keys: jax.Array) -> Any:
        model = nnx.merge(graph, from_flat(config.model, params | buffers))
        crops = one["template"], one["search"], one["template_box"]
        prediction = model(*crops, kept_counts=kept, keys=keys, details=True)
        out = losses(prediction, one["search_box"], config.train, 1)
        return out.loss, (out, jnp.array([jnp.isfinite(x).all() for x in prediction.features or ()]).all())

    @jax.jit
    def all_elements(params: Any, buffers: Any, batch: Any, keys: jax.Array) -> Any:
        def element(one: Any) -> Any:
            alone, key = jax.tree.map(lambda x: x[None], one)
            gradient, (out, features) = jax.grad(loss, has_aux=True)(params, buffers, alone, key)
            finite = {name: jnp.isfinite(value).all() for name, value in gradient.items()}
            return out, features, optax.tree.norm(gradient), finite

        return jax.lax.map(element, (batch, keys))

    return all_elements(state.params, state.buffers, dict(batch), step_keys(config, state.step))


def _together(config: Config, state: State, batch: Mapping[str, np.ndarray], kept: Kept) -> dict[str, bool]:
    """Of which tensors the step's own gradient is finite."""
    whole = dataclasses.replace(config, train=dataclasses.replace(config.train, shard=1))
    gradient_of = jax.jit(make_gradient(whole, make_mesh(whole, jax.local_devices()[:1])), static_argnums=3)
    valid = None if kept.valid is None else np.array(kept.valid, np.int32)
    gradient = gradient_of(state, dict(batch), valid, kept.sizes)[0]
    return {name: _finite(value) for name, value in gradient.items()}


def _finite(value: Any) -> bool:
    return bool(np.isfinite(np.asarray(value)).all())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
