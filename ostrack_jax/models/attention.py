"""Joint attention of template and search tokens, and the attention rows that rank the candidates.

The full attention matrix is kept nowhere: the few template rows that rank the candidates are computed again
on their own.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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
    bias: Float[Array, "m n l"] | None = None,
) -> Float[Array, "b m n d"]:
    """softmax(q k^T / sqrt(d) + bias) v, the softmax in float32; keys from ``length`` on (None: l) count nothing.

    Samples and heads are one axis: on the CPU, XLA then computes product, exponentials and sums in one pass.
    Gradients are those of `_normalised_after`, which rounds less: three training steps stay 10,000 times closer
    to the reference in float64.
    """
    b, m, n, d = q.shape
    q, k, v = (x.reshape(b * m, -1, d) for x in (q, k, v))
    logits = jnp.einsum("gnd,gld->gnl", q * d**-0.5, k, preferred_element_type=wide(q.dtype))
    if bias is not None:
        logits = (logits.reshape(b, m, n, -1) + bias).reshape(logits.shape)
    weights = jax.nn.softmax(_within(logits, length), axis=-1).astype(v.dtype)
    return jnp.einsum("gnl,gld->gnd", weights, v).reshape(b, m, n, d)


def _normalised_after(
    q: Float[Array, "b m n d"],
    k: Float[Array, "b m l d"],
    v: Float[Array, "b m l d"],
    length: Int[Array, ""] | None,
    bias: Float[Array, "m n l"] | None,
) -> Float[Array, "b m n d"]:
    """The same, divided by the sum after the product with v."""
    logits = jnp.einsum("bmnd,bmld->bmnl", q * q.shape[-1] ** -0.5, k, preferred_element_type=wide(q.dtype))
    logits = _within(logits if bias is None else logits + bias, length)
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    mixed = jnp.einsum("bmnl,bmld->bmnd", weights.astype(v.dtype), v, preferred_element_type=wide(v.dtype))
    return (mixed / weights.sum(-1, keepdims=True)).astype(v.dtype)


def _forward(q: Array, k: Array, v: Array, length: Array | None, bias: Array | None) -> Any:
    return jax.vjp(lambda q, k, v, bias: _normalised_after(q, k, v, length, bias), q, k, v, bias)


def _backward(pull: Callable[[Array], tuple[Any, ...]], gradient: Array) -> tuple[Any, ...]:
    q, k, v, bias = pull(gradient)
    return q, k, v, None, bias


attend.defvjp(_forward, _backward)


def _within(logits: Float[Array, "*b n l"], length: Int[Array, ""] | None) -> Float[Array, "*b n l"]:
    """Logits with those of keys that count nothing at minus infinity."""
    return logits if length is None else jnp.where(jnp.arange(logits.shape[-1]) < length, logits, -jnp.inf)


def attention_rows(
    q: Float[Array, "b m r d"],
    k: Float[Array, "b m l d"],
    length: Int[Array, ""] | None = None,
    bias: Float[Array, "m r l"] | None = None,
) -> Float[Array, "b m r l"]:
    """The post-softmax attention of some query rows over all keys, in float32 whatever the inputs."""
    logits = jnp.einsum("bmrd,bmld->bmrl", q, k, preferred_element_type=wide(q.dtype)) * q.shape[-1] ** -0.5
    return jax.nn.softmax(_within(logits if bias is None else logits + bias, length), axis=-1)


@functools.cache
def relative_index(templates: int, searches: int) -> Int[np.ndarray, "n n"]:
    """Which number of the table of relative positions holds for a query and a key token.

    There is one for each (dy, dx, query's group, key's group), query minus key in cells and the template being the
    first group, that occurs between the two square grids of that many tokens; they are numbered in that order, as in
    the release.
    """
    sides = [math.isqrt(templates), math.isqrt(searches)]
    cells = np.concatenate([np.stack(np.divmod(np.arange(side**2), side), axis=-1) for side in sides])
    group = np.repeat([0, 1], [templates, searches])
    apart = cells[:, None] - cells[None] + max(sides)
    code = (apart[..., 0] * 2 * max(sides) + apart[..., 1]) * 4 + 2 * group[:, None] + group[None]
    _, index = np.unique(code, return_inverse=True)
    return index.reshape(code.shape).astype(np.int32)


def _relative_table(config: ModelConfig, rngs: nnx.Rngs) -> nnx.Param:
    templates, searches = ((size // config.patch) ** 2 for size in (config.template_size, config.search_size))
    places = int(relative_index(templates, searches).max()) + 1
    return nnx.Param(truncated_normal(rngs.params(), (config.heads, places)))


class Groups(NamedTuple):
    """Two groups of tokens in one: the first ``templates`` are the template's, the rest the search region's.

    ``joint``: every token attends to all, as in the paper; else to its own group's (the paper's Table A4).
    """

    templates: int
    joint: bool


class Attention(nnx.Module):
    """Multi-head self-attention with a fused qkv, heads contiguous in its columns (q, then k, then v)."""

    def __init__(self, config: ModelConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        width = config.width
        self.qkv = nnx.Linear(width, 3 * width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.proj = nnx.Linear(width, width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.config, self.heads = config, config.heads
        self.relative_positions = _relative_table(config, rngs) if config.relative_positions else None

    def __call__(
        self,
        x: Float[Array, "b n c"],
        rows: tuple[int, ...] = (),
        length: Int[Array, ""] | None = None,
        groups: Groups | None = None,
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b m r n"]]:
        """Mixed tokens, of which `proj` makes the residual, and the attention of the tokens at ``rows`` over all.

        ``groups`` (None: the tokens are of one group) defines which tokens attend to each other. If each group attends
        only to itself, ``rows`` must be the template's.
        """
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads)
        bias = None
        if groups is not None and self.relative_positions is not None:
            index = relative_index(groups.templates, n - groups.templates)
            bias = self.relative_positions[...][:, index].astype(wide(x.dtype))
        q, k = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(2))
        at = jnp.array(rows, jnp.int32)
        if groups is None or groups.joint:
            mixed = self._mix(qkv, length, bias)
        else:
            parts = (slice(None, groups.templates), slice(groups.templates, None))
            mixed = jnp.concatenate(
                [self._mix(qkv[:, part], None, None if bias is None else bias[:, part, part]) for part in parts], axis=1
            )
            length = jnp.int32(groups.templates)  # all that a row of the template sees
        return mixed, attention_rows(q[:, :, at], k, length, None if bias is None else bias[:, at])

    def _mix(
        self, qkv: Float[Array, "b n 3 m d"], length: Int[Array, ""] | None, bias: Float[Array, "m n n"] | None
    ) -> Float[Array, "b n c"]:
        """All tokens over all, by the kernel that serves best."""
        b, n, _, m, d = qkv.shape
        q, k, v = (qkv[:, :, i] for i in range(3))
        if chosen(self.config) == "cudnn":
            return cudnn(q, k, v, length).reshape(b, n, m * d)
        q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
        return attend(q, k, v, length, bias).transpose(0, 2, 1, 3).reshape(b, n, m * d)


def cudnn(
    q: Float[Array, "b n m d"],
    k: Float[Array, "b n m d"],
    v: Float[Array, "b n m d"],
    length: Int[Array, ""] | None,
    implementation: Literal["cudnn", "xla"] = "cudnn",
) -> Float[Array, "b n m d"]:
    """`attend` by cuDNN's fused kernel (bfloat16 on NVIDIA GPUs), which keeps no matrix of weights at all.

    JAX refuses its gradient for an odd number of tokens, so these get one more, of zeros: no token attends to it, and
    its own output is dropped, so that neither outputs nor gradients change. ``implementation`` is that of
    `jax.nn.dot_product_attention`: by ``xla`` this runs anywhere.
    """
    b, n = q.shape[:2]
    if n % 2:
        q, k, v = (jnp.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0))) for x in (q, k, v))
        length = jnp.int32(n) if length is None else length
    lengths = None if length is None else jnp.broadcast_to(length.astype(jnp.int32), (b,))
    mixed = jax.nn.dot_product_attention(q, k, v, key_value_seq_lengths=lengths, implementation=implementation)
    return mixed[:, :n]


def chosen(config: ModelConfig) -> str:
    """Which kernel computes attention: xla | cudnn. ``auto``: cuDNN's where it serves here, else XLA's.

    XLA's wherever positions are relative: cuDNN's kernel has no gradient of a bias that the samples of a batch share
    (https://github.com/jax-ml/jax/issues/30593).
    """
    if config.relative_positions:
        return "xla"
    if config.attention != "auto":
        return config.attention
    possible = jax.default_backend() == "gpu" and config.dtype == "bfloat16"
    return "cudnn" if possible and _cudnn_serves(config.width // config.heads) else "xla"


@functools.cache
def _cudnn_serves(channels: int) -> bool:
    """Whether cuDNN's kernel runs here and agrees, outputs and gradients, for heads of that many channels.

    cuDNN may be missing, too old, or refuse the card or the channels, so it is tried on a small case: an odd number
    of tokens of which some count nothing.
    """

    def answers(kernel: Callable[..., Array]) -> Callable[..., Any]:
        def total(qkv: Array) -> tuple[Array, Array]:
            mixed = kernel(*qkv, jnp.int32(9)).astype(jnp.float32)
            return jnp.square(mixed).sum(), mixed

        return jax.jit(jax.grad(total, has_aux=True))

    def by_xla(q: Array, k: Array, v: Array, length: Array) -> Array:
        return attend(*(x.transpose(0, 2, 1, 3) for x in (q, k, v)), length).transpose(0, 2, 1, 3)

    with jax.ensure_compile_time_eval():
        qkv = jax.random.normal(jax.random.key(0), (3, 2, 17, 2, channels), jnp.bfloat16)
        try:
            found = answers(cudnn)(qkv)
        except (RuntimeError, ValueError, NotImplementedError) as e:
            _log.warning("attention by XLA: cuDNN's kernel does not run here (%s)", str(e).splitlines()[0])
            return False
        gradient, mixed = found
        right_gradient, right_mixed = answers(by_xla)(qkv)
        pairs = (*zip(gradient, right_gradient, strict=True), (mixed, right_mixed))
        agrees = all(bool(jnp.abs(a - b).max() <= 2e-2 * jnp.abs(b).max()) for a, b in pairs)
    if not agrees:
        _log.warning("attention by XLA: cuDNN's kernel gives other numbers here")
    return agrees
