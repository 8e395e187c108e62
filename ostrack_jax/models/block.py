"""A transformer block in its two halves: attention and MLP."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from ostrack_jax.config import ModelConfig
from ostrack_jax.models.attention import Attention, Groups
from ostrack_jax.models.embed import truncated_normal
from ostrack_jax.models.precision import mean_over_channels, wide

EPS = 1e-6


class Norm(nnx.LayerNorm):
    """Layer normalisation in float32, returned in the computation's dtype."""

    def __init__(self, width: int, out_dtype: jnp.dtype, rngs: nnx.Rngs):
        super().__init__(width, epsilon=EPS, rngs=rngs)
        self.out_dtype = out_dtype

    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        """Each token over its channels."""
        assert self.scale is not None
        assert self.bias is not None
        x = x.astype(wide(self.out_dtype))
        x = x - mean_over_channels(x)
        normed = x * jax.lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + EPS)
        return (normed * self.scale[...] + self.bias[...]).astype(self.out_dtype)


class Mlp(nnx.Module):
    """Two linear maps around an exact GELU."""

    def __init__(self, width: int, hidden: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.fc1 = nnx.Linear(width, hidden, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.fc2 = nnx.Linear(hidden, width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)

    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n h"]:
        """Each token's hidden values, of which `fc2` makes the residual."""
        return nnx.gelu(self.fc1(x), approximate=False)


class Block(nnx.Module):
    """A pre-norm transformer block; elimination happens between its two halves."""

    def __init__(self, config: ModelConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.norm1 = Norm(config.width, dtype, rngs)
        self.attn = Attention(config, dtype, rngs)
        self.norm2 = Norm(config.width, dtype, rngs)
        self.mlp = Mlp(config.width, config.mlp_ratio * config.width, dtype, rngs)
        self.scale1, self.scale2 = (_factors(config) for _ in range(2))

    def apply_attention(
        self,
        x: Float[Array, "b n c"],
        rows: tuple[int, ...] = (),
        length: Int[Array, ""] | None = None,
        depth_factor: Float[Array, " b"] | None = None,
        groups: Groups | None = None,
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b m r n"]]:
        """The attention half; also the attention of the tokens at positions ``rows``.

        Tokens from position ``length`` on are seen by none (None: all are seen). ``depth_factor`` is stochastic
        depth's: 0 for a sample whose branch is dropped. ``groups``: see `Attention`.
        """
        mixed, attention = self.attn(self.norm1(x), rows, length, groups)
        return x + _residual(self.attn.proj, mixed, self.scale1, depth_factor), attention

    def apply_mlp(
        self, x: Float[Array, "b n c"], depth_factor: Float[Array, " b"] | None = None
    ) -> Float[Array, "b n c"]:
        """The MLP half."""
        return x + _residual(self.mlp.fc2, self.mlp(self.norm2(x)), self.scale2, depth_factor)


def _residual(
    linear: nnx.Linear, x: Float[Array, "b n i"], factors: nnx.Param | None, depth_factor: Float[Array, " b"] | None
) -> Float[Array, "b n o"]:
    """A branch's last linear map, with LayerScale and stochastic depth.

    LayerScale goes into the small kernel, and stochastic depth before the product: the gradient of the residual
    stream then is an operand of the products of the backward pass as it is (see `mean_over_channels`).
    """
    assert linear.bias is not None
    kernel, bias = linear.kernel[...], linear.bias[...]
    if factors is not None:
        kernel, bias = kernel * factors[...], bias * factors[...]
    kernel, bias = kernel.astype(x.dtype), bias.astype(x.dtype)
    if depth_factor is None:
        return x @ kernel + bias
    factor = depth_factor[:, None, None].astype(x.dtype)
    return (x * factor) @ kernel + bias * factor


def _factors(config: ModelConfig) -> nnx.Param | None:
    """LayerScale (Touvron et al., 2021, equation 6) of a residual branch, if the config has it."""
    return nnx.Param(jnp.full(config.width, config.layer_scale)) if config.layer_scale else None


def depth_factors(config: ModelConfig, keys: Key[Array, " b"]) -> Float[Array, "d 2 b"]:
    """Stochastic depth (Huang et al., 2016): per block, half and sample 0 or 1 / (1 - rate).

    The rate rises linearly from 0 at the first block to ``drop_path`` at the last; every half is drawn apart. A
    sample's draws follow from its own key, whatever the batch it is in.
    """
    rates = config.drop_path * jnp.arange(config.depth) / max(config.depth - 1, 1)
    uniform = jax.vmap(lambda key: jax.random.uniform(key, (config.depth, 2)), out_axes=-1)(keys)
    rate = rates[:, None, None]
    return jnp.where(uniform >= rate, 1 / (1 - rate), 0)
