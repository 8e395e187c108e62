"""Joint attention of template and search. Enters: tokens. Leaves: tokens, and the ranking rows beside them.

The full attention matrix is kept nowhere: the few template rows that rank the candidates are computed again
on their own.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ostrack_jax.config import ModelConfig
from ostrack_jax.models.embed import truncated_normal
from ostrack_jax.models.precision import wide

_log = logging.getLogger(__name__)


@jax.custom_vjp
def attend(
    q: Float[Array, "b m n d"],
    k: Float[Array, "b m l d"],
    v: Float[Array, "b m l d"],
    length: Int[Array, ""] | None = None,
) -> Float[Array, "b m n d"]:
    """softmax(q k^T / sqrt(d)) v, the softmax in float32; keys from position ``length`` on (None: l) count nothing.

    Samples and heads are one axis: on the CPU, XLA then computes product, exponentials and sums in one pass.
    Gradients are those of `_normalised_after`, which rounds less: three training steps stay 10,000 times closer
    to the reference in float64.
    """
    b, m, n, d = q.shape
    q, k, v = (x.reshape(b * m, -1, d) for x in (q, k, v))
    logits = jnp.einsum("gnd,gld->gnl", q * d**-0.5, k, preferred_element_type=wide(q.dtype))
    weights = jax.nn.softmax(_within(logits, length), axis=-1).astype(v.dtype)
    return jnp.einsum("gnl,gld->gnd", weights, v).reshape(b, m, n, d)


def _normalised_after(
    q: Float[Array, "b m n d"],
    k: Float[Array, "b m l d"],
    v: Float[Array, "b m l d"],
    length: Int[Array, ""] | None,
) -> Float[Array, "b m n d"]:
    """The same, divided by the sum after the product with v."""
    logits = jnp.einsum("bmnd,bmld->bmnl", q * q.shape[-1] ** -0.5, k, preferred_element_type=wide(q.dtype))
    logits = _within(logits, length)
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    mixed = jnp.einsum("bmnl,bmld->bmnd", weights.astype(v.dtype), v, preferred_element_type=wide(v.dtype))
    return (mixed / weights.sum(-1, keepdims=True)).astype(v.dtype)


def _forward(q: Array, k: Array, v: Array, length: Array | None) -> Any:
    return jax.vjp(lambda q, k, v: _normalised_after(q, k, v, length), q, k, v)


attend.defvjp(_forward, lambda pull, gradient: (*pull(gradient), None))


def _within(logits: Float[Array, "*b n l"], length: Int[Array, ""] | None) -> Float[Array, "*b n l"]:
    """Logits with those of keys that count nothing at minus infinity."""
    return logits if length is None else jnp.where(jnp.arange(logits.shape[-1]) < length, logits, -jnp.inf)


def attention_rows(
    q: Float[Array, "b m r d"], k: Float[Array, "b m l d"], length: Int[Array, ""] | None = None
) -> Float[Array, "b m r l"]:
    """The post-softmax attention of some query rows over all keys, in float32 whatever the inputs."""
    q, k = q.astype(wide(q.dtype)), k.astype(wide(k.dtype))
    logits = jnp.einsum("bmrd,bmld->bmrl", q * q.shape[-1] ** -0.5, k)
    return jax.nn.softmax(_within(logits, length), axis=-1)


class Attention(nnx.Module):
    """Multi-head self-attention with a fused qkv, heads contiguous in its columns (q, then k, then v)."""

    def __init__(self, config: ModelConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        width = config.width
        self.qkv = nnx.Linear(width, 3 * width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.proj = nnx.Linear(width, width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.heads, self.kernel = config.heads, config.attention

    def __call__(
        self, x: Float[Array, "b n c"], rows: tuple[int, ...] = (), length: Int[Array, ""] | None = None
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b m r n"]]:
        """Mixed tokens, of which `proj` makes the residual, and the attention of the tokens at ``rows`` over all."""
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads)
        if chosen(self.kernel, x.dtype) == "cudnn":
            q, k, v = (qkv[:, :, i] for i in range(3))
            mixed = cudnn(q, k, v, length).reshape(b, n, c)
            q, k = (t.transpose(0, 2, 1, 3) for t in (q, k))
        else:
            q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
            mixed = attend(q, k, v, length).transpose(0, 2, 1, 3).reshape(b, n, c)
        return mixed, attention_rows(q[:, :, jnp.array(rows, jnp.int32)], k, length)


def cudnn(
    q: Float[Array, "b n m d"], k: Float[Array, "b l m d"], v: Float[Array, "b l m d"], length: Int[Array, ""] | None
) -> Float[Array, "b n m d"]:
    """`attend` by cuDNN's fused kernel (bfloat16 on NVIDIA GPUs), which keeps no matrix of weights at all."""
    lengths = None if length is None else jnp.broadcast_to(length.astype(jnp.int32), q.shape[:1])
    return jax.nn.dot_product_attention(q, k, v, key_value_seq_lengths=lengths, implementation="cudnn")


@functools.cache
def chosen(kernel: str, dtype: jnp.dtype) -> str:
    """Which kernel computes attention: xla | cudnn. ``auto``: cuDNN's where it runs here and agrees, else XLA's.

    cuDNN may be missing, too old, or refuse the card, so it is tried on a small case rather than asked for.
    """
    if kernel != "auto":
        return kernel
    if jax.default_backend() != "gpu" or dtype != jnp.bfloat16:
        return "xla"
    with jax.ensure_compile_time_eval():
        q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 16, 2, 64), jnp.bfloat16)
        try:
            found = jax.jit(cudnn)(q, k, v, jnp.int32(9))
        except (RuntimeError, ValueError, NotImplementedError) as e:
            _log.warning("attention by XLA: cuDNN's kernel does not run here (%s)", str(e).splitlines()[0])
            return "xla"
        right = attend(*(t.transpose(0, 2, 1, 3) for t in (q, k, v)), jnp.int32(9)).transpose(0, 2, 1, 3)
        agrees = bool(jnp.allclose(found.astype(jnp.float32), right.astype(jnp.float32), atol=2e-2))
    if not agrees:
        _log.warning("attention by XLA: cuDNN's kernel gives other numbers here")
    return "cudnn" if agrees else "xla"
