"""Counts of kept tokens rounded up: the surplus changes neither outputs nor gradients."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax.models.attention import attend, attention_rows
from ostrack_jax.models.weights import from_flat, structure, weight_shapes

pytestmark = pytest.mark.usefixtures("quickly_compiled")

EXACT, SIZES = (50, 41, 20), (64, 41, 33)  # of 8 x 8 search tokens: rounded up much, not at all, some


def drawn(name, shape, rng):
    """As spread as fresh weights, whose initialisation takes long to compile."""
    if name.endswith(".count"):
        return np.int32(0)
    if name.endswith((".scale", ".var", ".bias", ".mean")):
        return np.full(shape, float(name.endswith((".scale", ".var"))), np.float64)
    std = 0.02 if name.startswith("backbone.") else np.sqrt(2 / (np.prod(shape[:-1]) + np.prod(shape[:2]) * shape[-1]))
    return rng.normal(0, std, shape)


@pytest.fixture(scope="module")
def evaluate(small_config, quickly_compiled):
    """Gradients of a sum that every output enters, and the maps, by sizes (static) and counts (None: all)."""
    jax.config.update("jax_enable_x64", True)  # so that what is compared is not rounding
    fields = {
        "depth": 4,
        "eliminate_at": (0, 1, 3),
        "keep_ratio": (0.7,) * 3,
        "template_rows": "gt_box",
        "dtype": "float64",
    }
    model = dataclasses.replace(small_config.model, **fields)
    rng = np.random.default_rng(0)
    crops = [
        jnp.asarray(rng.integers(0, 256, (3, s, s, 3), np.uint8)) for s in (model.template_size, model.search_size)
    ]
    box = jnp.array([[0.2, 0.2, 0.6, 0.5], [0.4, 0.4, 0.2, 0.2], [0.1, 0.3, 0.5, 0.6]])
    weights = {name: jnp.asarray(drawn(name, shape, rng)) for name, shape in weight_shapes(model).items()}
    floats = {name: value for name, value in weights.items() if value.dtype == jnp.float64}

    def total(floats, sizes, valid):
        network = nnx.merge(structure(model)[0], from_flat(model, weights | floats))
        out = network(*crops, box, kept_counts=sizes, valid_counts=valid, bn_group=3)
        maps = out.score_map, out.size_map, out.offset_map
        return sum((i + 1) * jnp.square(m - 0.1).sum() for i, m in enumerate(maps)), maps

    compiled = jax.jit(jax.grad(total, has_aux=True), static_argnums=1)

    def evaluate(sizes, valid=None):
        return compiled(floats, sizes, None if valid is None else jnp.array(valid))

    evaluate.compilations = compiled._cache_size
    yield evaluate
    jax.config.update("jax_enable_x64", False)


@pytest.mark.slow
def test_outputs_and_gradients_are_those_of_the_exact_counts(evaluate):
    exact_gradient, exact_maps = evaluate(EXACT)
    gradient, maps = evaluate(SIZES, EXACT)
    for found, right in zip(maps, exact_maps, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-12)
    compared = 0
    for name, right in exact_gradient.items():
        scale = float(jnp.abs(right).max())
        if scale > 1e-4:  # a bias before a BatchNorm has none but rounding
            np.testing.assert_allclose(gradient[name] / scale, right / scale, atol=1e-9, err_msg=name)
            compared += 1
    assert compared > 60
    # One compilation serves all counts of a size; and what is not left out shows.
    before = evaluate.compilations()
    _, all_maps = evaluate(SIZES, SIZES)
    assert evaluate.compilations() == before
    assert max(float(jnp.abs(a - b).max()) for a, b in zip(all_maps, exact_maps, strict=True)) > 1e-4


@pytest.mark.slow
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
