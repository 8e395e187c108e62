"""Augment a pair of frames and crop it to the network's input.

The published order: grayscale and flip of both complete frames together; crops, the search region's around a
jittered box; then, each crop for itself, brightness and a second flip. How large the crops are in their frames is
drawn before these are read, so that they need not be decoded larger. Images stay uint8; they are
normalised on the device.
"""

from __future__ import annotations

import dataclasses
from typing import TypedDict

import cv2
import numpy as np
from jaxtyping import Float32, Real, UInt8

from ostrack_jax.config import ModelConfig, PairConfig
from ostrack_jax.data.frames import REDUCTIONS
from ostrack_jax.errors import UserError
from ostrack_jax.geometry.crops import Crop, box_to_crop, crop_side, square_crop
from ostrack_jax.pipeline.distort import distort
from ostrack_jax.pipeline.sampling import Pair, UnusablePairError, jitter_box

Image = UInt8[np.ndarray, "h w 3"]
CropImage = UInt8[np.ndarray, "s s 3"]
Box = Real[np.ndarray, " 4"]


class Example(TypedDict):
    """One training pair, cropped: RGB crops; boxes as left, top, width, height in fractions of their crop."""

    template: UInt8[np.ndarray, "z z 3"]
    search: UInt8[np.ndarray, "x x 3"]
    template_box: Float32[np.ndarray, " 4"]
    search_box: Float32[np.ndarray, " 4"]


@dataclasses.dataclass(frozen=True, eq=False)
class _CropPlan:
    """One of the two crops to be made: boxes in pixels of the full frame, the crop's factor and size."""

    box_xywh: Box
    around_xywh: Box
    factor: float
    size: int

    def reduction(self) -> int:
        """The largest reduction of its frame that leaves the square the crop's size, or more."""
        shrunk = crop_side(self.around_xywh, self.factor) / self.size
        return max(factor for factor in REDUCTIONS if factor <= max(1.0, shrunk))

    def crop(self, frame: Image, reduced: int, gray: bool, flip: bool) -> tuple[Crop, Box]:
        """Crop the frame, which was ``reduced``; the crop, and the target in it (fractions)."""
        box, around = self.box_xywh / reduced, self.around_xywh / reduced
        if gray:
            frame = grayscale(frame)
        if flip:
            frame = cv2.flip(frame, 1)
            box, around = (flip_box(moved, frame.shape[1]) for moved in (box, around))
        crop = square_crop(frame, around, self.factor, self.size)
        return crop, box_to_crop(box, around, crop.resize_factor, self.size)


def make_example(pair: Pair, pairs: PairConfig, model: ModelConfig, train: bool, rng: np.random.Generator) -> Example:
    """Augment, read and crop a pair by the published rules.

    A frame reduced while it was decoded is taken as a smaller frame, its boxes with it.

    Args:
      pair: what was drawn.
      pairs: jitters and probabilities; whether frames may be reduced.
      model: sizes and factors of the crops.
      train: False leaves out brightness and the second flip (the release's validation), and reduces no frame.
      rng: the only source of randomness.

    Raises:
      UnusablePairError: a frame that cannot be read (kind "unreadable"), a box no crop can be made around (kind
        "box"), or a crop of nothing but padding (kind "padding").
    """
    gray, flip = rng.random() < pairs.grayscale, rng.random() < pairs.flip
    around = jitter_box(pair.search_box_xywh, pairs.centre_jitter, pairs.scale_jitter, rng)
    plans = (
        _CropPlan(pair.template_box_xywh, pair.template_box_xywh, model.template_factor, model.template_size),
        _CropPlan(pair.search_box_xywh, around, model.search_factor, model.search_size),
    )
    try:
        most = [plan.reduction() for plan in plans]
    except UserError as e:
        raise UnusablePairError("box", str(e), pair.source) from e
    frames = pair.read(*most) if train and pairs.reduced_decode else pair.read()
    crops = []
    for plan, (frame, reduced) in zip(plans, frames, strict=True):
        crop, box = plan.crop(frame, reduced, gray, flip)
        if crop.is_padding(model.patch):
            where = f"no frame within the crop around {np.round(plan.around_xywh, 1)}"
            raise UnusablePairError("padding", where, pair.source)
        # One of a very large square is not: OpenCV could not change it in place.
        crops.append((np.ascontiguousarray(crop.image), box))
    if train:
        crops = [_augment_crop(*crop, pairs, hide, rng) for crop, hide in zip(crops, (False, True), strict=True)]
    (template, template_box), (search, search_box) = crops
    boxes_in_crops = {"template_box": template_box.astype(np.float32), "search_box": search_box.astype(np.float32)}
    return Example(template=template, search=search, **boxes_in_crops)


def grayscale(image: Image) -> Image:
    """Turn an RGB image to OpenCV's gray, in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def flip_box(box_xywh: Box, width: int) -> Box:
    """Mirror a box with its frame of that width, left to right, by the release's rule.

    x becomes W - 1 - x - w, one pixel left of the true mirror of an exclusive box; the networks have learned
    with it.
    """
    x, y, w, h = box_xywh
    return np.array([width - 1 - x - w, y, w, h])


def flip_crop(crop: CropImage, box_xywh: Box) -> tuple[CropImage, Box]:
    """Mirror a crop left to right, in place, and its box in fractions: x becomes 1 - x - w."""
    x, y, w, h = box_xywh
    return cv2.flip(crop, 1, dst=crop), np.array([1 - x - w, y, w, h])


def scale_brightness(image: Image, factor: float) -> Image:
    """Multiply an image by ``factor``, rounded and clipped, in place: it stays in the processor's cache.

    The release multiplies in floating point and clips to 0..1; rounding to uint8 moves a value by at most half
    a level (0.002 of that range).

    Args:
      image: uint8.
      factor: 0 or more.
    """
    return cv2.convertScaleAbs(image, dst=image, alpha=factor)


def _augment_crop(
    crop: CropImage, box_xywh: Box, config: PairConfig, hide: bool, rng: np.random.Generator
) -> tuple[CropImage, Box]:
    """Augment one crop by the enabled parts of `distort`, brightness, flip. The box is in fractions."""
    crop = distort(crop, box_xywh, config, hide, rng)
    crop = scale_brightness(crop, rng.uniform(max(0.0, 1 - config.brightness), 1 + config.brightness))
    return flip_crop(crop, box_xywh) if rng.random() < config.flip else (crop, box_xywh)
