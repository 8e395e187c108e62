"""One training step, pure and jitted over a mesh. Enters: a state and a batch. Leaves: the new state and its losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Int

from ostrack_jax.config import Config
from ostrack_jax.models.weights import flat, from_flat, structure, trained_names
from ostrack_jax.training.losses import Losses, losses
from ostrack_jax.training.optimizer import optimizer


class State(NamedTuple):
    """All that training changes. Arrays by dotted name."""

    step: Int[Array, ""]
    params: dict[str, Any]
    buffers: dict[str, Any]  # BatchNorm's, and the tensors that are only carried along
    moments: optax.OptState
    finite: Bool[Array, ""]  # false once a loss or gradient was not; nothing else changes from that step on


def data_mesh() -> Mesh:
    """All devices in one row: batches are split along it, weights are on each."""
    return Mesh(np.array(jax.devices()), ("data",))


def init_state(config: Config, weights: Mapping[str, Any], mesh: Mesh) -> State:
    """A fresh state that holds ``weights``, replicated over the mesh."""
    trained = trained_names(config.model)
    params = {name: jnp.asarray(value) for name, value in weights.items() if name in trained}
    buffers = {name: jnp.asarray(value) for name, value in weights.items() if name not in trained}
    state = State(jnp.zeros((), jnp.int32), params, buffers, optimizer(config).init(params), jnp.array(True))
    return jax.device_put(state, NamedSharding(mesh, PartitionSpec()))


def place(batch: Mapping[str, Any], mesh: Mesh) -> dict[str, Array]:
    """A host's part of a batch on the devices, split along the mesh."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return {name: jax.make_array_from_process_local_data(sharding, part) for name, part in batch.items()}


def bn_group(config: Config, batch: int) -> int:
    """Samples that share BatchNorm's statistics and the focal loss's divisor."""
    group = config.train.bn_group
    return group if 0 < group < batch else batch


def make_loss(config: Config) -> Callable[..., tuple[Array, tuple[Losses, dict[str, Array]]]]:
    """``loss(params, buffers, batch, kept, key)``: what is minimised; beside it all losses and the new buffers."""
    graph = structure(config.model)[0]

    def loss(params: dict, buffers: dict, batch: Mapping[str, Any], kept: tuple[int, ...], key: Array) -> Any:
        model = nnx.merge(graph, from_flat(config.model, params | buffers))
        group = bn_group(config, len(batch["search"]))
        prediction = model(
            batch["template"], batch["search"], batch["template_box"], kept_counts=kept, key=key, bn_group=group
        )
        out = losses(prediction, batch["search_box"], config.train, group)
        after = flat(nnx.state(model))
        return out.loss, (out, {name: after[name] for name in buffers})

    return loss


def step_key(config: Config, step: Any) -> Array:
    """What the network's randomness in the step after ``step`` follows from."""
    return jax.random.fold_in(jax.random.key(config.train.seed), step)


def make_step(config: Config) -> Callable[..., tuple[State, dict[str, Array]]]:
    """The jitted ``step(state, batch, kept=...)``: ``kept`` is static, the search tokens left after each stage.

    The numbers are those of `Losses`, ``grad_norm`` (the gradients' global norm before clipping) and ``finite``.
    Where the loss or that norm is not finite, the state stays as it is, in this step and in all that follow.
    """
    loss, update_rule = make_loss(config), optimizer(config)

    def step(state: State, batch: Mapping[str, Any], *, kept: tuple[int, ...]) -> tuple[State, dict[str, Array]]:
        key = step_key(config, state.step)
        gradient, (out, buffers) = jax.grad(loss, has_aux=True)(state.params, state.buffers, batch, kept, key)
        norm = optax.tree.norm(gradient)
        finite = state.finite & jnp.isfinite(out.loss) & jnp.isfinite(norm)
        updates, moments = update_rule.update(gradient, state.moments, state.params)
        params = cast(dict[str, Any], optax.apply_updates(state.params, updates))
        after = State(state.step + 1, params, buffers, moments, finite)
        before = state._replace(finite=finite)
        after = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, before)
        return after, out._asdict() | {"grad_norm": norm, "finite": finite}

    return jax.jit(step, static_argnames="kept", donate_argnames="state")


def make_validation(config: Config) -> Callable[..., dict[str, Array]]:
    """The jitted ``validate(state, batch, kept=...)``: the same losses by the running buffers, nothing changed."""
    graph = structure(config.model)[0]

    def validate(state: State, batch: Mapping[str, Any], *, kept: tuple[int, ...]) -> dict[str, Array]:
        model = nnx.merge(graph, from_flat(config.model, state.params | state.buffers))
        prediction = model(batch["template"], batch["search"], batch["template_box"], kept_counts=kept)
        group = bn_group(config, len(batch["search"]))
        return losses(prediction, batch["search_box"], config.train, group)._asdict()

    return jax.jit(validate, static_argnames="kept")
