"""The step on small networks: BatchNorm's groups and buffers, what it changes and what it leaves."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax.models.head import BatchNorm
from ostrack_jax.training.sharding import make_mesh, place
from ostrack_jax.training.step import init_state, make_step, make_validation, weights_of

pytestmark = pytest.mark.usefixtures("quickly_compiled")


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


def test_the_loss_falls_on_one_batch_and_only_parameters_change(small_config, small_weights):
    config = dataclasses.replace(
        small_config, train=dataclasses.replace(small_config.train, batch=4, warmup_epochs=0.0)
    )
    mesh, step, validate = make_mesh(config), make_step(config, make_mesh(config)), make_validation(config)
    batch = place(_batch(config), mesh)
    state = init_state(config, small_weights, mesh)
    carried = np.asarray(state.buffers["backbone.pos_embed"]).copy()
    before = float(validate(state, batch, kept=(45,))["loss"])
    for _ in range(30):
        state, numbers = step(state, batch, kept=(45,))
    assert float(numbers["loss"]) < 0.75 * before
    assert int(state.step) == 30
    np.testing.assert_array_equal(state.buffers["backbone.pos_embed"], carried)
    assert step._cache_size() == 1


def test_stochastic_depth_is_another_each_step_and_repeats_with_the_seed(small_config, small_weights):
    model = dataclasses.replace(small_config.model, drop_path=0.5)
    config = dataclasses.replace(
        small_config, model=model, train=dataclasses.replace(small_config.train, batch=4, lr=1e-12)
    )
    mesh, step = make_mesh(config), make_step(config, make_mesh(config))
    batch = place(_batch(config), mesh)

    def two_steps():
        state, first = step(init_state(config, small_weights, mesh), batch, kept=(45,))
        return float(first["loss"]), float(step(state, batch, kept=(45,))[1]["loss"])

    first, second = two_steps()
    assert first != second
    assert two_steps() == (first, second)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_changes_nothing_nor_do_those_after_it(small_config, small_weights, where):
    # So heavy a loss is finite itself, but its gradient's norm overflows.
    weight = 5.0 if where == "loss" else 1e30
    config = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, batch=4, l1_weight=weight))
    mesh, step = make_mesh(config), make_step(config, make_mesh(config))
    good = _batch(config)
    bad = {name: value.copy() for name, value in good.items()}
    if where == "loss":
        bad["search_box"][2, 1] = np.nan
    state, numbers = step(init_state(config, small_weights, mesh), place(bad, mesh), kept=(45,))
    assert not bool(numbers["finite"])
    assert np.isfinite(numbers["loss"]) == (where == "gradient")
    for _ in range(2):
        assert not bool(state.finite)
        assert int(state.step) == 0
        for name, value in (state.params | state.buffers).items():
            np.testing.assert_array_equal(value, small_weights[name])
        assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(state.moments))
        state, numbers = step(state, place(good, mesh), kept=(45,))
        assert not bool(numbers["finite"])


def test_what_is_frozen_stays_with_its_statistics_and_has_no_moments(small_config, small_weights):
    freeze = ("backbone.patch_embed", "backbone.blocks.0.", "head.")
    config = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, batch=4, freeze=freeze))
    mesh = make_mesh(config)
    state = init_state(config, small_weights, mesh)
    assert not any(name.startswith(freeze) for name in state.params)
    batch = place(_batch(config), mesh)
    by_running_buffers = float(make_validation(config)(state, batch, kept=(45,))["loss"])
    state, numbers = make_step(config, mesh)(state, batch, kept=(45,))
    np.testing.assert_allclose(float(numbers["loss"]), by_running_buffers, rtol=1e-5)
    for name, before in small_weights.items():
        if name.startswith(freeze):
            np.testing.assert_array_equal(state.buffers[name], before)
    moved = state.params["backbone.blocks.1.mlp.fc1.kernel"]
    assert np.abs(np.asarray(moved) - small_weights["backbone.blocks.1.mlp.fc1.kernel"]).max() > 0


def test_the_moving_average_follows_the_parameters_and_is_what_is_validated(small_config, small_weights):
    config = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, batch=4, ema=0.5))
    mesh, name = make_mesh(config), "backbone.norm.bias"
    step, validate = make_step(config, mesh), make_validation(config)
    batch, state = place(_batch(config), mesh), init_state(config, small_weights, mesh)
    average = small_weights[name]
    for i in range(3):
        state, _ = step(state, batch, kept=(45,))
        decay = min(0.5, (1 + i) / (10 + i))
        average = decay * average + (1 - decay) * np.asarray(state.params[name])
    np.testing.assert_allclose(state.ema[name], average, rtol=1e-5, atol=1e-8)
    assert weights_of(state)[name] is state.ema[name]
    with_average = float(validate(state, batch, kept=(45,))["loss"])
    assert with_average != float(validate(state._replace(ema={}), batch, kept=(45,))["loss"])


def test_computing_again_gives_the_same_gradients(small_config, small_weights):
    config = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, batch=4))
    again = dataclasses.replace(config, model=dataclasses.replace(config.model, remat=True))
    norms = []
    for c in (config, again):
        mesh = make_mesh(c)
        _, numbers = make_step(c, mesh)(init_state(c, small_weights, mesh), place(_batch(c), mesh), kept=(45,))
        norms.append((float(numbers["loss"]), float(numbers["grad_norm"])))
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-5)
