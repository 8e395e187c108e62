"""One training step, pure and jitted over a mesh."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Int, Key

from ostrack_jax.config import Config
from ostrack_jax.models.head import BatchNorm
from ostrack_jax.models.ostrack import OSTrack
from ostrack_jax.models.precision import wide
from ostrack_jax.models.weights import flat, from_flat, structure, trained_names
from ostrack_jax.training.losses import Losses, losses
from ostrack_jax.training.optimizer import optimizer
from ostrack_jax.training.sharding import over_batch, sharding, shardings

Arrays = dict[str, Any]


class State(NamedTuple):
    """All that training changes. Arrays by dotted name."""

    step: Int[Array, ""]
    params: Arrays
    buffers: Arrays  # BatchNorm's, what is frozen, and tensors that are kept for export
    moments: optax.OptState
    ema: Arrays  # the parameters' moving average; empty without one
    finite: Bool[Array, ""]  # false once a loss or gradient was not; nothing else changes from that step on


def init_state(config: Config, weights: Mapping[str, Any], mesh: Mesh) -> State:
    """A fresh state that holds ``weights``, laid out over the mesh; of several hosts all have the same ones."""
    where, dtypes = shardings(mesh, weights), _dtypes(config, weights)
    placed = {name: jax.device_put(np.asarray(value, dtypes[name]), where[name]) for name, value in weights.items()}
    fresh = functools.partial(_fresh, config)
    layout = shardings(mesh, jax.eval_shape(fresh, placed))
    return jax.jit(fresh, out_shardings=layout, donate_argnums=0)(placed)


def abstract_state(config: Config, mesh: Mesh) -> State:
    """The shapes, types and shardings of a state, with nothing in them."""
    weights = flat(structure(config.model)[1])
    dtypes = _dtypes(config, weights)
    shapes = {name: jax.ShapeDtypeStruct(leaf.shape, dtypes[name]) for name, leaf in weights.items()}
    state = jax.eval_shape(functools.partial(_fresh, config), shapes)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding(mesh, x.shape)), state)


def _fresh(config: Config, weights: Arrays) -> State:
    trained = {name for name in trained_names(config.model) if not is_frozen(config, name)}
    params = {name: value for name, value in weights.items() if name in trained}
    buffers = {name: value for name, value in weights.items() if name not in trained}
    ema = jax.tree.map(jnp.copy, params) if config.train.ema else {}
    return State(jnp.int32(0), params, buffers, optimizer(config).init(params), ema, jnp.bool_(True))


def is_frozen(config: Config, name: str) -> bool:
    """Whether the settings leave the tensor of that name as it is."""
    return name.startswith(config.train.freeze)


def _dtypes(config: Config, weights: Mapping[str, Any]) -> dict[str, np.dtype]:
    """The type of each tensor of a state: floating ones in the precision of norms and losses."""
    wanted = np.dtype(wide(config.model.dtype))
    return {name: wanted if np.issubdtype(w.dtype, np.floating) else w.dtype for name, w in weights.items()}


def weights_of(state: State) -> Arrays:
    """The weights to evaluate and save: the averaged parameters, if the run averages, with all buffers."""
    return state.params | state.ema | state.buffers


def bn_group(config: Config, batch: int) -> int:
    """Samples that share BatchNorm's statistics and the focal loss's divisor."""
    group = config.train.bn_group
    return group if 0 < group < batch else batch


def step_keys(config: Config, step: Any) -> Key[Array, " b"]:
    """The random keys of the samples of the step after ``step``."""
    key = jax.random.fold_in(jax.random.key(config.train.seed), step)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(config.train.batch))


def make_loss(config: Config) -> Callable[..., tuple[Array, tuple[Losses, Arrays]]]:
    """``loss(params, buffers, batch, keys, valid, kept)``: the minimised loss, with all losses and the new buffers."""
    graph = structure(config.model)[0]

    def loss(params: Arrays, buffers: Arrays, batch: Mapping, keys: Array, valid: Array | None, kept: Any) -> Any:
        model = nnx.merge(graph, from_flat(config.model, params | buffers))
        _freeze_statistics(config, model)
        group = bn_group(config, len(batch["search"]))
        prediction = model(
            *(batch["template"], batch["search"], batch["template_box"]),
            **{"kept_counts": kept, "valid_counts": valid, "keys": keys, "bn_group": group},
        )
        out = losses(prediction, batch["search_box"], config.train, group)
        return out.loss, (out, buffers | flat(nnx.state(model, nnx.BatchStat)))

    return loss


def _freeze_statistics(config: Config, model: OSTrack) -> None:
    """BatchNorm of a frozen part normalises in training too by its running buffers, which stay as they are."""
    for path, module in nnx.iter_modules(model) if config.train.freeze else ():
        if isinstance(module, BatchNorm):
            module.frozen = is_frozen(config, ".".join(map(str, (*path, "mean"))))


def make_gradient(config: Config, mesh: Mesh) -> Callable[..., tuple[Arrays, Losses, Arrays]]:
    """``gradient(state, batch, valid, kept)``: the mean over a batch, taken in ``accumulate`` parts one by one.

    With it the mean losses, and the buffers after the first part (whose first group they follow).
    """
    loss, parts = make_loss(config), config.train.accumulate

    def split(x: Array) -> Array:
        part = x.reshape(parts, -1, *x.shape[1:])
        return jax.lax.with_sharding_constraint(part, over_batch(mesh, before=1))

    def gradient(state: State, batch: Mapping, valid: Array | None, kept: Any) -> tuple[Arrays, Losses, Arrays]:
        keys = step_keys(config, state.step)
        of_part = jax.grad(loss, has_aux=True)
        if parts == 1:
            out, (metrics, buffers) = of_part(state.params, state.buffers, batch, keys, valid, kept)
            return out, metrics, buffers
        batch = {name: split(x) for name, x in batch.items()}

        def add(total: Any, of: Any) -> tuple[Any, None]:
            i, part, part_keys = of
            found, (metrics, after) = of_part(state.params, state.buffers, part, part_keys, valid, kept)
            sums, buffers = total
            buffers = jax.tree.map(lambda new, old: jnp.where(i == 0, new, old), after, buffers)
            return (jax.tree.map(lambda s, x: s + x / parts, sums, (found, metrics)), buffers), None

        shapes = jax.eval_shape(lambda *of: of_part(*of, valid, kept), *_first(state, batch, keys, parts))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (shapes[0], shapes[1][0]))
        each = (jnp.arange(parts), batch, keys.reshape(parts, -1))
        ((out, metrics), buffers), _ = jax.lax.scan(add, (zeros, state.buffers), each)
        return out, metrics, buffers

    return gradient


def _first(state: State, batch: Mapping[str, Array], keys: Array, parts: int) -> tuple[Any, ...]:
    """What the gradient of the first of ``parts`` is taken of."""
    return state.params, state.buffers, {name: x[0] for name, x in batch.items()}, keys[: len(keys) // parts]


def make_step(config: Config, mesh: Mesh) -> Callable[..., tuple[State, dict[str, Array]]]:
    """The jitted ``step(state, batch, valid, kept=...)``; the state is donated.

    ``kept`` is static, the search tokens left after each stage; ``valid`` how many of them count (None: all), see
    `schedule.Kept`. The numbers are those of `Losses`, ``grad_norm`` (the gradients' global norm before clipping) and
    ``finite``. Where the loss or that norm is not finite, the state stays as it is, in this step and all that follow.
    """
    gradient_of, update_rule, train = make_gradient(config, mesh), optimizer(config), config.train

    def step(
        state: State, batch: Mapping[str, Any], valid: Any = None, *, kept: tuple[int, ...]
    ) -> tuple[State, dict[str, Array]]:
        gradient, metrics, buffers = gradient_of(state, batch, valid, kept)
        norm = optax.tree.norm(gradient)
        finite = state.finite & jnp.isfinite(metrics.loss) & jnp.isfinite(norm)
        updates, moments = update_rule.update(gradient, state.moments, state.params)
        params = cast(Arrays, optax.apply_updates(state.params, updates))
        decay = jnp.minimum(train.ema, (1 + state.step) / (10 + state.step))
        ema = {name: decay * old + (1 - decay) * params[name] for name, old in state.ema.items()}
        after = State(state.step + 1, params, buffers, moments, ema, finite)
        before = state._replace(finite=finite)
        after = jax.tree.map(lambda new, old: jnp.where(finite, new, old).astype(old.dtype), after, before)
        after = jax.lax.with_sharding_constraint(after, shardings(mesh, after))
        return after, metrics._asdict() | {"grad_norm": norm, "finite": finite}

    return jax.jit(step, static_argnames="kept", donate_argnames="state")


def make_validation(config: Config) -> Callable[..., dict[str, Array]]:
    """The jitted ``validate(state, batch, valid, kept=...)``: losses of `weights_of` the state, and ``finite``."""
    graph = structure(config.model)[0]

    def validate(
        state: State, batch: Mapping[str, Any], valid: Any = None, *, kept: tuple[int, ...]
    ) -> dict[str, Array]:
        model = nnx.merge(graph, from_flat(config.model, weights_of(state)))
        crops = batch["template"], batch["search"], batch["template_box"]
        prediction = model(*crops, kept_counts=kept, valid_counts=valid)
        group = bn_group(config, len(batch["search"]))
        out = losses(prediction, batch["search_box"], config.train, group)
        return out._asdict() | {"finite": jnp.isfinite(out.loss)}

    return jax.jit(validate, static_argnames="kept")
