"""The truth about made-up videos. Enters: outlines in pixels of the frame. Leaves: tight boxes, visible shares."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

Polygons = Float[np.ndarray, "t k 2"]


def annotate(
    target: Polygons, above: list[Float[np.ndarray, "t _ 2"]], width: int, height: int
) -> tuple[Float[np.ndarray, "t 4"], Float[np.ndarray, " t"]]:
    """The box of the target's part in the frame, occluded or not, and the share of the target that is seen.

    Args:
      target: outline in each frame, pixels (pixel i covers i .. i + 1).
      above: outlines of what is drawn over it.
      width: of the frame; ``height`` likewise.

    Returns:
      left, top, width, height in pixels, all 0 where nothing of it is in the frame; and shares in 0..1.
    """
    low, high = target.min(axis=1), target.max(axis=1)
    boxes = np.concatenate([low, high - low], axis=1)
    share = np.ones(len(target))
    for t in np.flatnonzero((low < 0).any(axis=1) | (high > (width, height)).any(axis=1)):
        inside = clip_polygon(target[t], width, height).clip(0, (width, height))
        share[t] = polygon_area(inside) / polygon_area(target[t])
        boxes[t] = 0 if share[t] <= 0 else [*inside.min(axis=0), *np.ptp(inside, axis=0)]
    for other in above:
        # A coarse test first: most frames need no drawing.
        near = (other.min(axis=1) < high).all(axis=1) & (other.max(axis=1) > low).all(axis=1)
        for t in np.flatnonzero(near & (share > 0)):
            share[t] *= 1 - _hidden(target[t], other[t], boxes[t])
    return boxes, share


def clip_polygon(polygon: Float[np.ndarray, "k 2"], width: int, height: int) -> Float[np.ndarray, "m 2"]:
    """The part of a polygon inside 0..width, 0..height (Sutherland and Hodgman 1974); may be empty."""
    for axis, limit, sign in ((0, 0.0, 1), (0, float(width), -1), (1, 0.0, 1), (1, float(height), -1)):
        depth = sign * (polygon[:, axis] - limit)
        following, next_depth = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
        cuts = (depth >= 0) != (next_depth >= 0)
        part = depth / np.where(cuts, depth - next_depth, 1)
        crossing = polygon + part[:, None] * (following - polygon)
        both = np.stack([polygon, crossing], axis=1)
        polygon = both[np.stack([depth >= 0, cuts], axis=1)]
    return polygon


def polygon_area(polygon: Float[np.ndarray, "k 2"]) -> float:
    """The area enclosed, in square pixels (the shoelace formula)."""
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _hidden(
    target: Float[np.ndarray, "k 2"], other: Float[np.ndarray, "m 2"], box_xywh: Float[np.ndarray, " 4"]
) -> float:
    """The share of the target's pixels within its box that ``other`` covers, drawn at four pixels per pixel or less."""
    scale = min(4.0, 256 / max(box_xywh[2:].max(), 1.0))
    wide, high = (int(np.ceil(v * scale)) + 1 for v in box_xywh[2:])
    masks = []
    for polygon in (target, other):
        mask = np.zeros((high, wide), np.uint8)
        cv2.fillPoly(mask, [np.rint((polygon - box_xywh[:2]) * scale).astype(np.int32)], 1)
        masks.append(mask)
    whole = int(np.count_nonzero(masks[0]))
    return np.count_nonzero(masks[0] & masks[1]) / whole if whole else 0.0
