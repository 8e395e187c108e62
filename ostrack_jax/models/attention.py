"""Joint attention of template and search. Enters: tokens. Leaves: tokens, and the ranking rows beside them.

The full attention matrix is kept nowhere: the few template rows that rank the candidates are computed again
on their own.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ostrack_jax.models.embed import truncated_normal


@jax.custom_vjp
def attend(
    q: Float[Array, "b m n d"], k: Float[Array, "b m l d"], v: Float[Array, "b m l d"]
) -> Float[Array, "b m n d"]:
    """softmax(q k^T / sqrt(d)) v, the softmax in float32.

    Samples and heads are one axis: on the CPU, XLA then computes product, exponentials and sums in one pass.
    Gradients are those of `_normalised_after`, which rounds less: three training steps stay 10,000 times closer
    to the reference in float64.
    """
    b, m, n, d = q.shape
    q, k, v = (x.reshape(b * m, -1, d) for x in (q, k, v))
    logits = jnp.einsum("gnd,gld->gnl", q * d**-0.5, k, preferred_element_type=jnp.float32)
    mixed = jnp.einsum("gnl,gld->gnd", jax.nn.softmax(logits, axis=-1).astype(v.dtype), v)
    return mixed.reshape(b, m, n, d)


def _normalised_after(
    q: Float[Array, "b m n d"], k: Float[Array, "b m l d"], v: Float[Array, "b m l d"]
) -> Float[Array, "b m n d"]:
    """The same, divided by the sum after the product with v."""
    logits = jnp.einsum("bmnd,bmld->bmnl", q * q.shape[-1] ** -0.5, k, preferred_element_type=jnp.float32)
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    mixed = jnp.einsum("bmnl,bmld->bmnd", weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return (mixed / weights.sum(-1, keepdims=True)).astype(v.dtype)


attend.defvjp(lambda q, k, v: jax.vjp(_normalised_after, q, k, v), lambda pull, gradient: pull(gradient))


def attention_rows(q: Float[Array, "b m r d"], k: Float[Array, "b m l d"]) -> Float[Array, "b m r l"]:
    """The post-softmax attention of some query rows over all keys, in float32 whatever the inputs."""
    q, k = q.astype(jnp.float32), k.astype(jnp.float32)
    return jax.nn.softmax(jnp.einsum("bmrd,bmld->bmrl", q * q.shape[-1] ** -0.5, k), axis=-1)


class Attention(nnx.Module):
    """Multi-head self-attention with a fused qkv, heads contiguous in its columns (q, then k, then v)."""

    def __init__(self, width: int, heads: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.qkv = nnx.Linear(width, 3 * width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.proj = nnx.Linear(width, width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.heads = heads

    def __call__(
        self, x: Float[Array, "b n c"], rows: tuple[int, ...] = ()
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b m r n"]]:
        """Mixed tokens, and the attention of the tokens at positions ``rows`` over all tokens."""
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads)
        q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        mixed = attend(q, k, v).transpose(0, 2, 1, 3).reshape(b, n, c)
        return self.proj(mixed), attention_rows(q[:, :, jnp.array(rows, jnp.int32)], k)
