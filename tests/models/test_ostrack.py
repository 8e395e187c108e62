"""Shapes without weights, options, precision, and that the forward pass is one computation without callbacks."""

from __future__ import annotations

import dataclasses
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax import config as configs
from ostrack_jax.config import TemplateRows
from ostrack_jax.errors import UserError
from ostrack_jax.models.attention import attend, attention_rows
from ostrack_jax.models.block import Block, depth_factors
from ostrack_jax.models.head import decode
from ostrack_jax.models.weights import check, model_of, structure, weight_shapes

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]


def _run(config, weights, *crops, **options):
    graph, state = nnx.split(model_of(config, weights))
    return jax.jit(lambda state, *crops: nnx.merge(graph, state)(*crops, **options))(state, *crops)


def _crops(model, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return [
        jnp.asarray(rng.integers(0, 256, (batch, s, s, 3), np.uint8)) for s in (model.template_size, model.search_size)
    ]


@pytest.mark.parametrize(("vit", "size"), [("tiny", 256), pytest.param("base", 384, marks=pytest.mark.slow)])
def test_shapes(vit, size):
    config = configs.load(f"vitb_{size}_mae_ce_32x4_ep300").model
    config = dataclasses.replace(config, **configs.VIT_SIZES[vit])
    graph, state = structure(config)
    crops = [jax.ShapeDtypeStruct((3, s, s, 3), jnp.uint8) for s in (config.template_size, size)]
    out = jax.eval_shape(lambda state, *crops: nnx.merge(graph, state)(*crops, details=True), state, *crops)
    side = size // 16
    assert out.score_map.shape == (3, side, side)
    assert out.size_map.shape == out.offset_map.shape == (3, side, side, 2)
    assert out.boxes.shape == (3, 4)
    assert out.scores.shape == (3,)
    assert out.features.search.shape == (3, side * side, config.width)
    assert out.features.template.shape == (3, side * side // 4, config.width)
    assert [k.shape[1] for k in out.kept] == ([180, 126, 89] if size == 256 else [404, 283, 199])
    assert [a.shape[1] for a in out.centre_attention] == [config.heads] * config.depth
    assert len(weight_shapes(config)) == 242  # as the release's


def test_details_are_free_when_off(small_config, small_weights):
    out = _run(small_config.model, small_weights, *_crops(small_config.model))
    assert out.kept == out.eliminated == out.centre_attention == ()
    assert out.features is None


def test_one_computation_without_callbacks(small_config, small_weights):
    graph, state = structure(small_config.model)
    forward = jax.jit(lambda state, *crops: nnx.merge(graph, state)(*crops))
    text = forward.lower(state, *_crops(small_config.model)).as_text()
    assert "callback" not in text
    assert "infeed" not in text


def test_template_tokens_give_what_the_crop_gives(small_config, small_weights):
    model = model_of(small_config.model, small_weights)
    template, search = _crops(small_config.model)
    run = jax.jit(lambda template: model(template, search).score_map)
    whole, once = run(template), run(model.embed_template(template))
    np.testing.assert_allclose(whole, once, atol=1e-6)


@pytest.mark.parametrize("rows", get_args(TemplateRows))
def test_every_choice_of_rows(rows, small_config, small_weights):
    config = dataclasses.replace(small_config.model, template_rows=rows)
    box = jnp.array([[0.25, 0.25, 0.5, 0.5], [0.4, 0.1, 0.2, 0.8]])
    out = _run(config, small_weights, *_crops(config), box, details=True)
    assert [k.shape for k in out.kept] == [(2, 45)]
    assert np.isfinite(out.boxes).all()


def test_the_centres_attention_is_the_same_whatever_rows_rank(small_config, small_weights):
    """In the first block, which nothing was eliminated before."""
    configs_of = [dataclasses.replace(small_config.model, template_rows=rows) for rows in ("ctr_point", "ctr_rec")]
    outs = [_run(config, small_weights, *_crops(config), details=True) for config in configs_of]
    point, rectangle = (np.asarray(out.centre_attention[0]) for out in outs)
    np.testing.assert_allclose(rectangle, point, rtol=1e-4, atol=1e-7)


def test_gt_box_needs_the_box(small_config, small_weights):
    config = dataclasses.replace(small_config.model, template_rows="gt_box")
    with pytest.raises(ValueError, match="template_box"):
        model_of(config, small_weights)(*_crops(config))


def test_gt_box_of_a_batch_equals_one_by_one(small_config, small_weights):
    config = dataclasses.replace(small_config.model, template_rows="gt_box")
    template, search = _crops(config)
    box = jnp.array([[0.25, 0.25, 0.5, 0.5], [0.4, 0.1, 0.2, 0.8]])
    both = _run(config, small_weights, template, search, box, details=True)
    for i in range(2):
        one = _run(config, small_weights, template[i : i + 1], search[i : i + 1], box[i : i + 1], details=True)
        np.testing.assert_allclose(one.score_map[0], both.score_map[i], atol=1e-5)
        np.testing.assert_array_equal(np.sort(one.kept[0][0]), np.sort(both.kept[0][i]))


def test_bfloat16_stays_close_and_keeps_float32_where_it_must(small_config, small_weights):
    weights = small_weights
    half = dataclasses.replace(small_config.model, dtype="bfloat16")
    crops = _crops(small_config.model)
    exact, rough = _run(small_config.model, weights, *crops), _run(half, weights, *crops, details=True)
    assert rough.score_map.dtype == rough.size_map.dtype == rough.offset_map.dtype == jnp.float32
    assert rough.centre_attention[0].dtype == jnp.float32
    assert rough.features.search.dtype == jnp.bfloat16
    np.testing.assert_allclose(rough.score_map, exact.score_map, atol=0.02)
    assert np.abs(np.asarray(rough.score_map) - exact.score_map).max() > 0


def test_attention_equals_the_plain_formula():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 3, n, 8)).astype(np.float32) * 3 for n in (5, 7, 7))
    logits = np.einsum("bmnd,bmld->bmnl", q, k) / np.sqrt(8)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(attend(*map(jnp.asarray, (q, k, v))), weights @ v, atol=1e-5)
    np.testing.assert_allclose(attention_rows(jnp.asarray(q), jnp.asarray(k)), weights, atol=1e-6)


def test_attention_survives_large_logits():
    q = jnp.full((1, 1, 2, 8), 100.0)
    assert np.isfinite(attend(q, q, q)).all()


def test_decode_takes_the_first_maximum_in_row_major_order():
    score = np.zeros((1, 4, 4), np.float32)
    score[0, 1, 2] = score[0, 2, 1] = 0.5
    size, offset = np.full((1, 4, 4, 2), 0.25, np.float32), np.zeros((1, 4, 4, 2), np.float32)
    offset[0, 1, 2] = (0.5, -0.25)
    boxes, cells = decode(*map(jnp.asarray, (score, size, offset)))
    np.testing.assert_allclose(boxes, [[2.5 / 4, 0.75 / 4, 0.25, 0.25]])
    assert cells.tolist() == [6]


def test_every_misfit_is_reported_at_once(small_config, small_weights):
    weights = dict(small_weights)
    weights["surplus"] = weights.pop("backbone.norm.bias")
    weights["head.score.final.bias"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as e:
        check(small_config.model, weights)
    for part in (
        "missing backbone.norm.bias (48,)",
        "unexpected surplus",
        "head.score.final.bias is (3,), expected (1,)",
    ):
        assert part in str(e.value)


def test_stochastic_depth_rises_with_the_blocks_and_keeps_the_mean(small_config):
    config = dataclasses.replace(small_config.model, depth=3, drop_path=0.5)
    factors = np.asarray(depth_factors(config, jax.random.split(jax.random.key(0), 4000)))
    assert factors.shape == (3, 2, 4000)
    for block, rate in enumerate((0.0, 0.25, 0.5)):
        assert set(np.unique(factors[block]).round(4)) <= {0.0, np.float32(1 / (1 - rate)).round(4)}
        assert abs((factors[block] == 0).mean() - rate) < 0.02
        assert abs(factors[block].mean() - 1) < 0.04
    assert (factors[2, 0] != factors[2, 1]).any()  # the halves are drawn apart
    again = depth_factors(config, jax.random.split(jax.random.key(0), 4000)[7:9])
    np.testing.assert_array_equal(again, factors[..., 7:9])  # whatever the batch


def test_a_dropped_branch_leaves_its_sample_as_it_was(small_config):
    config = dataclasses.replace(small_config.model, layer_scale=0.5)
    block = Block(config, jnp.dtype("float32"), nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (3, 5, config.width))
    factor = jnp.array([0.0, 1.0, 2.0])
    for whole, half in (
        (block.apply_attention(x)[0], block.apply_attention(x, depth_factor=factor)[0]),
        (block.apply_mlp(x), block.apply_mlp(x, factor)),
    ):
        np.testing.assert_array_equal(half[0], x[0])
        np.testing.assert_allclose(half[1], whole[1], atol=1e-6)
        np.testing.assert_allclose(half[2] - x[2], 2 * (whole[2] - x[2]), atol=1e-5)
