"""Square crops: parity with the release, oddities included, and the ways to and from a crop."""

from __future__ import annotations

import tracemalloc

import cv2
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostrack_jax.errors import UserError
from ostrack_jax.geometry.boxes import xywh_to_cxcywh
from ostrack_jax.geometry.crops import box_to_crop, crop_side, crop_to_frame, square_crop

FACTORS = {128: 2, 256: 4, 192: 2, 384: 5}


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", FACTORS)
def test_crops_are_the_published_ones(golden, size):
    reference = golden("preprocess")
    for expected, index in zip(reference[f"crop_{size}"], reference[f"crop_{size}_index"], strict=True):
        crop = square_crop(reference["image"], reference["box"][index], FACTORS[size], size)
        difference = np.abs(crop.image.astype(int) - expected)
        assert difference.max() <= 1, index
        assert (difference > 0).mean() <= 0.001, index
    factors = [size / crop_side(box, FACTORS[size]) for box in reference["box"]]
    np.testing.assert_allclose(factors, reference[f"resize_factor_{size}"], rtol=1e-12)


def _naive(image: np.ndarray, box: np.ndarray, factor: float, size: int) -> np.ndarray:
    """The square laid out pixel by pixel; the last row and column are lost when the square reaches them."""
    side = crop_side(box, factor)
    x1, y1 = (round(box[i] + box[i + 2] / 2 - side / 2) for i in (0, 1))
    height, width = image.shape[:2]
    xs, ys = np.arange(x1, x1 + side), np.arange(y1, y1 + side)
    keep_x = (xs >= 0) & (xs < (width - 1 if x1 + side >= width else width))
    keep_y = (ys >= 0) & (ys < (height - 1 if y1 + side >= height else height))
    square = image[ys.clip(0, height - 1)][:, xs.clip(0, width - 1)] * (keep_y[:, None] & keep_x)[..., None]
    return cv2.resize(square.astype(np.uint8), (size, size))


@settings(deadline=None)
@given(
    box=st.tuples(st.floats(-60, 100), st.floats(-60, 100), st.floats(0.3, 50), st.floats(0.3, 50)).map(np.array),
    factor=st.sampled_from([2.0, 4.0, 5.0]),
)
def test_any_crop_is_the_square_laid_out(box, factor):
    image = _noise(48, 64)
    crop = square_crop(image, box, factor, 32)
    np.testing.assert_array_equal(crop.image, _naive(image, box, factor, 32))
    assert crop.resize_factor * crop.side == pytest.approx(32)
    assert crop.image.any() or crop.is_padding()


@pytest.mark.parametrize("view", [np.s_[:, ::-1], np.s_[::-1], np.s_[..., ::-1], np.s_[::2, ::2]])
def test_views_are_cropped_as_their_copies(view):
    image = _noise(60, 80)[view]
    box = np.array([3.0, 5.0, 20.0, 12.0])
    np.testing.assert_array_equal(
        square_crop(image, box, 4, 32).image, square_crop(np.ascontiguousarray(image), box, 4, 32).image
    )


@pytest.mark.parametrize("xy", [(-500, 10), (500, 10), (10, -500), (10, 500), (63, 10), (1e7, -1e7)])
def test_a_crop_outside_the_frame_is_black(xy):
    crop = square_crop(_noise(48, 64), np.array([*xy, 6.0, 6.0]), 1, 32)
    assert not crop.image.any()
    assert crop.is_padding()
    assert crop.resize_factor == 32 / 6


def test_the_last_column_and_row_are_lost_where_the_crop_reaches_them():
    image = np.full((40, 40, 3), 200, np.uint8)
    to_the_edge = square_crop(image, np.array([30.0, 30.0, 10.0, 10.0]), 1, 10).image
    one_pixel_before = square_crop(image, np.array([29.0, 29.0, 10.0, 10.0]), 1, 10).image
    assert not to_the_edge[-1].any()
    assert not to_the_edge[:, -1].any()
    assert (one_pixel_before == 200).all()


@pytest.mark.parametrize(
    "box", [[0, 0, 0, 9], [0, 0, 0, 0], [1, 1, -4, 4], [1, 1, -4, -4], [np.nan, 1, 4, 4], [np.inf, 1, 4, 4]]
)
def test_impossible_boxes_are_reported(box):
    with pytest.raises(UserError, match=r"no crop around the box .* \(x,y,w,h\)"):
        square_crop(_noise(20, 20), np.array(box, float), 2, 16)


def test_a_box_under_a_pixel_gives_a_crop():
    assert crop_side(np.array([5.0, 5.0, 0.1, 0.1]), 2) == 1
    image = _noise(20, 20)
    crop = square_crop(image, np.array([5.0, 5.0, 0.1, 0.1]), 2, 16)
    assert (crop.image == image[5, 5]).all() or (crop.image == image[4, 4]).all()


@pytest.mark.slow
@pytest.mark.parametrize("box", [[-2000, -1500, 3000, 3200], [-900.5, -700, 2100, 2300], [10, 20, 3000, 3000]])
def test_a_large_crop_is_sampled_as_it_would_be_laid_out(box):
    image = cv2.GaussianBlur(_noise(400, 600), (0, 0), 3)
    box = np.array(box, float)
    crop = square_crop(image, box, 2, 256)
    assert crop.side > 4096
    np.testing.assert_allclose(crop.image.astype(int), _naive(image, box, 2, 256).astype(int), atol=1)
    assert crop.image.any()


@pytest.mark.parametrize("extent", [1e6, 1e12, 1e100])
def test_a_huge_box_takes_no_huge_memory(extent):
    image = np.full((300, 400, 3), 99, np.uint8)
    tracemalloc.start()
    crop = square_crop(image, np.array([200 - extent / 2, 150 - extent / 2, extent, extent]), 4, 128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25
    assert not crop.image.any()  # the whole frame lies between two samples
    assert crop.is_padding()


def test_padding_is_reported_as_the_release_tells_it():
    """Its rule: a mask of ones with zeros over the frame, resized; whatever is not zero is padding."""
    rng = np.random.default_rng(3)
    image = _noise(48, 64)
    found = []
    for _ in range(300):
        box = np.array([*rng.uniform(-40, 90, 2), *rng.uniform(1, 40, 2)])
        crop = square_crop(image, box, 2, 64)
        left, top, right, bottom = np.clip(crop.inside_xyxy, 0, crop.side)
        mask = np.ones((crop.side, crop.side))
        mask[top:bottom, left:right] = 0
        padded = cv2.resize(mask, (64, 64)).astype(bool)
        assert crop.is_padding() == padded.all()
        assert crop.is_padding(16) == padded[::16, ::16].all()
        found += [crop.is_padding(), crop.is_padding(16)]
    assert 0 < sum(found) < len(found)


def test_boxes_in_a_crop_are_the_published_ones(golden):
    reference = golden("preprocess")
    boxes, around = reference["box_in_crop_gt"], reference["box_in_crop_around"]
    factors = np.array([256 / crop_side(box, 4) for box in around])
    np.testing.assert_allclose(box_to_crop(boxes, around, factors, 256), reference["box_in_crop_256"], atol=2e-7)
    one = box_to_crop(boxes[1], around[1], float(factors[1]), 256)
    np.testing.assert_allclose(one, reference["box_in_crop_256"][1], atol=2e-7)


finite = st.floats(-500, 500)
extent = st.floats(1, 300)
some_box = st.tuples(finite, finite, extent, extent).map(lambda v: np.array(v, np.float64))


@settings(deadline=None)
@given(box=some_box, around=some_box, factor=st.floats(0.05, 20))
def test_there_and_back_differ_by_half_a_pixel_of_the_crop(box, around, factor):
    """The training's "-1" is missing on the way back, so the box comes back half a crop pixel up and left."""
    there = box_to_crop(box, around, factor, 256)
    back = crop_to_frame(xywh_to_cxcywh(there), around, factor, 256)
    np.testing.assert_allclose(back[:2] + 0.5 / factor, box[:2], atol=1e-6)
    np.testing.assert_allclose(back[2:], box[2:], atol=1e-6)


def test_the_crop_centre_is_the_last_centre():
    around = np.array([10.3, 20.7, 33.0, 44.0])
    box = crop_to_frame(np.array([0.5, 0.5, 0.25, 0.125]), around, 2.0, 256)
    np.testing.assert_allclose(xywh_to_cxcywh(box), [26.8, 42.7, 32, 16])


@pytest.mark.parametrize("function", [box_to_crop, crop_to_frame])
def test_numpy_and_jax_agree_under_jit(function):
    rng = np.random.default_rng(4)
    a, b = rng.uniform(0, 50, (2, 16, 4)).astype(np.float32)
    factor = rng.uniform(0.5, 2, 16).astype(np.float32)
    expected = function(a, b, factor, 256)
    found = jax.jit(function, static_argnums=3)(a, b, factor, 256)
    assert isinstance(expected, np.ndarray)
    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-4)
