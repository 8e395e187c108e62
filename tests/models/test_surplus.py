"""Counts of kept tokens rounded up: the surplus changes neither outputs nor gradients."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax.models.attention import attend, attention_rows
from ostrack_jax.models.weights import from_flat, initial_weights, structure

EXACT, SIZES = (50, 41, 20), (64, 41, 33)  # of 8 x 8 search tokens: rounded up much, not at all, some


@pytest.fixture(scope="module", params=["ctr_point", "gt_box"])
def setting(request, small_config):
    fields = {"depth": 5, "eliminate_at": (1, 2, 4), "keep_ratio": (0.7,) * 3, "template_rows": request.param}
    model = dataclasses.replace(small_config.model, **fields)
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (3, s, s, 3), np.uint8) for s in (model.template_size, model.search_size)]
    box = np.float32([[0.2, 0.2, 0.6, 0.5], [0.4, 0.4, 0.2, 0.2], [0.1, 0.3, 0.5, 0.6]])
    return model, initial_weights(model, 0), tuple(map(jnp.asarray, (*crops, box)))


def evaluated(setting, sizes, valid, how):
    """``how`` (jitted) of a sum that every output enters, with the maps beside it, by the weights."""
    config, weights, inputs = setting
    graph = structure(config)[0]
    floats = {name: jnp.asarray(value) for name, value in weights.items()}

    def parts(of_floats, valid):
        model = nnx.merge(graph, from_flat(config, floats | of_floats))
        out = model(*inputs, kept_counts=sizes, valid_counts=valid, bn_group=3)
        maps = out.score_map, out.size_map, out.offset_map
        return sum((i + 1) * jnp.square(m - 0.1).sum() for i, m in enumerate(maps)), maps

    of_floats = {name: value for name, value in floats.items() if value.dtype == jnp.float32}
    return jax.jit(how(parts))(of_floats, None if valid is None else jnp.array(valid))


def gradient_of(total):
    return jax.grad(total, has_aux=True)


@pytest.fixture(scope="module")
def exact(setting):
    """Gradients and maps with the counts as published."""
    return evaluated(setting, EXACT, None, gradient_of)


def test_outputs_and_gradients_are_those_of_the_exact_counts(setting, exact):
    exact_gradient, exact_maps = exact
    gradient, maps = evaluated(setting, SIZES, EXACT, gradient_of)
    for found, right in zip(maps, exact_maps, strict=True):
        np.testing.assert_allclose(found, right, atol=2e-6)
    compared = 0
    for name, right in exact_gradient.items():
        scale = float(jnp.abs(right).max())
        if scale > 1e-4:  # a bias before a BatchNorm has none but rounding
            np.testing.assert_allclose(gradient[name] / scale, right / scale, atol=3e-5, err_msg=name)
            compared += 1
    assert compared > 60


def test_without_the_mask_the_surplus_would_show(setting, exact):
    _, exact_maps = exact
    _, maps = evaluated(setting, SIZES, None, lambda total: total)
    assert max(float(jnp.abs(a - b).max()) for a, b in zip(maps, exact_maps, strict=True)) > 1e-4


def test_one_compilation_serves_all_counts_of_a_size(setting):
    config, weights, inputs = setting
    graph = structure(config)[0]

    @jax.jit
    def run(weights, valid):
        model = nnx.merge(graph, from_flat(config, weights))
        return model(*inputs, kept_counts=SIZES, valid_counts=valid).boxes

    boxes = [run(weights, jnp.array(valid)) for valid in (EXACT, (64, 41, 33), (40, 30, 20))]
    assert run._cache_size() == 1
    assert np.isfinite(boxes).all()


def test_keys_beyond_the_length_count_nothing():
    rng = np.random.default_rng(0)
    q, k, v = (jnp.asarray(rng.normal(size=(2, 3, n, 8)), jnp.float32) for n in (5, 7, 7))
    few = jnp.int32(4)
    np.testing.assert_allclose(attend(q, k, v, few), attend(q, k[:, :, :4], v[:, :, :4]), atol=1e-6)
    rows = attention_rows(q, k, few)
    np.testing.assert_allclose(rows[..., :4], attention_rows(q, k[:, :, :4]), atol=1e-6)
    assert not np.asarray(rows[..., 4:]).any()
    gradient = jax.grad(lambda k, v: jnp.square(attend(q, k, v, few)).sum(), (0, 1))(k, v)
    assert not any(np.asarray(g[:, :, 4:]).any() for g in gradient)
