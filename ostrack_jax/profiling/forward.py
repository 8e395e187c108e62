"""The network by itself, to be timed. Enters: a model config, weights. Leaves: its compiled forward pass, its cost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental.compilation_cache import compilation_cache

from ostrack_jax.config import ModelConfig
from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.models.weights import model_of


@dataclass(frozen=True)
class Forward:
    """A forward pass of template and search crops that lie on the device.

    Attributes:
      run: computes it once and waits for it.
      compile_seconds: what the compiler took, without any cache of executables.
      memory_bytes: by the compiler's account, empty where it gives none: ``arguments``, weights and crops; ``beside``,
        what the device needs beside them.
    """

    run: Callable[[], object]
    compile_seconds: float
    memory_bytes: dict[str, int]


def compile_forward(config: ModelConfig, weights: Mapping[str, Any], batch: int = 1) -> Forward:
    """Compile the network for ``batch`` pairs of crops: what the paper's counts and speeds are of."""
    graph, state = nnx.split(model_of(config, weights))
    rng = np.random.default_rng(0)
    sizes = (config.template_size, config.search_size)
    crops = [jnp.asarray(rng.integers(0, 256, (batch, size, size, 3), np.uint8)) for size in sizes]
    box = jnp.tile(jnp.array([0.25, 0.25, 0.5, 0.5]), (batch, 1))

    def forward(state: nnx.State, *crops: jax.Array) -> Prediction:
        return nnx.merge(graph, state)(*crops)

    with compiling_anew():
        began = time.perf_counter()
        compiled = jax.jit(forward).lower(state, *crops, box).compile()
        seconds = time.perf_counter() - began
    return Forward(lambda: jax.block_until_ready(compiled(state, *crops, box)), seconds, _memory(compiled))


def _memory(compiled: jax.stages.Compiled) -> dict[str, int]:
    found = compiled.memory_analysis()
    if found is None:
        return {}
    beside = found.temp_size_in_bytes + found.output_size_in_bytes
    return {"arguments": found.argument_size_in_bytes, "beside": beside}


@contextlib.contextmanager
def compiling_anew() -> Iterator[None]:
    """Without the cache of executables that the user's environment may name."""
    enabled = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()
