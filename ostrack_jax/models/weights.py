"""A model's tensors by dotted name, and models of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import PRNGKeyArray

from ostrack_jax.config import ModelConfig
from ostrack_jax.errors import UserError
from ostrack_jax.models.embed import DRAWN_STD
from ostrack_jax.models.ostrack import OSTrack


@functools.lru_cache
def structure(config: ModelConfig) -> tuple[nnx.GraphDef[OSTrack], nnx.State]:
    """The model's graph and its state with shapes in place of arrays: nothing is computed."""
    return nnx.split(nnx.eval_shape(lambda: OSTrack(config, nnx.Rngs(0))))


def flat(state: nnx.State) -> dict[str, Any]:
    """Dotted name to array, for every variable of a model's state."""
    return {".".join(map(str, path)): leaf.get_value() for path, leaf in nnx.to_flat_state(state)}


def from_flat(config: ModelConfig, weights: Mapping[str, Any]) -> nnx.State:
    """A model's state from all its tensors by dotted name; the inverse of `flat`."""
    leaves = [
        (path, leaf.replace(jnp.asarray(weights[".".join(map(str, path))])))
        for path, leaf in nnx.to_flat_state(structure(config)[1])
    ]
    return nnx.from_flat_state(leaves)


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Dotted name to shape of every tensor: parameters, BatchNorm buffers, and the two that are kept for export."""
    return {name: leaf.shape for name, leaf in flat(structure(config)[1]).items()}


def trained_names(config: ModelConfig) -> frozenset[str]:
    """Names of the tensors that have a gradient."""
    variables = nnx.to_flat_state(structure(config)[1])
    return frozenset(".".join(map(str, path)) for path, variable in variables if isinstance(variable, nnx.Param))


def initial_weights(config: ModelConfig, seed: int) -> dict[str, np.ndarray]:
    """Weights before any training.

    Truncated normal of ``config.init_std`` in the backbone (cut at two of these), Xavier uniform in the head.
    """
    weights = {name: np.asarray(leaf) for name, leaf in flat(_initialiser(config)(jax.random.key(seed))).items()}
    factor = np.float32(config.init_std / DRAWN_STD)
    # Of the backbone, what has one axis is constant, or an identity embedding, which stays as published.
    drawn = {name for name, value in weights.items() if name.startswith("backbone.") and value.ndim > 1}
    return {name: value * factor if name in drawn else value for name, value in weights.items()}


@functools.lru_cache
def _initialiser(config: ModelConfig) -> Callable[[PRNGKeyArray], nnx.State]:
    return jax.jit(lambda key: nnx.state(OSTrack(config, nnx.Rngs(key))))


def model_of(config: ModelConfig, weights: Mapping[str, Any]) -> OSTrack:
    """The model that holds ``weights``.

    Raises:
      UserError: names missing, unknown or misshapen, all of them at once.
    """
    check(config, weights)
    return nnx.merge(structure(config)[0], from_flat(config, weights))


def check(config: ModelConfig, weights: Mapping[str, Any]) -> None:
    """Raise one `UserError` that names every tensor that is missing, unknown or misshapen for ``config``."""
    shapes = weight_shapes(config)
    problems = [f"missing {name} {shapes[name]}" for name in shapes.keys() - weights.keys()]
    problems += [f"unexpected {name} {np.shape(weights[name])}" for name in weights.keys() - shapes.keys()]
    problems += [
        f"{name} is {np.shape(weights[name])}, expected {shapes[name]}"
        for name in shapes.keys() & weights.keys()
        if np.shape(weights[name]) != shapes[name]
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise UserError(f"the weights do not fit the config: {shown}")
