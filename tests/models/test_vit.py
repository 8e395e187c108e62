"""The backbone as a plain ViT, and LayerScale, against numpy written here."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf

from ostrack_jax import config as configs
from ostrack_jax.errors import UserError
from ostrack_jax.models.weights import model_of, weight_shapes

pytestmark = pytest.mark.usefixtures("quickly_compiled")
MODEL = configs.load("tiny").model
MODEL = dataclasses.replace(MODEL, width=24, depth=2, heads=3, patch=8, template_size=16, search_size=32)
MODEL = dataclasses.replace(MODEL, pretraining_size=24, layer_scale=1e-5)


def weights_of(model, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in weight_shapes(model).items()}


def norm(x, w, name):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * w[f"{name}.scale"] + w[f"{name}.bias"]


def linear(x, w, name):
    return x @ w[f"{name}.kernel"] + w[f"{name}.bias"]


def attention(x, w, name, heads):
    n, c = x.shape
    q, k, v = linear(x, w, f"{name}.qkv").reshape(n, 3, heads, c // heads).transpose(1, 2, 0, 3)
    logits = q @ k.transpose(0, 2, 1) / np.sqrt(c // heads)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return linear(((weights / weights.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(n, c), w, f"{name}.proj")


def plain(image, w, model):
    """An image (side, side, 3) through the ViT of the papers, in float64."""
    w = {name.removeprefix("backbone."): value.astype(np.float64) for name, value in w.items()}
    x = (image / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    p, side = model.patch, len(image) // model.patch
    patches = [x[r * p : (r + 1) * p, c * p : (c + 1) * p].ravel() for r in range(side) for c in range(side)]
    x = np.stack(patches) @ w["patch_embed.kernel"].reshape(-1, model.width) + w["patch_embed.bias"]
    x = np.concatenate([w["cls_token"][0], x]) + w["pos_embed"][0]
    for i in range(model.depth):
        at = f"blocks.{i}"
        first, second = (w.get(f"{at}.scale{half}", 1.0) for half in (1, 2))
        x = x + first * attention(norm(x, w, f"{at}.norm1"), w, f"{at}.attn", model.heads)
        hidden = linear(norm(x, w, f"{at}.norm2"), w, f"{at}.mlp.fc1")
        x = x + second * linear(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, w, f"{at}.mlp.fc2")
    return norm(x, w, "norm")


@pytest.mark.slow
@pytest.mark.parametrize("layer_scale", [0.0, 1e-5])
def test_the_plain_vit_equals_numpy(layer_scale):
    model = dataclasses.replace(MODEL, layer_scale=layer_scale)
    weights = weights_of(model)
    assert ("backbone.blocks.0.scale1" in weights) == bool(layer_scale)
    images = np.random.default_rng(1).integers(0, 256, (2, 24, 24, 3), np.uint8)
    backbone = model_of(model, weights).backbone
    out = jax.jit(backbone.plain)(jnp.asarray(images))
    expected = np.stack([plain(image, weights, model) for image in images])
    np.testing.assert_allclose(out, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_layer_scale_in_the_tracker():
    """Factors of one change nothing, factors of zero leave the embedded tokens."""
    without = dataclasses.replace(MODEL, layer_scale=0.0)
    weights = weights_of(without)
    rng = np.random.default_rng(2)
    crops = [jnp.asarray(rng.integers(0, 256, (1, s, s, 3), np.uint8)) for s in (16, 32)]

    def run(model, weights):
        graph, state = nnx.split(model_of(model, weights))
        return jax.jit(lambda state: nnx.merge(graph, state)(*crops, details=True))(state)

    scales = [name for name in weight_shapes(MODEL) if ".scale" in name and name not in weights]
    assert len(scales) == 2 * MODEL.depth
    ones = run(MODEL, weights | {name: np.ones(24, np.float32) for name in scales})
    np.testing.assert_allclose(ones.score_map, run(without, weights).score_map, atol=1e-6)
    zeros = weights | {name: np.zeros(24, np.float32) for name in scales}
    backbone = model_of(MODEL, zeros).backbone
    np.testing.assert_allclose(
        run(MODEL, zeros).features.template, backbone.norm(backbone.embed_template(crops[0])), atol=1e-5
    )


def test_configs_of_before_load():
    values = json.loads(json.dumps(configs.to_dict(configs.load("tiny"))))
    del values["model"]["layer_scale"], values["model"]["pretraining_size"]
    model = configs.freeze(values).model
    assert (model.layer_scale, model.pretraining_size) == (0.0, 224)
    assert hash(model) == hash(configs.load("tiny").model)


@pytest.mark.parametrize(
    ("value", "message"),
    [("layer_scale=-1.0", "layer_scale: expected 0 or more"), ("pretraining_size=3", "3 is less than the patch 4")],
)
def test_impossible_values(value, message):
    with pytest.raises(UserError, match=message):
        configs.load("tiny", [f"model.{value}"])
