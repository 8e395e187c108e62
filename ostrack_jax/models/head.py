"""The centre head: score, size and offset maps of the search tokens' grid, and the boxes decoded from them."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ostrack_jax.models.precision import wide

BATCH_NORM_EPS = 1e-5
BATCH_NORM_MOMENTUM = 0.1  # torch's meaning: the share of the new statistics
xavier = nnx.initializers.xavier_uniform()


def torch_bias(key: PRNGKeyArray, fan_in: int, channels: int) -> Float[Array, " c"]:
    """PyTorch's default bias of a convolution: uniform within 1 / sqrt(fan in)."""
    bound = fan_in**-0.5
    return jax.random.uniform(key, (channels,), minval=-bound, maxval=bound)


class Conv(nnx.Module):
    """A k x k convolution of stride 1 that keeps the grid's size, with bias."""

    def __init__(self, kernel: int, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.kernel = nnx.Param(xavier(rngs.params(), (kernel, kernel, inputs, outputs)))
        self.bias = nnx.Param(torch_bias(rngs.params(), kernel * kernel * inputs, outputs))

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """The same grid with other channels."""
        kernel = self.kernel[...].astype(x.dtype)
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y + self.bias[...].astype(x.dtype)


class BatchNorm(nnx.Module):
    """Batch normalisation in float32 with PyTorch's buffers (unbiased running variance, a counter).

    In training the statistics are those of groups of samples (the release: each GPU's 32 pairs); the running
    buffers follow the first group, as the release saves its first GPU's.

    Attributes:
      frozen: whether it normalises by the running buffers in training too, and leaves them as they are.
    """

    frozen: bool = False

    def __init__(self, channels: int, rngs: nnx.Rngs):
        del rngs
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))
        self.count = nnx.BatchStat(jnp.zeros((), jnp.int32))

    def __call__(self, x: Float[Array, "b h w c"], group: int | None) -> Float[Array, "b h w c"]:
        """Normalise by the running buffers (``group`` None, or frozen), or by each group's own (and update them)."""
        dtype, shape = x.dtype, x.shape
        if group is None or self.frozen:
            factor = self.scale[...] * jax.lax.rsqrt(self.var[...] + BATCH_NORM_EPS)
            return (x * factor + (self.bias[...] - self.mean[...] * factor)).astype(dtype)
        b, h, w, c = shape
        x = x.astype(wide(dtype)).reshape(b // group, group * h * w, c)
        mean = x.mean(axis=1, keepdims=True)
        var = jnp.square(x - mean).mean(axis=1, keepdims=True)
        samples = group * h * w
        for buffer, new in ((self.mean, mean[0, 0]), (self.var, var[0, 0] * samples / (samples - 1))):
            buffer[...] = (1 - BATCH_NORM_MOMENTUM) * buffer[...] + BATCH_NORM_MOMENTUM * jax.lax.stop_gradient(new)
        self.count[...] = self.count[...] + 1
        normed = (x - mean) * jax.lax.rsqrt(var + BATCH_NORM_EPS) * self.scale[...] + self.bias[...]
        return normed.reshape(shape).astype(dtype)


class Branch(nnx.Module):
    """Four times convolution, batch norm, ReLU with halving channels, then a 1 x 1 convolution."""

    def __init__(self, inputs: int, channels: int, outputs: int, rngs: nnx.Rngs):
        widths = [inputs, channels, channels // 2, channels // 4, channels // 8]
        pairs = list(itertools.pairwise(widths))
        self.convs = nnx.List([Conv(3, i, o, rngs) for i, o in pairs])
        self.norms = nnx.List([BatchNorm(o, rngs) for _, o in pairs])
        self.final = Conv(1, widths[-1], outputs, rngs)

    def __call__(self, x: Float[Array, "b h w c"], group: int | None) -> Float[Array, "b h w o"]:
        """Float32 whatever the input: the outputs are read to a fraction of a cell."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nnx.relu(norm(conv(x), group))
        return self.final(x.astype(wide(x.dtype)))


class CenterHead(nnx.Module):
    """Score, offset and size maps from the search tokens' grid (section 3.4)."""

    def __init__(self, inputs: int, channels: int, rngs: nnx.Rngs):
        self.score = Branch(inputs, channels, 1, rngs)
        self.offset = Branch(inputs, channels, 2, rngs)
        self.size = Branch(inputs, channels, 2, rngs)

    def __call__(
        self, x: Float[Array, "b h w c"], group: int | None = None
    ) -> tuple[Float[Array, "b h w"], Float[Array, "b h w 2"], Float[Array, "b h w 2"]]:
        """Score (a probability), size (fractions of the search region; width first), offset (cells; x first)."""
        score, size = (_probability(branch(x, group)) for branch in (self.score, self.size))
        return score[..., 0], size, self.offset(x, group)


def _probability(logits: Array) -> Array:
    """A sigmoid kept off 0 and 1, so that the focal loss stays finite."""
    return jnp.clip(jax.nn.sigmoid(logits), 1e-4, 1 - 1e-4)


def decode(
    ranked_map: Float[Array, "b h w"], size_map: Float[Array, "b h w 2"], offset_map: Float[Array, "b h w 2"]
) -> tuple[Float[Array, "b 4"], Int[Array, " b"]]:
    """Boxes (cx, cy, w, h, fractions of the search region) and their cell, numbered in row-major order.

    The cell is the first maximum of ``ranked_map``: the score map, or the score map under a motion prior.
    """
    b, h, w = ranked_map.shape
    best = ranked_map.reshape(b, -1).argmax(axis=1)
    size, offset = (m.reshape(b, h * w, 2)[jnp.arange(b), best] for m in (size_map, offset_map))
    cell = jnp.stack([best % w, best // w], axis=-1).astype(offset.dtype)
    return jnp.concatenate([(cell + offset) / jnp.array([w, h], offset.dtype), size], axis=-1), best
