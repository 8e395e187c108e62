"""Losses against numpy, in groups, and without a positive."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ostrack_jax.config import TrainConfig
from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.training.losses import focal, losses


def _maps(seed=0):
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.01, 0.99, (4, 8, 8)).astype(np.float32)
    target = np.round(rng.uniform(0, 0.9, (4, 8, 8)), 2).astype(np.float32)
    target[0, 1, 2] = target[1, 3, 3] = target[1, 5, 5] = target[2, 0, 0] = 1
    return score, target


def _focal(score, target):
    positive = target == 1
    gain = np.log(score) * (1 - score) ** 2 * positive
    other = np.log(1 - score) * score**2 * (1 - target) ** 4 * ~positive
    return -(gain.sum() + other.sum()) / max(positive.sum(), 1)


@pytest.mark.slow
def test_focal_by_group():
    score, target = _maps()
    whole = focal(jnp.asarray(score), jnp.asarray(target), 4)
    np.testing.assert_allclose(whole, [_focal(score, target)], rtol=1e-5)
    halves = focal(jnp.asarray(score), jnp.asarray(target), 2)
    np.testing.assert_allclose(halves, [_focal(score[:2], target[:2]), _focal(score[2:], target[2:])], rtol=1e-5)


def test_focal_without_a_positive_is_not_divided():
    score, target = _maps()
    target[target == 1] = 0.5
    np.testing.assert_allclose(focal(jnp.asarray(score), jnp.asarray(target), 4), [_focal(score, target)], rtol=1e-5)


def _prediction(boxes):
    maps = jnp.full((len(boxes), 8, 8), 0.5)
    return Prediction(maps, maps[..., None], maps[..., None], jnp.asarray(boxes), jnp.ones(len(boxes)))


@pytest.mark.slow
def test_a_perfect_box_costs_nothing_and_truth_is_clipped():
    config = TrainConfig()
    exact = losses(_prediction([[0.5, 0.5, 0.5, 0.25]]), jnp.array([[0.25, 0.375, 0.5, 0.25]]), config, 1)
    np.testing.assert_allclose([exact.giou, exact.l1, exact.iou], [0, 0, 1], atol=1e-6)
    clipped = losses(_prediction([[0.25, 0.5, 0.5, 0.25]]), jnp.array([[-0.5, 0.375, 1.0, 0.25]]), config, 1)
    np.testing.assert_allclose([clipped.giou, clipped.l1, clipped.iou], [0, 0, 1], atol=1e-6)


@pytest.mark.slow
def test_the_total_is_the_weighted_sum():
    config = TrainConfig(giou_weight=3.0, l1_weight=7.0, focal_weight=0.5)
    out = losses(_prediction([[0.4, 0.5, 0.3, 0.25]]), jnp.array([[0.25, 0.375, 0.5, 0.25]]), config, 1)
    np.testing.assert_allclose(out.loss, 3 * out.giou + 7 * out.l1 + 0.5 * out.focal, rtol=1e-6)


@pytest.mark.slow
def test_gradients_are_finite_for_boxes_apart_and_empty():
    def total(boxes):
        return losses(
            _prediction(boxes), jnp.array([[0.7, 0.7, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0]]), TrainConfig(), 2
        ).loss

    gradient = jax.grad(total)(jnp.array([[0.1, 0.1, 0.05, 0.05], [0.0, 0.0, 0.0, 0.0]]))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0]).sum() > 0
