"""The one-stream backbone: template and search tokens together, with candidate elimination."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key, UInt8

from ostrack_jax.config import ModelConfig
from ostrack_jax.models import elimination
from ostrack_jax.models.attention import Groups
from ostrack_jax.models.block import Block, Norm, depth_factors
from ostrack_jax.models.embed import PatchEmbed, truncated_normal


class Carried(nnx.Variable):
    """A tensor that the release's files hold and nothing uses: kept for export, never trained."""


class Tokens(NamedTuple):
    """The backbone's output: tokens after the final norm, search tokens restored to the full grid.

    ``kept`` and ``eliminated`` hold positions in the search grid per stage; ``centre_attention`` the attention of the
    template's centre token over all tokens still there, per block (empty unless asked for).
    """

    template: Float[Array, "b z c"]
    search: Float[Array, "b s c"]
    kept: tuple[Int[Array, "b _"], ...]
    eliminated: tuple[Int[Array, "b _"], ...]
    centre_attention: tuple[Float[Array, "b m _"], ...]


class ViT(nnx.Module):
    """Vision transformer over template and search tokens together, with candidate elimination."""

    def __init__(self, config: ModelConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        width, patch = config.width, config.patch
        templates, searches = (config.template_size // patch) ** 2, (config.search_size // patch) ** 2
        self.config, self.dtype = config, dtype
        self.patch_embed = PatchEmbed(patch, width, dtype, rngs)
        self.pos_embed_template = nnx.Param(truncated_normal(rngs.params(), (templates, width)))
        self.pos_embed_search = nnx.Param(truncated_normal(rngs.params(), (searches, width)))
        self.identity_template, self.identity_search = (
            nnx.Param(truncated_normal(rngs.params(), (width,))) if config.identity_embeddings else None
            for _ in range(2)
        )
        self.cls_token = Carried(jnp.zeros((1, 1, width)))
        self.pos_embed = Carried(jnp.zeros((1, (config.pretraining_size // patch) ** 2 + 1, width)))
        self.blocks = nnx.List([Block(config, dtype, rngs) for _ in range(config.depth)])
        self.norm = Norm(width, dtype, rngs)

    def embed_template(self, template: UInt8[Array, "b h w 3"]) -> Float[Array, "b z c"]:
        """The template's tokens with their positions: all of the network that a track needs to compute once."""
        return self._embed(template, self.pos_embed_template, self.identity_template)

    def _embed(self, crop: UInt8[Array, "b h w 3"], places: nnx.Param, identity: nnx.Param | None) -> Array:
        added = places[...] if identity is None else places[...] + identity[...]
        return self.patch_embed(crop) + added.astype(self.dtype)

    def plain(self, image: UInt8[Array, "b s s 3"]) -> Float[Array, "b n c"]:
        """Run the pretrained network: its class token first, no template, nothing eliminated.

        For images of ``pretraining_size`` pixels. It serves to compare a converted backbone with where it comes from.
        """
        x = jnp.concatenate([jnp.tile(self.cls_token[...], (image.shape[0], 1, 1)), self.patch_embed(image)], axis=1)
        x = (x + self.pos_embed[...]).astype(self.dtype)
        for block in self.blocks:
            x = block.apply_mlp(block.apply_attention(x)[0])
        return self.norm(x)

    def __call__(
        self,
        template_tokens: Float[Array, "b z c"],
        search: UInt8[Array, "b h w 3"],
        template_box: Float[Array, "b 4"] | None = None,
        *,
        kept_counts: tuple[int, ...],
        valid_counts: Int[Array, " stages"] | None = None,
        keys: Key[Array, " b"] | None = None,
        centre_attention: bool = False,
    ) -> Tokens:
        """Both crops' tokens through all blocks; ``kept_counts`` (static): search tokens left after each stage.

        Args:
          template_tokens: of `embed_template`.
          search: the search crop.
          template_box: x, y, w, h as fractions of the crop; needed where its rows rank the candidates.
          kept_counts: static, at most that many search tokens are left after each stage.
          valid_counts: how many of these count; the others, the last, change no number (None: all count).
          keys: one a sample, switch stochastic depth on.
          centre_attention: static, also give the centre row's attention.
        """
        z = template_tokens.shape[1]
        side = self.config.template_size // self.config.patch
        centre = elimination.template_rows("ctr_point", side)
        rank_rows = elimination.template_rows(self.config.template_rows, side)
        row_weights = self._row_weights(template_box)
        x = self._embed(search, self.pos_embed_search, self.identity_search)
        total = x.shape[1]
        positions = jnp.broadcast_to(jnp.arange(total), x.shape[:2])
        x = jnp.concatenate([template_tokens, x], axis=1)
        stages = {block: stage for stage, block in enumerate(self.config.eliminate_at)}
        factors = None if keys is None or not self.config.drop_path else depth_factors(self.config, keys)
        apply_attention, apply_mlp = _halves(self.config.remat)
        valid: Array | None = None
        kept, eliminated, attentions = [], [], []
        for i, block in enumerate(self.blocks):
            stage = stages.get(i)
            cut = stage is not None and (valid_counts is not None or kept_counts[stage] < x.shape[1] - z)
            rows = (rank_rows if cut else ()) + (centre if centre_attention else ())
            length = None if valid is None else z + valid
            groups = Groups(z, joint=i >= self.config.joint_from)
            x, attention = apply_attention(block, x, rows, length, None if factors is None else factors[i, 0], groups)
            if centre_attention:
                attentions.append(attention[:, :, -1])
                attention = attention[:, :, :-1]
            gone = positions[:, :0]
            if stage is not None and cut:
                score = elimination.rank(attention, row_weights, z)
                tokens, positions, gone = elimination.eliminate(score, positions, x[:, z:], kept_counts[stage], valid)
                x = jnp.concatenate([x[:, :z], tokens], axis=1)
                valid = None if valid_counts is None else valid_counts[stage]
            if stage is not None:
                kept.append(positions)
                eliminated.append(gone)
            x = apply_mlp(block, x, None if factors is None else factors[i, 1])
        x = self.norm(x)
        restored = elimination.restore(x[:, z:], positions, total, valid) if kept else x[:, z:]
        return Tokens(x[:, :z], restored, tuple(kept), tuple(eliminated), tuple(attentions))

    def _row_weights(self, template_box: Float[Array, "b 4"] | None) -> Float[Array, "b r"] | None:
        """The ranking rows' weights, where they depend on the template's box."""
        if self.config.template_rows != "gt_box" or not self.config.eliminate_at:
            return None
        if template_box is None:
            raise ValueError("template_rows='gt_box' ranks by the template's box: pass template_box")
        return elimination.box_rows(template_box, self.config.template_size, self.config.patch)


def _halves(remat: bool) -> tuple[Callable[..., tuple[Array, Array]], Callable[..., Array]]:
    """A block's two halves; with ``remat`` each keeps its input alone and computes the rest again for the gradient."""

    def again(half: Callable[..., Any]) -> Callable[..., Any]:
        return lambda block, x, *rest: jax.checkpoint(lambda x: half(block, x, *rest))(x)

    return (again(Block.apply_attention), again(Block.apply_mlp)) if remat else (Block.apply_attention, Block.apply_mlp)
