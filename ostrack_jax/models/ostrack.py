"""The OSTrack network: a template and a search crop (uint8) to a `Prediction`."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key, UInt8

from ostrack_jax.config import ModelConfig
from ostrack_jax.models import elimination
from ostrack_jax.models.head import CenterHead, decode
from ostrack_jax.models.vit import ViT


class Features(NamedTuple):
    """Tokens after the final norm (float32 or the computation's dtype); eliminated search tokens are zeros."""

    template: Float[Array, "b z c"]
    search: Float[Array, "b s c"]


class Prediction(NamedTuple):
    """The network's output for a batch of search regions of side x side cells.

    Attributes:
      score_map: (b, side, side), how likely the target's centre lies in each cell, within [1e-4, 1 - 1e-4].
      size_map: (b, side, side, 2), width and height as fractions of the search region.
      offset_map: (b, side, side, 2), the centre's place within its cell, x first, in cells.
      boxes: (b, 4), cx, cy, w, h as fractions of the search region.
      scores: (b,), the score map at the cell each box was read from.
      kept: per elimination stage (b, k), positions in the search grid that stay, best first.
      eliminated: per elimination stage (b, n), positions in the search grid that this stage drops.
      features: tokens, on request.
      centre_attention: per block (b, heads, tokens still there), what the template's centre token
        attends to, on request.
    """

    score_map: Float[Array, "b h w"]
    size_map: Float[Array, "b h w 2"]
    offset_map: Float[Array, "b h w 2"]
    boxes: Float[Array, "b 4"]
    scores: Float[Array, " b"]
    kept: tuple[Int[Array, "b _"], ...] = ()
    eliminated: tuple[Int[Array, "b _"], ...] = ()
    features: Features | None = None
    centre_attention: tuple[Float[Array, "b m _"], ...] = ()


class OSTrack(nnx.Module):
    """The one-stream tracker's network (Ye et al., ECCV 2022)."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs):
        self.config = config
        self.backbone = ViT(config, jnp.dtype(config.dtype), rngs)
        self.head = CenterHead(config.width, config.head_channels, rngs)

    def embed_template(self, template: UInt8[Array, "b h w 3"]) -> Float[Array, "b z c"]:
        """The template crop's tokens: computed once per track."""
        with jax.default_matmul_precision("highest"):
            return self.backbone.embed_template(template)

    def __call__(
        self,
        template: UInt8[Array, "b t t 3"] | Float[Array, "b z c"],
        search: UInt8[Array, "b s s 3"],
        template_box: Float[Array, "b 4"] | None = None,
        *,
        window: Float[Array, "h w"] | None = None,
        kept_counts: tuple[int, ...] | None = None,
        valid_counts: Int[Array, " stages"] | None = None,
        keys: Key[Array, " b"] | None = None,
        bn_group: int | None = None,
        details: bool = False,
    ) -> Prediction:
        """Where the target of ``template`` is in ``search``.

        Args:
          template: the crop, or its tokens from `embed_template`.
          search: the crop around the last position.
          template_box: x, y, w, h as fractions of the template crop; needed where ``template_rows`` is ``gt_box``.
          window: a motion prior that the score map is multiplied by before its maximum is taken.
          kept_counts: static; search tokens left after each stage (training's schedule); None: by the config's ratios.
          valid_counts: how many of these count; the others change no number (None: all count).
          keys: one a sample, switch stochastic depth on.
          bn_group: static; samples whose statistics BatchNorm shares (training); None uses the running buffers.
          details: static; also give positions kept and eliminated, features and the centre row's attention.

        Float32 means float32 on every device: products are asked for at the highest precision.
        """
        side = self.config.search_size // self.config.patch
        kept = elimination.kept_counts(self.config.keep_ratio, side * side) if kept_counts is None else kept_counts
        with jax.default_matmul_precision("highest"):
            tokens = template if template.ndim == 3 else self.backbone.embed_template(template)
            out = self.backbone(
                *(tokens, search, template_box),
                **{"kept_counts": kept, "valid_counts": valid_counts, "keys": keys, "centre_attention": details},
            )
            b, _, c = out.search.shape
            score_map, size_map, offset_map = self.head(out.search.reshape(b, side, side, c), bn_group)
            ranked = score_map if window is None else score_map * window
            boxes, cells = decode(ranked, size_map, offset_map)
        scores = jnp.take_along_axis(score_map.reshape(b, -1), cells[:, None], axis=1)[:, 0]
        prediction = Prediction(score_map, size_map, offset_map, boxes, scores)
        if not details:
            return prediction
        return prediction._replace(
            kept=out.kept,
            eliminated=out.eliminated,
            features=Features(out.template, out.search),
            centre_attention=out.centre_attention,
        )
