"""Schedules, the two learning rates, decay and clipping."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from ostrack_jax import config as configs
from ostrack_jax.models.elimination import kept_counts
from ostrack_jax.training.optimizer import optimizer
from ostrack_jax.training.schedule import Kept, keep_ratio, kept_in_epoch, learning_rate, peak_rate


@pytest.fixture(scope="module")
def published():
    return configs.load("vitb_256_mae_ce_32x4_ep300")


def test_keep_ratio_by_epoch(published, golden):
    reference = golden("preprocess")["keep_ratio_by_epoch_20_100"]
    ours = [keep_ratio(published.train, 0.7, epoch) for epoch in range(301)]
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-12)


def test_kept_tokens_by_epoch(published):
    assert kept_in_epoch(published, 1) == Kept((256, 256, 256), None)
    assert kept_in_epoch(published, 300) == Kept((180, 126, 89), None)
    between = kept_in_epoch(published, 60)
    assert between == Kept((218, 186, 159), kept_counts((0.85,) * 3, 256))  # half way down


def test_sizes_of_compiled_steps(published):
    """At most 8 in the whole run, none smaller than what counts, few surplus tokens."""
    kept = [kept_in_epoch(published, epoch) for epoch in range(1, 301)]
    assert len({(k.sizes, k.valid is None) for k in kept}) == 8
    for epoch, k in enumerate(kept, 1):
        assert k.exact == kept_counts((keep_ratio(published.train, 0.7, epoch),) * 3, 256)
        assert all(size >= count for size, count in zip(k.sizes, k.exact, strict=True))
        assert k.sizes[0] - k.exact[0] <= 14


def test_rates_of_the_published_schedule(published):
    rate = learning_rate(published)
    assert [float(rate(step)) for step in (0, 239 * 468 + 467)] == [pytest.approx(4e-4)] * 2
    assert float(rate(240 * 468)) == pytest.approx(4e-5)


def test_rates_follow_the_global_batch(published):
    assert peak_rate(dataclasses.replace(published.train, batch=32)) == pytest.approx(1e-4)
    assert peak_rate(dataclasses.replace(published.train, batch=32, lr_batch=0)) == pytest.approx(4e-4)


def test_cosine_with_warm_up():
    config = configs.load(
        "tiny", ["train.epochs=2", "train.pairs_per_epoch=320", "train.warmup_epochs=0.5", "train.batch=32"]
    )
    rate = learning_rate(config)
    rates = [float(rate(step)) for step in range(20)]
    assert rates[0] == pytest.approx(config.train.lr / 5)
    assert rates[4] == pytest.approx(config.train.lr)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert float(rate(20)) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_first_update_against_numpy(published):
    """Adam's first update is the sign of the gradient; decay is added before the rate, the backbone's is a tenth."""
    params = {"backbone.norm.bias": jnp.array([1.0, -2.0]), "head.score.final.bias": jnp.array([3.0])}
    gradient = {"backbone.norm.bias": jnp.array([3.0, 0.0]), "head.score.final.bias": jnp.array([-4.0])}
    rule = optimizer(published)
    updates, _ = rule.update(gradient, rule.init(params), params)
    rate, decay = 4e-4, 1e-4
    np.testing.assert_allclose(
        updates["backbone.norm.bias"], -0.1 * rate * np.array([1 + decay, -2 * decay]), rtol=1e-4
    )
    np.testing.assert_allclose(updates["head.score.final.bias"], [-rate * (-1 + 3 * decay)], rtol=1e-4)


@pytest.mark.slow
def test_gradients_are_clipped_to_the_global_norm(published):
    rule = optimizer(published)
    params = {"backbone.a": jnp.zeros(2), "head.b": jnp.zeros(1)}
    gradient = {"backbone.a": jnp.array([3.0, 0.0]), "head.b": jnp.array([4.0])}
    _, state = rule.update(gradient, rule.init(params), params)
    np.testing.assert_allclose(state[1].mu["head.b"], 0.1 * 0.1 * 4 / 5, rtol=1e-5)
