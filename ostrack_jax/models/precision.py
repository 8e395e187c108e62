"""The dtype of norms, softmax, ranking and maps, which stay wide whatever the computation's dtype."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def wide(dtype: Any) -> jnp.dtype:
    """float32 for float32 and bfloat16, float64 for float64 (which separates rounding from mistakes)."""
    return jnp.promote_types(dtype, jnp.float32)


@jax.custom_vjp
def mean_over_channels(x: Float[Array, "*b c"]) -> Float[Array, "*b 1"]:
    """The mean along the last axis.

    Where it is differentiated on the CPU, it is a matrix product: XLA's CPU backend fuses a residual stream into every
    one of its readers, through the whole depth and again in the backward pass (2.7 times the time of the matrix
    products where this gives 1.6), unless one of them is a product, whose operands must lie in memory.
    """
    return x.mean(axis=-1, keepdims=True)


def _forward(x: Array) -> tuple[Array, Array]:
    c = x.shape[-1]

    def product(x: Array) -> Array:
        return jnp.matmul(x, jnp.full((c, 1), 1 / c, x.dtype), precision="highest")

    mean = jax.lax.platform_dependent(x, cpu=product, default=lambda x: x.mean(axis=-1, keepdims=True))
    return mean, jnp.zeros((0, c), x.dtype)


def _backward(like: Array, gradient: Array) -> tuple[Array]:
    c = like.shape[1]
    return (jnp.broadcast_to(gradient / c, (*gradient.shape[:-1], c)),)


mean_over_channels.defvjp(_forward, _backward)
