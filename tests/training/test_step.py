"""Three steps of the reference, BatchNorm's groups and buffers, and the mesh."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax.models.head import BatchNorm
from ostrack_jax.models.weights import from_flat, structure
from ostrack_jax.training.losses import losses
from ostrack_jax.training.mesh import make_mesh, place
from ostrack_jax.training.schedule import kept_at
from ostrack_jax.training.step import init_state, make_step, make_validation, weights_of

FIELDS = ("template", "search", "template_box", "search_box")


@pytest.mark.slow
def test_three_steps_equal_the_release(golden, standin):
    """Losses, gradient norms and BatchNorm buffers over three steps at three keep ratios, as a run computes them.

    That is with the counts rounded up, and the surplus tokens seen by none.
    """
    reference = golden("train_256")
    config, weights = standin(256)
    train = dataclasses.replace(config.train, batch=4, lr=4e-5, lr_batch=0, bn_group=0)
    config = dataclasses.replace(config, train=train, model=dataclasses.replace(config.model, drop_path=0.0))
    mesh, step = make_mesh(config), make_step(config, make_mesh(config))
    state = init_state(config, weights, mesh)
    batch = place({name: reference[name] for name in FIELDS}, mesh)
    _gradients_equal(config, state, batch, reference)
    for i, within in enumerate((2e-4, 5e-4, 1e-3)):
        kept = kept_at(config, min((float(reference["loss/keep_ratio"][i]) - 0.7) / 0.3, 1.0))
        assert (kept.valid is None) == (i == 0)
        valid = None if kept.valid is None else jnp.array(kept.valid)
        state, numbers = step(state, batch, valid, kept=kept.sizes)
        assert float(numbers["loss"]) == pytest.approx(reference["loss/total"][i], rel=within)
        for name in ("giou", "l1", "focal", "iou", "grad_norm"):
            assert float(numbers[name]) == pytest.approx(reference[f"loss/{name}"][i], rel=1e-3), name
    for i in range(4):
        for theirs, ours in (("running_mean", "mean"), ("running_var", "var")):
            buffer = state.buffers[f"head.score.norms.{i}.{ours}"]
            np.testing.assert_allclose(
                buffer, reference[f"after3/box_head.conv{i + 1}_ctr.1.{theirs}"], rtol=5e-4, atol=5e-4
            )
    assert int(state.buffers["head.size.norms.0.count"]) == 1003
    after = reference["after3/backbone.pos_embed_x"][0]
    np.testing.assert_allclose(state.params["backbone.pos_embed_search"][::8, ::16], after, atol=1e-5)


def _gradients_equal(config, state, batch, reference):
    """Every gradient norm of the first step, where above 1e-3, by the release's tensor names."""
    from convert.ostrack import to_release

    def total(params):
        model = nnx.merge(structure(config.model)[0], from_flat(config.model, params | state.buffers))
        out = model(batch["template"], batch["search"], kept_counts=(256,) * 3, bn_group=4)
        return losses(out, batch["search_box"], config.train, 4).loss

    gradient = jax.device_get(jax.jit(jax.grad(total))(state.params))
    named = to_release(gradient | jax.device_get(state.buffers), config)
    compared = 0
    for name, norm in zip(reference["grad_name"], reference["grad_norm"], strict=True):
        if math.isfinite(norm) and norm > 1e-3:
            assert np.linalg.norm(named[str(name)]) == pytest.approx(norm, rel=1e-3), name
            compared += 1
    assert compared > 150


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


def test_frozen_parameters_stay_and_have_no_moments(small_config, small_weights):
    freeze = ("backbone.patch_embed", "backbone.blocks.0.")
    config = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, batch=4, freeze=freeze))
    mesh = make_mesh(config)
    state = init_state(config, small_weights, mesh)
    assert not any(name.startswith(freeze) for name in state.params)
    state, _ = make_step(config, mesh)(state, place(_batch(config), mesh), kept=(45,))
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
