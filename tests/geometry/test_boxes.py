"""Boxes: forms, overlap and clipping, in numpy and jax alike."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostrack_jax.geometry import boxes as bx

coordinate = st.floats(-1000, 1000)
side = st.floats(0, 1000)
box_xywh = st.tuples(coordinate, coordinate, side, side).map(lambda v: np.array(v, np.float64))

ROUND_TRIPS = [
    (bx.xywh_to_xyxy, bx.xyxy_to_xywh),
    (bx.xywh_to_cxcywh, bx.cxcywh_to_xywh),
    (lambda b: bx.xywh_to_cxcywh(bx.xyxy_to_xywh(b)), bx.cxcywh_to_xyxy),
    (lambda b: bx.xywh_to_xyxy(bx.cxcywh_to_xywh(b)), bx.xyxy_to_cxcywh),
]


@pytest.mark.parametrize(("there", "back"), ROUND_TRIPS)
@settings(deadline=None)
@given(box=box_xywh)
def test_forms_round_trip(there, back, box):
    np.testing.assert_allclose(back(there(box)), box, atol=1e-9)


def test_forms_by_hand():
    box = np.array([[10.0, 20.0, 4.0, 6.0]])
    np.testing.assert_array_equal(bx.xywh_to_xyxy(box), [[10, 20, 14, 26]])
    np.testing.assert_array_equal(bx.xywh_to_cxcywh(box), [[12, 23, 4, 6]])
    np.testing.assert_array_equal(bx.cxcywh_to_xyxy(box), [[8, 17, 12, 23]])


def _iou_by_counting(a: np.ndarray, b: np.ndarray) -> float:
    grid = np.zeros((2, 40, 40), bool)
    for mask, (x1, y1, x2, y2) in zip(grid, (a, b), strict=True):
        mask[y1:y2, x1:x2] = True
    union = (grid[0] | grid[1]).sum()
    return (grid[0] & grid[1]).sum() / union if union else 0.0


def _hull_by_counting(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.prod(np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2])))


def test_iou_and_giou_agree_with_counting_pixels():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 40, (200, 2, 2, 2)), axis=2)  # pair, box, low/high, xy
    for pair in corners.reshape(200, 2, 4):
        a, b = pair
        expected = _iou_by_counting(a, b)
        fa, fb = a.astype(float), b.astype(float)
        assert bx.iou(fa, fb) == pytest.approx(expected, abs=1e-12)
        hull = _hull_by_counting(a, b)
        if hull > 0:
            union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])
            union -= expected * union / (1 + expected)
            assert bx.giou(fa, fb) == pytest.approx(expected - (hull - union) / hull, abs=1e-9)


@settings(deadline=None)
@given(a=box_xywh, b=box_xywh)
def test_overlaps_are_symmetric_and_bounded(a, b):
    a, b = bx.xywh_to_xyxy(a), bx.xywh_to_xyxy(b)
    iou, giou = bx.iou(a, b), bx.giou(a, b)
    assert 0 <= iou <= 1 + 1e-9
    assert -1 - 1e-9 <= giou <= iou + 1e-9
    np.testing.assert_allclose(iou, bx.iou(b, a), atol=1e-12)
    np.testing.assert_allclose(giou, bx.giou(b, a), atol=1e-12)


@settings(deadline=None)
@given(box=st.tuples(coordinate, coordinate, st.floats(1, 1000), st.floats(1, 1000)).map(np.array))
def test_a_box_overlaps_itself_wholly(box):
    box = bx.xywh_to_xyxy(box)
    np.testing.assert_allclose([bx.iou(box, box), bx.giou(box, box)], 1, atol=1e-12)


def test_overlaps_broadcast():
    a = bx.xywh_to_xyxy(np.random.default_rng(0).uniform(0, 9, (5, 1, 4)))
    b = bx.xywh_to_xyxy(np.random.default_rng(1).uniform(0, 9, (3, 4)))
    assert bx.iou(a, b).shape == bx.giou(a, b).shape == (5, 3)
    assert bx.iou(a, b)[4, 2] == bx.iou(a[4, 0], b[2])


@pytest.mark.slow
def test_empty_boxes_give_zero_and_finite_gradients():
    point = np.array([3.0, 3.0, 3.0, 3.0])
    away = np.array([7.0, 8.0, 7.0, 8.0])
    assert bx.iou(point, point) == bx.giou(point, point) == bx.iou(point, away) == 0
    assert bx.giou(point, away) == -1
    tiny = jnp.array([0.0, 0.0, 1e-20, 1e-20])
    for overlap in (bx.iou, bx.giou):
        for box in (jnp.asarray(point), tiny):
            for other in (jnp.asarray(point), jnp.asarray(away), tiny):
                gradients = jax.grad(overlap, argnums=(0, 1))(box, other)
                assert all(bool(jnp.isfinite(g).all()) for g in gradients)


def test_clipping_is_the_published_one(golden):
    reference = golden("preprocess")
    height, width = reference["image"].shape[:2]
    clipped = bx.clip_xywh(reference["clip_in"], height, width, margin=10)
    np.testing.assert_allclose(clipped, reference["clip_out_margin10"], atol=1e-12)


@settings(deadline=None)
@given(box=box_xywh, height=st.integers(20, 500), width=st.integers(20, 500), margin=st.floats(0, 10))
def test_clipped_boxes_reach_into_the_frame(box, height, width, margin):
    x, y, w, h = bx.clip_xywh(box, height, width, margin)
    assert w >= margin
    assert h >= margin
    assert 0 <= x <= width - margin
    assert 0 <= y <= height - margin
    assert x + w <= width + 1e-9
    assert y + h <= height + 1e-9


def test_nan_stays_nan():
    nowhere = np.full(4, np.nan)
    assert np.isnan(bx.clip_xywh(nowhere, 10, 10)).all()
    assert np.isnan(bx.xywh_to_xyxy(nowhere)).all()


@pytest.mark.parametrize(
    "function",
    [
        bx.xywh_to_xyxy,
        bx.xyxy_to_xywh,
        bx.xywh_to_cxcywh,
        bx.cxcywh_to_xywh,
        bx.cxcywh_to_xyxy,
        bx.xyxy_to_cxcywh,
        lambda b: bx.iou(b, b[::-1]),
        lambda b: bx.giou(b, b[::-1]),
        lambda b: bx.clip_xywh(b, 30, 40, 5),
    ],
)
def test_numpy_and_jax_agree_under_jit(function):
    boxes = np.random.default_rng(2).uniform(0, 50, (64, 4)).astype(np.float32)
    expected, found = function(boxes), jax.jit(function)(boxes)
    assert isinstance(expected, np.ndarray)
    assert isinstance(found, jax.Array)
    assert expected.dtype == found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_clipping_takes_a_traced_frame_size():
    box = np.array([-5.0, 2.0, 30.0, 40.0], np.float32)
    clipped = jax.jit(bx.clip_xywh)(box, 20, 10, 1.0)
    np.testing.assert_array_equal(clipped, bx.clip_xywh(box, 20, 10, 1.0))
