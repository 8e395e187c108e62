"""The losses (section 3.4, equation 12)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ostrack_jax.config import TrainConfig
from ostrack_jax.geometry.boxes import cxcywh_to_xyxy, giou, iou, xywh_to_cxcywh, xywh_to_xyxy
from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.training.targets import score_target

ALPHA, BETA = 2, 4


class Losses(NamedTuple):
    """Means over the batch; ``loss`` is the weighted sum that is minimised, ``iou`` only watched."""

    loss: Float[Array, ""]
    giou: Float[Array, ""]
    l1: Float[Array, ""]
    focal: Float[Array, ""]
    iou: Float[Array, ""]


def focal(score_map: Float[Array, "b h w"], target: Float[Array, "b h w"], group: int) -> Float[Array, " groups"]:
    """Weighted focal loss (CenterNet's) of each ``group`` of samples, over the group's positives (cells of target 1).

    A group without positives is not divided. Score maps lie strictly within 0..1. Shapes (b, h, w) -> (b / group,).
    """
    positive = target == 1
    gain = jnp.where(positive, jnp.log(score_map) * (1 - score_map) ** ALPHA, 0)
    other = jnp.where(positive, 0, jnp.log(1 - score_map) * score_map**ALPHA * (1 - target) ** BETA)
    total = -(gain + other).reshape(-1, group, *score_map.shape[1:]).sum(axis=(1, 2, 3))
    return total / jnp.maximum(positive.reshape(-1, group, *score_map.shape[1:]).sum(axis=(1, 2, 3)), 1)


def losses(prediction: Prediction, box_xywh: Float[Array, "b 4"], train: TrainConfig, group: int) -> Losses:
    """All losses against true boxes given as x, y, w, h in fractions of the search region.

    Boxes are compared where the predicted score map has its maximum, as x1 y1 x2 y2, the true ones clipped to 0..1.
    """
    predicted = cxcywh_to_xyxy(prediction.boxes)
    true = jnp.clip(xywh_to_xyxy(box_xywh), 0, 1)
    target = score_target(xywh_to_cxcywh(box_xywh), prediction.score_map.shape[1])
    terms = {
        "giou": (1 - giou(predicted, true)).mean(),
        "l1": jnp.abs(predicted - true).mean(),
        "focal": focal(prediction.score_map, target, group).mean(),
    }
    total = train.giou_weight * terms["giou"] + train.l1_weight * terms["l1"] + train.focal_weight * terms["focal"]
    return Losses(total, **terms, iou=iou(predicted, true).mean())
