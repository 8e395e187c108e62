"""Overlap and distance of predicted and true boxes, frame by frame, and their curves. Pure numpy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

OVERLAPS = np.linspace(0, 1, 21)
FINE_OVERLAPS = np.linspace(0, 1, 101)
DISTANCES_PX = np.arange(51, dtype=np.float64)
RELATIVE_DISTANCES = np.arange(51) / 100
# Where on these the numbers are read that papers quote.
OVERLAP_50, OVERLAP_75, PRECISION_AT_PX, NORM_PRECISION_AT = 10, 15, 20, 20


def overlap(a_xywh: Float[np.ndarray, "t 4"], b_xywh: Float[np.ndarray, "t 4"]) -> Float[np.ndarray, " t"]:
    """Intersection over union with exclusive edges and eps in the union, as the GOT-10k toolkit's `rect_iou`.

    NaN where a box is. (The published analysis rounds otherwise: `analysis.overlap`.)
    """
    low = np.maximum(a_xywh[:, :2], b_xywh[:, :2])
    high = np.minimum(a_xywh[:, :2] + a_xywh[:, 2:], b_xywh[:, :2] + b_xywh[:, 2:])
    intersection = np.maximum(high - low, 0).prod(axis=1)
    union = a_xywh[:, 2:].prod(axis=1) + b_xywh[:, 2:].prod(axis=1) - intersection
    return np.clip(intersection / (union + np.finfo(float).eps), 0, 1)


def centre_difference_px(
    a_xywh: Float[np.ndarray, "t 4"], b_xywh: Float[np.ndarray, "t 4"]
) -> Float[np.ndarray, "t 2"]:
    """From the centre of b to that of a in pixels; a centre is x + (w - 1)/2, y + (h - 1)/2, as in every analysis."""
    return (a_xywh[:, :2] + (a_xywh[:, 2:] - 1) / 2) - (b_xywh[:, :2] + (b_xywh[:, 2:] - 1) / 2)


def centre_error_px(a_xywh: Float[np.ndarray, "t 4"], b_xywh: Float[np.ndarray, "t 4"]) -> Float[np.ndarray, " t"]:
    """Distance of the centres in pixels, as the GOT-10k toolkit's `center_error`; NaN where a box is."""
    return np.sqrt((centre_difference_px(a_xywh, b_xywh) ** 2).sum(axis=1))


def clip_to_frame(boxes_xywh: Float[np.ndarray, "t 4"], size_wh: tuple[int, int]) -> Float[np.ndarray, "t 4"]:
    """Clip as the GOT-10k toolkit does (`rect_iou` with a bound).

    Left and top go to the frame, then the size is cut there: a box that begins left of the frame is moved, not cut.
    """
    size = np.asarray(size_wh, np.float64)
    low = np.clip(boxes_xywh[:, :2], 0, size)
    return np.concatenate([low, np.clip(boxes_xywh[:, 2:], 0, size - low)], axis=1)


def success_curve(
    overlaps: Float[np.ndarray, " t"], thresholds: Float[np.ndarray, " n"] = OVERLAPS
) -> Float[np.ndarray, " n"]:
    """Share of frames with an overlap strictly above each threshold; a NaN is a miss. NaN without frames."""
    return shares(overlaps[:, None] > thresholds)


def precision_curve(errors_px: Float[np.ndarray, " t"]) -> Float[np.ndarray, " 51"]:
    """Share of frames with a centre error of at most each of `DISTANCES_PX`; a NaN is a miss. NaN without frames."""
    return shares(errors_px[:, None] <= DISTANCES_PX)


def shares(hits: Bool[np.ndarray, "t n"]) -> Float[np.ndarray, " n"]:
    """Share of frames that hit, at each threshold; NaN without frames."""
    return hits.mean(axis=0) if len(hits) else np.full(hits.shape[1], np.nan)
