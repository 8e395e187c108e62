"""Targets: the Gaussian's rules, and that encoding is decoding's inverse."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostrack_jax.geometry.boxes import xywh_to_cxcywh
from ostrack_jax.models.head import decode
from ostrack_jax.training.targets import gaussian_radius, score_target


def encode(box_cxcywh, side):
    """Score, size and offset maps from which `decode` reads the boxes back (centres inside the map)."""
    b = box_cxcywh.shape[0]
    at = box_cxcywh[:, :2] * side
    cell = jnp.clip(jnp.round(at), 0, side - 1)
    score = score_target(jnp.concatenate([cell / side, box_cxcywh[:, 2:]], axis=1), side)
    spread = (b, side, side, 2)
    size_map = jnp.broadcast_to(box_cxcywh[:, None, None, 2:], spread)
    return score, size_map, jnp.broadcast_to((at - cell)[:, None, None], spread)


@pytest.mark.slow
def test_targets_equal_the_release(golden):
    reference = golden("train_256")
    ours = score_target(xywh_to_cxcywh(jnp.asarray(reference["search_box"])), 16)
    np.testing.assert_allclose(ours, reference["heatmap"], rtol=0, atol=1e-6)


unit = st.floats(0.0625, 0.9375, width=32)


@pytest.mark.slow
@settings(max_examples=25)
@given(unit, unit, st.floats(0.015625, 1, width=32), st.floats(0.015625, 1, width=32))
def test_encode_then_decode(cx, cy, w, h):
    box = np.array([[cx, cy, w, h]], np.float32)
    score, size, offset = encode(jnp.asarray(box), 16)
    boxes, _ = decode(score, size, offset)
    np.testing.assert_allclose(boxes, box, atol=1e-6)


def test_the_radius_is_the_least_root_and_whole():
    w, h, m = 5.3, 2.2, 0.7
    roots = [
        (b + (b * b - 4 * a * c) ** 0.5) / 2
        for a, b, c in (
            (1, h + w, w * h * (1 - m) / (1 + m)),
            (4, 2 * (h + w), (1 - m) * w * h),
            (4 * m, -2 * m * (h + w), (m - 1) * w * h),
        )
    ]
    assert gaussian_radius(jnp.array([[w, h]]))[0] == max(int(min(roots)), 0)
    assert gaussian_radius(jnp.array([[0.1, 0.1]]))[0] == 0


@pytest.mark.parametrize(("centre", "cell"), [(0.5 / 16, 0), (1.5 / 16, 2), (2.5 / 16, 2)])
def test_cells_round_half_to_even(centre, cell):
    target = np.asarray(score_target(jnp.array([[centre, 0.5, 0.1, 0.1]]), 16))[0]
    assert np.argwhere(target == 1).tolist() == [[8, cell]]


def test_a_centre_at_the_border_leaves_no_positive():
    assert not (np.asarray(score_target(jnp.array([[0.99, 0.5, 0.3, 0.3]]), 16)) == 1).any()


def test_the_radius_of_boxes_of_many_sizes():
    w, h = np.meshgrid(np.arange(0.5, 40, 1.7), np.arange(0.5, 40, 2.3))
    w, h = w.ravel(), h.ravel()
    # CornerNet's three cases: one corner in and one out, both in, both out; the root as the release takes it.
    cases = [
        (1.0, w + h, w * h * 0.3 / 1.7),
        (4.0, 2 * (w + h), 0.3 * w * h),
        (2.8, -1.4 * (w + h), -0.3 * w * h),
    ]
    expected = np.min([(b + np.sqrt(b**2 - 4 * a * c)) / 2 for a, b, c in cases], axis=0)
    clear = np.abs(expected - np.round(expected)) > 1e-3
    assert clear.sum() > 350
    found = np.asarray(gaussian_radius(jnp.asarray(np.stack([w, h], axis=1)[clear], jnp.float32)))
    np.testing.assert_array_equal(found, np.trunc(expected[clear]))
