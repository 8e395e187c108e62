"""The one-stream backbone. Enters: a template and a search crop. Leaves: their tokens, and what elimination did."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ostrack_jax.config import ModelConfig
from ostrack_jax.models import elimination
from ostrack_jax.models.attention import Attention
from ostrack_jax.models.embed import PatchEmbed, truncated_normal


class Carried(nnx.Variable):
    """A tensor that the release's files hold and nothing uses: kept for the way back, never trained."""


class Tokens(NamedTuple):
    """What the backbone gives: tokens after the final norm, search tokens restored to the full grid.

    ``kept`` and ``eliminated`` hold positions in the search grid per stage; ``centre_attention`` the attention of the
    template's centre token over all tokens still there, per block (empty unless asked for).
    """

    template: Float[Array, "b z c"]
    search: Float[Array, "b s c"]
    kept: tuple[Int[Array, "b _"], ...]
    eliminated: tuple[Int[Array, "b _"], ...]
    centre_attention: tuple[Float[Array, "b m _"], ...]


class Mlp(nnx.Module):
    """Two linear maps around an exact GELU."""

    def __init__(self, width: int, hidden: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.fc1 = nnx.Linear(width, hidden, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)
        self.fc2 = nnx.Linear(hidden, width, dtype=dtype, kernel_init=truncated_normal, rngs=rngs)

    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        """Each token on its own."""
        return self.fc2(nnx.gelu(self.fc1(x), approximate=False))


class Norm(nnx.LayerNorm):
    """Layer normalisation (eps 1e-6) in float32, given back in the computation's dtype."""

    def __init__(self, width: int, out_dtype: jnp.dtype, rngs: nnx.Rngs):
        super().__init__(width, epsilon=1e-6, dtype=jnp.float32, use_fast_variance=False, rngs=rngs)
        self.out_dtype = out_dtype

    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        """Each token over its channels."""
        return super().__call__(x).astype(self.out_dtype)


class Block(nnx.Module):
    """A pre-norm transformer block; elimination happens between its two halves."""

    def __init__(self, config: ModelConfig, drop: float, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.norm1 = Norm(config.width, dtype, rngs)
        self.attn = Attention(config.width, config.heads, dtype, rngs)
        self.norm2 = Norm(config.width, dtype, rngs)
        self.mlp = Mlp(config.width, config.mlp_ratio * config.width, dtype, rngs)
        self.scale1, self.scale2 = (_factors(config) for _ in range(2))
        self.drop = drop

    def mix(
        self, x: Float[Array, "b n c"], rows: tuple[int, ...], key: PRNGKeyArray | None
    ) -> tuple[Float[Array, "b n c"], Float[Array, "b m r n"]]:
        """The attention half; also the attention of the tokens at positions ``rows``."""
        mixed, attention = self.attn(self.norm1(x), rows)
        return x + drop_path(_scaled(mixed, self.scale1), self.drop, key), attention

    def think(self, x: Float[Array, "b n c"], key: PRNGKeyArray | None) -> Float[Array, "b n c"]:
        """The MLP half."""
        return x + drop_path(_scaled(self.mlp(self.norm2(x)), self.scale2), self.drop, key)


def _factors(config: ModelConfig) -> nnx.Param | None:
    """LayerScale (Touvron et al., 2021, equation 6) of a residual branch, if the config has it."""
    return nnx.Param(jnp.full(config.width, config.layer_scale)) if config.layer_scale else None


def _scaled(x: Float[Array, "b n c"], factors: nnx.Param | None) -> Float[Array, "b n c"]:
    return x if factors is None else x * factors[...].astype(x.dtype)


def drop_path(x: Float[Array, "b n c"], rate: float, key: PRNGKeyArray | None) -> Float[Array, "b n c"]:
    """Stochastic depth: whole samples of a residual branch set to zero, the others divided by the keep probability."""
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, (x.shape[0], 1, 1))
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


class ViT(nnx.Module):
    """Vision transformer over template and search tokens together, with candidate elimination."""

    def __init__(self, config: ModelConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        width, patch = config.width, config.patch
        templates, searches = (config.template_size // patch) ** 2, (config.search_size // patch) ** 2
        self.config, self.dtype = config, dtype
        self.patch_embed = PatchEmbed(patch, width, dtype, rngs)
        self.pos_embed_template = nnx.Param(truncated_normal(rngs.params(), (templates, width)))
        self.pos_embed_search = nnx.Param(truncated_normal(rngs.params(), (searches, width)))
        self.cls_token = Carried(jnp.zeros((1, 1, width)))
        self.pos_embed = Carried(jnp.zeros((1, (config.pretraining_size // patch) ** 2 + 1, width)))
        drops = [config.drop_path * i / max(config.depth - 1, 1) for i in range(config.depth)]
        self.blocks = nnx.List([Block(config, drop, dtype, rngs) for drop in drops])
        self.norm = Norm(width, dtype, rngs)

    def embed_template(self, template: UInt8[Array, "b h w 3"]) -> Float[Array, "b z c"]:
        """The template's tokens with their positions: all of the network that a track needs to compute once."""
        return self.patch_embed(template) + self.pos_embed_template[...].astype(self.dtype)

    def plain(self, image: UInt8[Array, "b s s 3"]) -> Float[Array, "b n c"]:
        """What the pretrained network gives: the carried class token first, no template, nothing eliminated.

        For pictures of ``pretraining_size`` pixels. It serves to compare a converted backbone with where it comes from.
        """
        x = jnp.concatenate([jnp.tile(self.cls_token[...], (image.shape[0], 1, 1)), self.patch_embed(image)], axis=1)
        x = (x + self.pos_embed[...]).astype(self.dtype)
        for block in self.blocks:
            x = block.think(block.mix(x, (), None)[0], None)
        return self.norm(x)

    def __call__(
        self,
        template_tokens: Float[Array, "b z c"],
        search: UInt8[Array, "b h w 3"],
        template_box: Float[Array, "b 4"] | None = None,
        *,
        kept_counts: tuple[int, ...],
        key: PRNGKeyArray | None = None,
        centre_attention: bool = False,
    ) -> Tokens:
        """Both crops' tokens through all blocks; ``kept_counts`` (static): search tokens left after each stage.

        ``template_box`` (x, y, w, h as fractions of the crop) is needed where its rows rank the candidates.
        ``key`` switches stochastic depth on.
        """
        z = template_tokens.shape[1]
        side = self.config.template_size // self.config.patch
        centre = elimination.template_rows("ctr_point", side)
        rank_rows = elimination.template_rows(self.config.template_rows, side)
        row_weights = None
        if self.config.template_rows == "gt_box" and self.config.eliminate_at:
            if template_box is None:
                raise ValueError("template_rows='gt_box' ranks by the template's box: pass template_box")
            row_weights = elimination.box_rows(template_box, self.config.template_size, self.config.patch)
        x = self.patch_embed(search) + self.pos_embed_search[...].astype(self.dtype)
        total = x.shape[1]
        positions = jnp.broadcast_to(jnp.arange(total), x.shape[:2])
        x = jnp.concatenate([template_tokens, x], axis=1)
        stages = dict(zip(self.config.eliminate_at, kept_counts, strict=True))
        keys = [None] * 2 * len(self.blocks) if key is None else list(jax.random.split(key, 2 * len(self.blocks)))
        kept, eliminated, attentions = [], [], []
        for i, block in enumerate(self.blocks):
            cut = i in stages and stages[i] < x.shape[1] - z
            rows = (rank_rows if cut else ()) + (centre if centre_attention else ())
            x, attention = block.mix(x, rows, keys[2 * i])
            if centre_attention:
                attentions.append(attention[:, :, -1])
                attention = attention[:, :, :-1]
            if cut:
                score = elimination.rank(attention, row_weights, z)
                tokens, positions, gone = elimination.eliminate(score, positions, x[:, z:], stages[i])
                x = jnp.concatenate([x[:, :z], tokens], axis=1)
            if i in stages:
                kept.append(positions)
                eliminated.append(gone if cut else positions[:, :0])
            x = block.think(x, keys[2 * i + 1])
        x = self.norm(x)
        restored = elimination.restore(x[:, z:], positions, total) if kept else x[:, z:]
        return Tokens(x[:, :z], restored, tuple(kept), tuple(eliminated), tuple(attentions))
