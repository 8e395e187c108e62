"""From a pair of frames to the network's input. Enters: `Pair` and a random generator. Leaves: `Example`.

The published order: grayscale and flip of both whole frames together; crops, the search region's around a
jittered box; then, each crop for itself, brightness and a second flip. Images stay uint8; they are normalised
on the device.
"""

from __future__ import annotations

import dataclasses
from typing import TypedDict

import cv2
import numpy as np
from jaxtyping import Float32, Real, UInt8

from ostrack_jax.config import ModelConfig, PairConfig
from ostrack_jax.errors import UserError
from ostrack_jax.geometry.crops import box_to_crop, square_crop
from ostrack_jax.pipeline.distort import distort
from ostrack_jax.pipeline.pairs import Pair, UnusablePairError, jitter_box

Image = UInt8[np.ndarray, "h w 3"]
CropImage = UInt8[np.ndarray, "s s 3"]
Box = Real[np.ndarray, " 4"]


class Example(TypedDict):
    """One training pair, cropped: RGB crops; boxes as left, top, width, height in fractions of their crop."""

    template: UInt8[np.ndarray, "z z 3"]
    search: UInt8[np.ndarray, "x x 3"]
    template_box: Float32[np.ndarray, " 4"]
    search_box: Float32[np.ndarray, " 4"]


def make_example(pair: Pair, pairs: PairConfig, model: ModelConfig, train: bool, rng: np.random.Generator) -> Example:
    """Augment and crop a pair by the published rules.

    Args:
      pair: what was drawn.
      pairs: jitters and probabilities.
      model: sizes and factors of the crops.
      train: False leaves out brightness and the second flip (the release's validation).
      rng: the only source of randomness.

    Raises:
      UnusablePairError: a box no crop can be made around (kind "box"), or a crop of nothing but padding
        (kind "padding").
    """
    pair = _share(pair, pairs, rng)
    of_template = model.template_factor, model.template_size, model.patch
    of_search = model.search_factor, model.search_size, model.patch
    around = jitter_box(pair.search_box_xywh, pairs.centre_jitter, pairs.scale_jitter, rng)
    template = _crop(pair.template_frame, pair.template_box_xywh, pair.template_box_xywh, *of_template)
    search = _crop(pair.search_frame, pair.search_box_xywh, around, *of_search)
    if train:
        template = _alone(*template, pairs, False, rng)
        search = _alone(*search, pairs, True, rng)
    return Example(
        template=template[0],
        search=search[0],
        template_box=template[1].astype(np.float32),
        search_box=search[1].astype(np.float32),
    )


def grayscale(image: Image) -> Image:
    """OpenCV's gray of an RGB image, in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def flip_frame(frame: Image, box_xywh: Box) -> tuple[Image, Box]:
    """A frame mirrored left to right, and its box in pixels by the release's rule.

    x becomes W - 1 - x - w, one pixel left of the true mirror of an exclusive box; the networks have learned
    with it.
    """
    x, y, w, h = box_xywh
    return cv2.flip(frame, 1), np.array([frame.shape[1] - 1 - x - w, y, w, h])


def flip_crop(crop: CropImage, box_xywh: Box) -> tuple[CropImage, Box]:
    """A crop mirrored left to right, and its box in fractions: x becomes 1 - x - w."""
    x, y, w, h = box_xywh
    return cv2.flip(crop, 1), np.array([1 - x - w, y, w, h])


def scale_brightness(image: Image, factor: float) -> Image:
    """The image times ``factor``, rounded and clipped.

    The release multiplies in floating point and clips to 0..1; rounding to uint8 moves a value by at most half
    a level (0.002 of that range).

    Args:
      image: uint8.
      factor: 0 or more.
    """
    return cv2.convertScaleAbs(image, alpha=factor)


def _share(pair: Pair, config: PairConfig, rng: np.random.Generator) -> Pair:
    """What befalls both frames alike: grayscale, flip."""
    gray, flip = rng.random() < config.grayscale, rng.random() < config.flip
    if not (gray or flip):
        return pair
    template, template_box = _share_one(pair.template_frame, pair.template_box_xywh, gray, flip)
    if pair.search_frame is pair.template_frame:
        search, search_box = template, template_box
    else:
        search, search_box = _share_one(pair.search_frame, pair.search_box_xywh, gray, flip)
    boxes = {"template_box_xywh": template_box, "search_box_xywh": search_box}
    return dataclasses.replace(pair, template_frame=template, search_frame=search, **boxes)


def _share_one(frame: Image, box_xywh: Box, gray: bool, flip: bool) -> tuple[Image, Box]:
    if gray:
        frame = grayscale(frame)
    return flip_frame(frame, box_xywh) if flip else (frame, box_xywh)


def _crop(frame: Image, box_xywh: Box, around_xywh: Box, factor: float, size: int, patch: int) -> tuple[CropImage, Box]:
    """The crop around ``around_xywh`` (pixels of the frame) and the target's box in it (fractions)."""
    try:
        crop = square_crop(frame, around_xywh, factor, size)
    except UserError as e:
        raise UnusablePairError("box", str(e)) from e
    if crop.is_padding(patch):
        raise UnusablePairError("padding", f"no frame within the crop around {np.round(around_xywh, 1)}")
    box = box_to_crop(np.asarray(box_xywh, np.float64), np.asarray(around_xywh, np.float64), crop.resize_factor, size)
    return crop.image, box


def _alone(
    crop: CropImage, box_xywh: Box, config: PairConfig, hide: bool, rng: np.random.Generator
) -> tuple[CropImage, Box]:
    """What befalls each crop for itself: what is switched on of `distort`, brightness, flip. The box in fractions."""
    crop = distort(crop, box_xywh, config, hide, rng)
    crop = scale_brightness(crop, rng.uniform(max(0.0, 1 - config.brightness), 1 + config.brightness))
    return flip_crop(crop, box_xywh) if rng.random() < config.flip else (crop, box_xywh)
