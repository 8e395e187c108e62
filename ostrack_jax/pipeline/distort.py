"""Augment crops beyond the published recipe.

For training on few videos, small targets above all: a crop changes as if its target had been small, blurred, in other
light or half hidden. Each kind is off where its setting is 0, and then draws no random number.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Real, UInt8

from ostrack_jax.config import PairConfig

Rng = np.random.Generator
CropImage = UInt8[np.ndarray, "s s 3"]

_GRAY = np.array([0.299, 0.587, 0.114])


def distort(crop: CropImage, box_xywh: Real[np.ndarray, " 4"], config: PairConfig, hide: bool, rng: Rng) -> CropImage:
    """Apply the kinds that are switched on, in this order: occlusion, coarseness, blur, colours.

    Args:
      crop: RGB; not changed.
      box_xywh: of the target, fractions of the crop.
      config: probabilities and ranges, see `PairConfig`.
      hide: whether the target may be hidden in part (the template's never is).
      rng: the only source of randomness.
    """
    if hide and config.occlude and rng.random() < config.occlude:
        crop = cover(crop, box_xywh, rng)
    if config.coarse and rng.random() < config.coarse:
        crop = coarsen(crop, rng.uniform(1.5, 3.0))
    if config.blur and rng.random() < config.blur:
        crop = blur(crop, rng)
    if config.contrast or config.saturation or config.tint:
        crop = recolour(crop, config, rng)
    return crop


def cover(crop: CropImage, box_xywh: Real[np.ndarray, " 4"], rng: Rng) -> CropImage:
    """Cover at most 0.49 of the target's box by a rectangle: a piece of the crop from elsewhere, or one colour."""
    size = crop.shape[0]
    extent = np.clip(rng.uniform(0.2, 0.7, 2) * box_xywh[2:] * size, 1, size).astype(int)
    centre = (box_xywh[:2] + rng.random(2) * box_xywh[2:]) * size
    (x, y), (w, h) = np.clip(np.rint(centre - extent / 2), 0, size - extent).astype(int), extent
    covered = crop.copy()
    if rng.random() < 0.5:
        covered[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    else:
        from_x, from_y = rng.integers(0, size - extent + 1)
        covered[y : y + h, x : x + w] = crop[from_y : from_y + h, from_x : from_x + w]
    return covered


def coarsen(crop: CropImage, factor: float) -> CropImage:
    """Make the crop ``factor`` times smaller, then enlarge it to its size, as if its target had been small."""
    size = crop.shape[0]
    small = max(1, round(size / factor))
    return cv2.resize(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), (size, size))


def blur(crop: CropImage, rng: Rng) -> CropImage:
    """Defocus (sigma up to 1.4 % of the crop) or motion blur (up to 5 % of it), equally often."""
    size = crop.shape[0]
    if rng.random() < 0.5:
        return cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.4) * size / 100)
    length, turn = rng.uniform(0.2, 1.0) * size / 20, rng.uniform(0, math.pi)
    half = math.ceil(length / 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    x, y = (round(16 * length / 2 * wave) for wave in (math.cos(turn), math.sin(turn)))
    cv2.line(kernel, (16 * half - x, 16 * half - y), (16 * half + x, 16 * half + y), (1.0,), shift=4)
    return cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def recolour(crop: CropImage, config: PairConfig, rng: Rng) -> CropImage:
    """Change saturation, each channel's gain and contrast by one matrix; each from U(1 - s, 1 + s) where s is set."""
    matrix, mean = np.eye(3), np.array(cv2.mean(crop)[:3])
    if config.saturation:
        share = rng.uniform(1 - config.saturation, 1 + config.saturation)
        matrix = share * matrix + (1 - share) * np.tile(_GRAY, (3, 1))
    if config.tint:
        matrix = rng.uniform(1 - config.tint, 1 + config.tint, 3)[:, None] * matrix
    shift = np.zeros(3)
    if config.contrast:
        gain = rng.uniform(1 - config.contrast, 1 + config.contrast)
        shift = (1 - gain) * (matrix @ mean)
        matrix = gain * matrix
    return cv2.transform(crop, np.column_stack([matrix, shift]))
