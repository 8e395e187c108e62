"""The paper's ablations: identity embeddings, relative positions (Table A2), joint attention late (A4)."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax import config as configs
from ostrack_jax.errors import UserError
from ostrack_jax.models.attention import Attention, Groups, attend, attention_rows, relative_index
from ostrack_jax.models.weights import model_of, weight_shapes
from ostrack_jax.profiling.macs import macs

pytestmark = pytest.mark.usefixtures("quickly_compiled")
BASE = dataclasses.replace(
    configs.load("tiny").model, width=24, depth=3, heads=3, patch=8, template_size=16, search_size=32
)
JOINT, APART = Groups(4, True), Groups(4, False)


def weights_of(model, seed=0):
    rng = np.random.default_rng(seed)
    drawn = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in weight_shapes(model).items()}
    return {name: np.abs(value) if name.endswith(".var") else value for name, value in drawn.items()}


def crops(batch=2):
    rng = np.random.default_rng(1)
    return [jnp.asarray(rng.integers(0, 256, (batch, s, s, 3), np.uint8)) for s in (16, 32)]


def features(model, weights, *crops):
    graph, state = nnx.split(model_of(model, weights))
    return jax.jit(lambda state, *crops: nnx.merge(graph, state)(*crops, details=True))(state, *crops)


@pytest.mark.parametrize(("z", "x"), [(2, 4), (3, 3), (3, 2)])
def test_relative_places_are_numbered_in_order(z, x):
    """By a dictionary of every (dy, dx, query's group, key's group)."""
    tokens = [(y, c, 0) for y in range(z) for c in range(z)] + [(y, c, 1) for y in range(x) for c in range(x)]
    places = {(a[0] - b[0], a[1] - b[1], a[2], b[2]) for a, b in itertools.product(tokens, tokens)}
    number = {place: i for i, place in enumerate(sorted(places))}
    expected = [[number[a[0] - b[0], a[1] - b[1], a[2], b[2]] for b in tokens] for a in tokens]
    np.testing.assert_array_equal(relative_index(z * z, x * x), expected)


@pytest.mark.slow
def test_attention_with_a_bias_and_its_gradients():
    rng = np.random.default_rng(0)
    q, k, v = (jnp.asarray(rng.normal(size=(2, 3, n, 8)).astype(np.float32)) for n in (5, 7, 7))
    bias = jnp.asarray(rng.normal(size=(3, 5, 7)).astype(np.float32))

    def plain(q, k, v, bias):
        return jax.nn.softmax(jnp.einsum("bmnd,bmld->bmnl", q, k) / np.sqrt(8) + bias, axis=-1) @ v

    def ours(q, k, v, bias):
        return attend(q, k, v, None, bias)

    np.testing.assert_allclose(ours(q, k, v, bias), plain(q, k, v, bias), atol=1e-6)
    pull = jnp.asarray(rng.normal(size=(2, 3, 5, 8)).astype(np.float32))
    found, expected = (
        jax.grad(lambda *given, f=f: (f(*given) * pull).sum(), argnums=(0, 1, 2, 3))(q, k, v, bias)
        for f in (ours, plain)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    rows = attention_rows(q, k, None, bias)
    np.testing.assert_allclose(rows @ v, plain(q, k, v, bias), atol=1e-6)


def attention_in_numpy(layer, x, groups):
    """Mixed tokens and the attention matrix (b, m, n, n), in float64, token by token."""
    b, n, c = x.shape
    m, d = layer.heads, c // layer.heads
    qkv = np.asarray(layer.qkv.kernel[...], np.float64)
    q, k, v = (x @ qkv[:, i * c : (i + 1) * c] for i in range(3))
    q, k, v = ((t + np.asarray(layer.qkv.bias[...])[i * c : (i + 1) * c]) for i, t in enumerate((q, k, v)))
    table, index = layer.relative_positions, relative_index(groups.templates, n - groups.templates)
    weights = np.zeros((b, m, n, n))
    for s, h, i, j in itertools.product(range(b), range(m), range(n), range(n)):
        at = slice(h * d, (h + 1) * d)
        if groups.joint or (i < groups.templates) == (j < groups.templates):
            bias = 0 if table is None else float(table[...][h, index[i, j]])
            weights[s, h, i, j] = np.exp(q[s, i, at] @ k[s, j, at] / np.sqrt(d) + bias)
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bmij,bjmd->bimd", weights, v.reshape(b, n, m, d)).reshape(b, n, c), weights


@pytest.mark.slow
@pytest.mark.parametrize("groups", [JOINT, APART])
@pytest.mark.parametrize("relative", [False, True])
def test_every_kind_of_attention_equals_numpy(groups, relative):
    layer = Attention(dataclasses.replace(BASE, relative_positions=relative), jnp.dtype("float32"), nnx.Rngs(0))
    rng = np.random.default_rng(2)
    layer.qkv.kernel[...] = jnp.asarray(rng.normal(size=(24, 72)).astype(np.float32) / 4)
    if layer.relative_positions is not None:
        shape = layer.relative_positions[...].shape
        layer.relative_positions[...] = jnp.asarray(rng.normal(size=shape).astype(np.float32))
    x = rng.normal(size=(2, 20, 24)).astype(np.float32)
    mixed, rows = jax.jit(lambda x: layer(x, (1, 3), None, groups))(x)
    expected, weights = attention_in_numpy(layer, x, groups)
    np.testing.assert_allclose(mixed, expected, atol=1e-5)
    np.testing.assert_allclose(rows, weights[:, :, [1, 3]], atol=1e-6)


@pytest.mark.slow
def test_apart_until_the_joint_blocks():
    """The search region reaches the template's tokens, and the template the search tokens, by the last block alone."""
    model = dataclasses.replace(BASE, joint_from=2)
    weights = weights_of(model)
    template, search = crops()
    backbone = model_of(model, weights).backbone

    @jax.jit
    def by_hand(template, search):
        z = backbone.embed_template(template)
        x = backbone.patch_embed(search) + backbone.pos_embed_search[...]
        for block in list(backbone.blocks)[:2]:
            z, x = (block.apply_mlp(block.apply_attention(tokens)[0]) for tokens in (z, x))
        both = jnp.concatenate([z, x], axis=1)
        return backbone.norm(backbone.blocks[2].apply_mlp(backbone.blocks[2].apply_attention(both)[0]))

    both = by_hand(template, search)
    out = features(model, weights, template, search)
    np.testing.assert_allclose(out.features.template, both[:, :4], atol=1e-5)
    np.testing.assert_allclose(out.features.search, both[:, 4:], atol=1e-5)
    for i, attention in enumerate(out.centre_attention):
        np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)
        assert (attention[..., 4:].sum() > 0) == (i == 2)
    assert np.abs(features(BASE, weights, template, search).features.template - out.features.template).max() > 1e-3


@pytest.mark.slow
def test_elimination_in_the_joint_blocks():
    model = dataclasses.replace(BASE, joint_from=1, eliminate_at=(1,), keep_ratio=(0.5,))
    out = features(model, weights_of(model), *crops())
    assert [k.shape for k in out.kept] == [(2, 8)]
    assert np.isfinite(out.boxes).all()


@pytest.mark.slow
def test_identity_embeddings_are_added_to_every_token():
    model = dataclasses.replace(BASE, identity_embeddings=True)
    weights = weights_of(model)
    moved = {name: value for name, value in weights.items() if "identity" not in name}
    assert len(weights) - len(moved) == 2
    for group in ("template", "search"):
        moved[f"backbone.pos_embed_{group}"] = (
            moved[f"backbone.pos_embed_{group}"] + weights[f"backbone.identity_{group}"]
        )
    found, expected = features(model, weights, *crops()), features(BASE, moved, *crops())
    np.testing.assert_allclose(found.features.search, expected.features.search, atol=1e-5)
    np.testing.assert_allclose(found.features.template, expected.features.template, atol=1e-5)


@pytest.mark.slow
def test_all_options_learn():
    """Every new parameter has a gradient, and the options do not exclude each other."""
    model = dataclasses.replace(BASE, identity_embeddings=True, relative_positions=True, joint_from=1)
    graph, parameters, rest = nnx.split(model_of(model, weights_of(model)), nnx.Param, ...)
    template, search = crops()

    def loss(parameters):
        out = nnx.merge(graph, parameters, rest)(template, search)
        return (out.score_map**2).mean() + (out.size_map**2).mean()

    gradients = {
        ".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(jax.jit(jax.grad(loss))(parameters))
    }
    new = [name for name in gradients if "identity" in name or "relative" in name]
    assert len(new) == 2 + BASE.depth
    for name in new:
        assert np.abs(gradients[name].get_value()).max() > 0, name


def test_macs_of_separate_blocks():
    joint, apart = macs(BASE), macs(dataclasses.replace(BASE, joint_from=2))
    assert joint["products"] == 3 * 2 * 20**2 * 24
    assert apart["products"] == (20**2 + 2 * (4**2 + 16**2)) * 2 * 24
    assert {**joint, "products": 0} == {**apart, "products": 0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["joint_from=3"], "joint_from: 3 must lie below the depth 3"),
        (["joint_from=2", "eliminate_at=(1,)", "keep_ratio=(0.7,)"], "eliminate_at: block 1 has no joint attention"),
        (["relative_positions=True", "eliminate_at=(1,)", "keep_ratio=(0.7,)"], "expected no elimination"),
    ],
)
def test_impossible_values(values, message):
    with pytest.raises(UserError, match=message):
        configs.load("tiny", [f"model.{value}" for value in values])
