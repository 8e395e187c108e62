"""Square crops of frames, and boxes in frame and crop coordinates.

The arithmetic is the published tracker's, its oddities included: the crops the networks have learned on have
right and lower padding one pixel too wide; training's box mapping has a "-1" that tracking's has not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Real, UInt8

from ostrack_jax.errors import UserError

# Beyond this many pixels a side the padded crop is not laid out (50 MB there) but sampled where it is needed.
_LAID_OUT_SIDE = 4096

Scalar = float | int | Real[Any, "*#batch"]


@dataclass(frozen=True, eq=False)
class Crop:
    """A square piece of a frame, resized.

    Attributes:
      image: RGB, black outside the frame.
      resize_factor: pixels of the crop per pixel of the frame.
      side: of the piece, in pixels of the frame.
      inside_xyxy: the part of the piece that holds frame, in pixels of the frame from the piece's top left
        corner, exclusive; empty (right <= left or bottom <= top) where none does.
    """

    image: UInt8[np.ndarray, "s s 3"]
    resize_factor: float
    side: int
    inside_xyxy: tuple[int, int, int, int]

    def is_padding(self, step: int = 1) -> bool:
        """True if padding touches every ``step``-th pixel of all such rows (the release rejects these)."""
        size = self.image.shape[0]
        left, top, right, bottom = self.inside_xyxy
        some_column = _any_untouched(self.side, size, left, right, step)
        return not (some_column and _any_untouched(self.side, size, top, bottom, step))


def crop_side(box_xywh: Real[np.ndarray, " 4"], factor: float | int) -> int:
    """ceil(sqrt(w h) factor): the side in pixels of the square around ``box_xywh``.

    Raises:
      UserError: the box is not finite, has a negative side, or gives a square under one pixel.
    """
    x, y, w, h = (float(v) for v in box_xywh)
    found = f"no crop around the box {x:g},{y:g},{w:g},{h:g} (x,y,w,h): expected "
    if not all(math.isfinite(v) for v in (x, y, w, h, w * h * factor)):
        raise UserError(found + "finite numbers")
    side = math.ceil(math.sqrt(w * h) * factor) if w > 0 and h > 0 else 0
    if side < 1:
        raise UserError(found + "a positive width and height")
    return side


def square_crop(
    image: UInt8[np.ndarray, "h w 3"], box_xywh: Real[np.ndarray, " 4"], factor: float | int, size: int
) -> Crop:
    """Crop the square of ``factor`` times the box's mean side around its centre, resized to ``size`` pixels.

    Published arithmetic: corner round(centre - side / 2), half to even; black outside the frame; OpenCV's
    bilinear `resize`. The frame's last column or row is black too wherever the square reaches it. A square
    without any frame is black (the release fails or wraps around). A square of any size takes bounded memory.

    Args:
      image: RGB frame.
      box_xywh: pixels of the frame.
      factor: side of the square over sqrt(box area).
      size: side of the result in pixels.

    Raises:
      UserError: see `crop_side`.
    """
    side = crop_side(box_xywh, factor)
    x, y, w, h = (float(v) for v in box_xywh)
    left, top = round(x + 0.5 * w - side * 0.5), round(y + 0.5 * h - side * 0.5)
    pad_left, pad_top = max(0, -left), max(0, -top)
    # The "+ 1" is the release's; the networks have learned with it.
    pad_right = max(0, left + side - image.shape[1] + 1)
    pad_bottom = max(0, top + side - image.shape[0] + 1)
    inside = (pad_left, pad_top, side - pad_right, side - pad_bottom)
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return Crop(np.zeros((size, size, 3), np.uint8), size / side, side, inside)
    piece = image[top + inside[1] : top + inside[3], left + inside[0] : left + inside[2]]
    if side > _LAID_OUT_SIDE:
        return Crop(_sample(piece, inside[:2], side, size), size / side, side, inside)
    if pad_left or pad_top or pad_right or pad_bottom:
        piece = cv2.copyMakeBorder(piece, pad_top, pad_bottom, pad_left, pad_right, cv2.BORDER_CONSTANT)
    return Crop(cv2.resize(piece, (size, size), interpolation=cv2.INTER_LINEAR), size / side, side, inside)


def box_to_crop(
    box_xywh: Float[Any, "*#batch 4"], around_xywh: Float[Any, "*#batch 4"], resize_factor: Scalar, size: int
) -> Float[Any, "... 4"]:
    """Convert a box of the frame to fractions of a crop, by the training's formula (with its "-1").

    Args:
      box_xywh: pixels of the frame.
      around_xywh: the box the crop was made around, pixels of the frame.
      resize_factor: `Crop.resize_factor`.
      size: side of the crop in its pixels.

    Returns:
      left, top, width, height over ``size``.
    """
    xp = box_xywh.__array_namespace__()
    shift = (box_xywh[..., :2] + 0.5 * box_xywh[..., 2:]) - (around_xywh[..., :2] + 0.5 * around_xywh[..., 2:])
    factor = xp.asarray(resize_factor, dtype=box_xywh.dtype)[..., None]
    centre = (size - 1) / 2 + shift * factor
    extent = box_xywh[..., 2:] * factor + xp.zeros_like(centre)
    return xp.concatenate([centre - 0.5 * extent, extent], axis=-1) / size


def crop_to_frame(
    box_cxcywh: Float[Any, "*#batch 4"],
    around_xywh: Float[Any, "*#batch 4"],
    resize_factor: Scalar,
    size: int,
) -> Float[Any, "... 4"]:
    """Convert a box of a crop to pixels of the frame, by the tracking's formula (not `box_to_crop`'s inverse).

    Args:
      box_cxcywh: centre, width, height as fractions of the crop.
      around_xywh: the box the crop was made around, pixels of the frame; its centre is taken unrounded.
      resize_factor: `Crop.resize_factor`.
      size: side of the crop in its pixels.

    Returns:
      left, top, width, height in pixels of the frame.
    """
    xp = box_cxcywh.__array_namespace__()
    side = size / xp.asarray(resize_factor, dtype=around_xywh.dtype)[..., None]
    last_centre = around_xywh[..., :2] + 0.5 * around_xywh[..., 2:]
    centre = last_centre - 0.5 * side + box_cxcywh[..., :2] * side
    extent = box_cxcywh[..., 2:] * side + xp.zeros_like(centre)
    return xp.concatenate([centre - 0.5 * extent, extent], axis=-1)


def _taps(side: int, size: int) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Bilinear resize of ``side`` to ``size`` pixels, half-pixel centres: lower tap, the upper's weight."""
    at = np.clip((np.arange(size) + 0.5) * (side / size) - 0.5, 0, side - 1)
    low = np.floor(at)
    return low, at - low


def _any_untouched(side: int, size: int, start: int, stop: int, step: int) -> bool:
    """Whether one of every ``step``-th of ``size`` output pixels draws on ``start .. stop`` of the input alone."""
    # One after another, by the arithmetic of `_taps`: the first is nearly always among the first few.
    for pixel in range(0, size, step):
        at = min(max((pixel + 0.5) * (side / size) - 0.5, 0.0), side - 1.0)
        low = math.floor(at)
        if low >= start and low + (at > low) < stop:
            return True
    return False


def _sample(
    piece: UInt8[np.ndarray, "h w 3"], offset_xy: tuple[int, int], side: int, size: int
) -> UInt8[np.ndarray, "s s 3"]:
    """Bilinear resize of a black square of ``side`` with ``piece`` at ``offset_xy``, never laid out."""
    bordered = cv2.copyMakeBorder(piece, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    low, weight = _taps(side, size)

    def taps(offset: int, extent: int) -> tuple[np.ndarray, np.ndarray]:
        first = np.clip(low - offset + 1, 0, extent + 1)
        second = np.clip(low - offset + 2, 0, extent + 1)
        return first.astype(np.intp), second.astype(np.intp)

    x0, x1 = taps(offset_xy[0], piece.shape[1])
    y0, y1 = taps(offset_xy[1], piece.shape[0])
    wx, wy = weight[None, :, None], weight[:, None, None]
    upper = bordered[y0][:, x0] * (1 - wx) + bordered[y0][:, x1] * wx
    lower = bordered[y1][:, x0] * (1 - wx) + bordered[y1][:, x1] * wx
    return np.rint(upper * (1 - wy) + lower * wy).astype(np.uint8)
