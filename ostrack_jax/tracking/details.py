"""The network's view of a frame, on the search region's grid: eliminated candidates, attention, decisive regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from ostrack_jax.config import ModelConfig
from ostrack_jax.geometry.boxes import cxcywh_to_xywh
from ostrack_jax.geometry.crops import box_to_crop, crop_side
from ostrack_jax.models.ostrack import OSTrack, Prediction


@dataclass(frozen=True, eq=False)
class Details:
    """One frame as the network saw it; maps are over the search region's grid of side x side cells.

    Attributes:
      search: the search region.
      answer_xywh: the answered box as fractions of the search region.
      score: of the answer.
      score_map: before the motion prior.
      eliminated: positions in the grid that each stage drops; empty without elimination.
      attention: per block what the template's centre token attends to, its heads' mean (figures 4 and A2); NaN where
        the candidate is gone. A row of attention sums to 1 over template and search region together.
      regions: on which cells' features the score rests (figure 6), see `discriminative_regions`.
    """

    search: UInt8[np.ndarray, "s s 3"]
    answer_xywh: Float[np.ndarray, " 4"]
    score: float
    score_map: Float[np.ndarray, "h w"]
    eliminated: tuple[Int[np.ndarray, " _"], ...]
    attention: Float[np.ndarray, "blocks h w"]
    regions: Float[np.ndarray, "h w"]


def details_of(
    search: UInt8[np.ndarray, "s s 3"], prediction: Any, regions: Float[np.ndarray, "h w"], model: ModelConfig
) -> Details:
    """The details of one search region, from the network's `Prediction` as numpy arrays, a batch of one."""
    return Details(
        search,
        cxcywh_to_xywh(prediction.boxes[0].astype(np.float64)),
        float(prediction.scores[0]),
        prediction.score_map[0].astype(np.float32),
        tuple(positions[0] for positions in prediction.eliminated),
        attention_maps(prediction, model.eliminate_at, (model.template_size // model.patch) ** 2),
        regions,
    )


def within_search(
    box_xywh: Float[np.ndarray, " 4"], last_xywh: Float[np.ndarray, " 4"], model: ModelConfig
) -> Float[np.ndarray, " 4"] | None:
    """A box of the frame as fractions of the search region around ``last_xywh``; None for one without area."""
    if not (np.isfinite(box_xywh).all() and (box_xywh[2:] > 0).all()):
        return None
    factor = model.search_size / crop_side(last_xywh, model.search_factor)
    return box_to_crop(box_xywh, last_xywh, factor, model.search_size)


def attention_maps(prediction: Prediction, eliminate_at: Sequence[int], templates: int) -> Float[np.ndarray, "b h w"]:
    """The centre template token's attention of each block back on the search region's grid, the heads' mean.

    Args:
      prediction: of one sample, with details, on the host.
      eliminate_at: the blocks in which a stage drops candidates (after that block's attention).
      templates: how many tokens of the template come first.
    """
    side = prediction.score_map.shape[1]
    maps = np.full((len(prediction.centre_attention), side * side), np.nan, np.float32)
    positions = np.arange(side * side)
    for block, attention in enumerate(prediction.centre_attention):
        maps[block, positions] = np.asarray(attention[0], np.float32).mean(axis=0)[templates:]
        if block in eliminate_at:
            positions = np.asarray(prediction.kept[tuple(eliminate_at).index(block)][0])
    return maps.reshape(-1, side, side)


def discriminative_regions(model: OSTrack, prediction: Prediction, cell: Int[Array, ""]) -> Float[Array, "h w"]:
    """How much the features of each cell make ``cell`` (in row-major order) stand out from the rest.

    With F the search region's tokens after the last block and s the log of the cell's share in the softmax of the score
    map's logits over all cells, the map at cell i is the positive part of the sum over channels of F_i * ds/dF_i: the
    gradient-weighted activation of Grad-CAM (Selvaraju et al., ICCV 2017), its weights not averaged over the grid
    (Draelos and Carin, 2020). The gradient is of s, not of the score: in trained heads the peak of the map is often
    where all units of the last layer rest at 0, and so has no gradient. One sample; eliminated cells are 0.
    """
    assert prediction.features is not None
    _, height, width = prediction.score_map.shape
    features = prediction.features.search.reshape(1, height, width, -1)

    def stands_out(features: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            return jax.nn.log_softmax(model.head.score(features, None).reshape(-1))[cell]

    gradient = jax.grad(stands_out)(features)
    return jnp.maximum((features[0].astype(jnp.float32) * gradient[0]).sum(axis=-1), 0)
