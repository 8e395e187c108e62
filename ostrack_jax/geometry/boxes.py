"""Convert, compare and clip boxes in arrays (..., 4) of numpy or jax.

Forms: xywh (left, top, width, height), xyxy (left, top, right, bottom), cxcywh (centre, width, height). Edges
are exclusive: right = left + width. The array module comes from the input: one formula for numpy and jax.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Real

Boxes = Float[Any, "*batch 4"]
Values = Float[Any, "*batch"]
Number = float | int | Real[Any, ""]


def xywh_to_xyxy(box_xywh: Boxes) -> Boxes:
    """Left, top, width, height -> left, top, right, bottom."""
    xp = box_xywh.__array_namespace__()
    return xp.concatenate([box_xywh[..., :2], box_xywh[..., :2] + box_xywh[..., 2:]], axis=-1)


def xyxy_to_xywh(box_xyxy: Boxes) -> Boxes:
    """Left, top, right, bottom -> left, top, width, height."""
    xp = box_xyxy.__array_namespace__()
    return xp.concatenate([box_xyxy[..., :2], box_xyxy[..., 2:] - box_xyxy[..., :2]], axis=-1)


def xywh_to_cxcywh(box_xywh: Boxes) -> Boxes:
    """Left, top, width, height -> centre, width, height."""
    xp = box_xywh.__array_namespace__()
    return xp.concatenate([box_xywh[..., :2] + 0.5 * box_xywh[..., 2:], box_xywh[..., 2:]], axis=-1)


def cxcywh_to_xywh(box_cxcywh: Boxes) -> Boxes:
    """Centre, width, height -> left, top, width, height."""
    xp = box_cxcywh.__array_namespace__()
    return xp.concatenate([box_cxcywh[..., :2] - 0.5 * box_cxcywh[..., 2:], box_cxcywh[..., 2:]], axis=-1)


def cxcywh_to_xyxy(box_cxcywh: Boxes) -> Boxes:
    """Centre, width, height -> left, top, right, bottom."""
    xp = box_cxcywh.__array_namespace__()
    half = 0.5 * box_cxcywh[..., 2:]
    return xp.concatenate([box_cxcywh[..., :2] - half, box_cxcywh[..., :2] + half], axis=-1)


def xyxy_to_cxcywh(box_xyxy: Boxes) -> Boxes:
    """Left, top, right, bottom -> centre, width, height."""
    xp = box_xyxy.__array_namespace__()
    low, high = box_xyxy[..., :2], box_xyxy[..., 2:]
    return xp.concatenate([0.5 * (low + high), high - low], axis=-1)


def _ratio(numerator: Any, area: Any) -> Any:
    """numerator / area, 0 where there is none (or its square would underflow in the gradient)."""
    xp = area.__array_namespace__()
    positive = area > float(xp.finfo(area.dtype).tiny) ** 0.5
    return xp.where(positive, numerator / xp.where(positive, area, 1), 0)


def _intersection_and_union(a_xyxy: Any, b_xyxy: Any) -> tuple[Any, Any]:
    xp = a_xyxy.__array_namespace__()
    side = xp.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:]) - xp.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    side = xp.maximum(side, 0)
    intersection = side[..., 0] * side[..., 1]
    size_a, size_b = a_xyxy[..., 2:] - a_xyxy[..., :2], b_xyxy[..., 2:] - b_xyxy[..., :2]
    return intersection, size_a[..., 0] * size_a[..., 1] + size_b[..., 0] * size_b[..., 1] - intersection


def iou(a_xyxy: Float[Any, "*#batch 4"], b_xyxy: Float[Any, "*#batch 4"]) -> Float[Any, " ..."]:
    """Intersection over union, elementwise with broadcasting; 0 for two empty boxes (the loss's: no "+1")."""
    return _ratio(*_intersection_and_union(a_xyxy, b_xyxy))


def giou(a_xyxy: Float[Any, "*#batch 4"], b_xyxy: Float[Any, "*#batch 4"]) -> Float[Any, " ..."]:
    """Generalised IoU in -1..1 (Rezatofighi et al. 2019, the release's loss), elementwise, with broadcasting.

    IoU less the share of the common hull that lies outside the union; 0 for two empty boxes at one place.
    """
    xp = a_xyxy.__array_namespace__()
    intersection, union = _intersection_and_union(a_xyxy, b_xyxy)
    side = xp.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:]) - xp.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    side = xp.maximum(side, 0)
    hull = side[..., 0] * side[..., 1]
    return _ratio(intersection, union) - _ratio(hull - union, hull)


def clip_xywh(box_xywh: Boxes, height: Number, width: Number, margin: Number = 0.0) -> Boxes:
    """Cut boxes at the frame's border, as the release does; ``margin`` is the least inside it and the least side.

    Args:
      box_xywh: pixels of the frame; NaN stays NaN.
      height: of the frame in pixels; ``width`` likewise.
      margin: pixels.
    """
    xp = box_xywh.__array_namespace__()
    frame = xp.stack([xp.asarray(width, dtype=box_xywh.dtype), xp.asarray(height, dtype=box_xywh.dtype)])
    low, high = box_xywh[..., :2], box_xywh[..., :2] + box_xywh[..., 2:]
    low = xp.minimum(xp.maximum(low, 0), frame - margin)
    high = xp.minimum(xp.maximum(high, margin), frame)
    return xp.concatenate([low, xp.maximum(high - low, margin)], axis=-1)
