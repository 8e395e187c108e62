"""The step on small networks: BatchNorm's groups and buffers, what it changes and what it leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax.config import Config
from ostrack_jax.models.head import BatchNorm
from ostrack_jax.training.sharding import make_mesh, place
from ostrack_jax.training.step import State, init_state, make_step, make_validation, weights_of

pytestmark = pytest.mark.usefixtures("quickly_compiled")


class Training(NamedTuple):
    """A step and a validation of a config, and the state that it begins with."""

    config: Config
    step: Callable[..., Any]
    validate: Callable[..., Any]
    start: Callable[[], State]
    place: Callable[[Any], Any]


@pytest.fixture(scope="module")
def training(small_config, small_weights):
    """``training(drop_path=0.5, ema=0.5)``: of a batch of four, with changes to the model's and the train settings."""

    def make(remat: bool = False, drop_path: float = 0.0, **changes):
        model = dataclasses.replace(small_config.model, remat=remat, drop_path=drop_path)
        train = dataclasses.replace(small_config.train, batch=4, warmup_epochs=0.0, **changes)
        config = dataclasses.replace(small_config, model=model, train=train)
        mesh = make_mesh(config)
        start = lambda: init_state(config, small_weights, mesh)  # noqa: E731
        return Training(config, make_step(config, mesh), make_validation(config), start, lambda b: place(b, mesh))

    return make


@pytest.fixture(scope="module")
def averaging(training):
    """What several tests share, compiled once: with a moving average."""
    return training(ema=0.5)


def test_batch_norm_groups_and_buffers():
    """Each group by its own statistics; the buffers follow the first group, with the unbiased variance."""
    norm = BatchNorm(3, nnx.Rngs(0))
    x = np.random.default_rng(0).normal(2, 3, (8, 4, 4, 3)).astype(np.float32)
    out = np.asarray(norm(jnp.asarray(x), 4))
    for half in (slice(0, 4), slice(4, 8)):
        mean, var = x[half].mean((0, 1, 2)), x[half].var((0, 1, 2))
        np.testing.assert_allclose(out[half], (x[half] - mean) / np.sqrt(var + 1e-5), atol=1e-4)
    np.testing.assert_allclose(norm.mean[...], 0.1 * x[:4].mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * x[:4].var((0, 1, 2)) * 64 / 63, rtol=1e-4)
    assert int(norm.count[...]) == 1


def _batch(config, seed=0):
    rng, b, model = np.random.default_rng(seed), config.train.batch, config.model
    images = {
        n: rng.integers(0, 256, (b, s, s, 3), np.uint8)
        for n, s in (("template", model.template_size), ("search", model.search_size))
    }
    box = np.tile(np.float32([[0.3, 0.35, 0.4, 0.3]]), (b, 1))
    return images | {"template_box": box, "search_box": box}


@pytest.mark.slow
def test_the_loss_falls_on_one_batch_and_only_parameters_change(averaging):
    batch, state = averaging.place(_batch(averaging.config)), averaging.start()
    carried = np.asarray(state.buffers["backbone.pos_embed"]).copy()
    before = float(averaging.validate(state, batch, kept=(45,))["loss"])
    for _ in range(30):
        state, numbers = averaging.step(state, batch, kept=(45,))
    assert float(numbers["loss"]) < 0.75 * before
    assert int(state.step) == 30
    np.testing.assert_array_equal(state.buffers["backbone.pos_embed"], carried)
    assert averaging.step._cache_size() == 1


@pytest.mark.slow
def test_the_moving_average_follows_the_parameters_and_is_what_is_validated(averaging, small_weights):
    name = "backbone.norm.bias"
    batch, state = averaging.place(_batch(averaging.config)), averaging.start()
    average = small_weights[name]
    for i in range(3):
        state, _ = averaging.step(state, batch, kept=(45,))
        decay = min(0.5, (1 + i) / (10 + i))
        average = decay * average + (1 - decay) * np.asarray(state.params[name])
    np.testing.assert_allclose(state.ema[name], average, rtol=1e-5, atol=1e-8)
    assert weights_of(state)[name] is state.ema[name]
    with_average = float(averaging.validate(state, batch, kept=(45,))["loss"])
    by_parameters = averaging.validate(state._replace(ema=dict(state.params)), batch, kept=(45,))
    assert with_average != float(by_parameters["loss"])


@pytest.mark.slow
def test_computing_again_gives_the_same_gradients(averaging, training):
    norms = []
    for one in (averaging, training(remat=True, ema=0.5)):
        _, numbers = one.step(one.start(), one.place(_batch(one.config)), kept=(45,))
        norms.append((float(numbers["loss"]), float(numbers["grad_norm"])))
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-5)


@pytest.mark.slow
def test_stochastic_depth_is_another_each_step_and_repeats_with_the_seed(training):
    dropping = training(drop_path=0.5, lr=1e-12)
    batch = dropping.place(_batch(dropping.config))

    def two_steps():
        state, first = dropping.step(dropping.start(), batch, kept=(45,))
        return float(first["loss"]), float(dropping.step(state, batch, kept=(45,))[1]["loss"])

    first, second = two_steps()
    assert first != second
    assert two_steps() == (first, second)


@pytest.mark.slow
def test_a_step_that_is_not_finite_changes_nothing_nor_do_those_after_it(training, small_weights):
    """By a loss that is not a number; and by one so heavy that it is finite but its gradient's norm overflows."""
    heavy = training(l1_weight=1e30)
    good = _batch(heavy.config)
    bad = {name: value.copy() for name, value in good.items()}
    bad["search_box"][2, 1] = np.nan
    for first, finite in ((bad, False), (good, True)):
        state, numbers = heavy.step(heavy.start(), heavy.place(first), kept=(45,))
        assert not bool(numbers["finite"])
        assert np.isfinite(numbers["loss"]) == finite
        for _ in range(2):
            assert not bool(state.finite)
            assert int(state.step) == 0
            for name, value in (state.params | state.buffers).items():
                np.testing.assert_array_equal(value, small_weights[name])
            assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(state.moments))
            state, numbers = heavy.step(state, heavy.place(good), kept=(45,))
            assert not bool(numbers["finite"])


@pytest.mark.slow
def test_what_is_frozen_stays_with_its_statistics_and_has_no_moments(training, small_weights):
    freeze = ("backbone.patch_embed", "backbone.blocks.0.", "head.")
    frozen = training(freeze=freeze)
    state, batch = frozen.start(), frozen.place(_batch(frozen.config))
    assert not any(name.startswith(freeze) for name in state.params)
    by_running_buffers = float(frozen.validate(state, batch, kept=(45,))["loss"])
    state, numbers = frozen.step(state, batch, kept=(45,))
    np.testing.assert_allclose(float(numbers["loss"]), by_running_buffers, rtol=1e-5)
    for name, before in small_weights.items():
        if name.startswith(freeze):
            np.testing.assert_array_equal(state.buffers[name], before)
    moved = state.params["backbone.blocks.1.mlp.fc1.kernel"]
    assert np.abs(np.asarray(moved) - small_weights["backbone.blocks.1.mlp.fc1.kernel"]).max() > 0
