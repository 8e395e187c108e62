"""The stored reference is what plain numpy in float64 computes, and the network's check against it can fail."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ostrack_jax.doctor import reference
from ostrack_jax.doctor.reference import MODEL, check_forward, known_weights, load

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Numpy:
    """The network for one pair, by loops and float64, from the description of the release."""

    def __init__(self, weights):
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}

    def __getitem__(self, name):
        return self.weights[name]

    def linear(self, x, name):
        return x @ self[f"{name}.kernel"] + self[f"{name}.bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * self[f"{name}.scale"] + self[f"{name}.bias"]

    def embed(self, crop, positions):
        p, side = MODEL.patch, len(crop) // MODEL.patch
        pixels = ((crop / 255 - MEAN) / STD).reshape(side, p, side, p, 3).transpose(0, 2, 1, 3, 4)
        kernel = self["backbone.patch_embed.kernel"].reshape(-1, MODEL.width)
        return pixels.reshape(side * side, -1) @ kernel + self["backbone.patch_embed.bias"] + self[positions]

    def attend(self, x, name):
        n, width = x.shape
        q, k, v = self.linear(x, f"{name}.qkv").reshape(n, 3, MODEL.heads, -1).transpose(1, 2, 0, 3)
        logits = q @ k.transpose(0, 2, 1) / math.sqrt(width / MODEL.heads)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return self.linear((weights @ v).transpose(1, 0, 2).reshape(n, width), f"{name}.proj"), weights

    def tokens(self, template, search):
        z = self.embed(template, "backbone.pos_embed_template")
        x = np.concatenate([z, self.embed(search, "backbone.pos_embed_search")])
        nz, n, eliminated = len(z), len(x) - len(z), []
        places = np.arange(n)
        side = math.isqrt(nz)
        row = (side - 1) // 2 * side + (side - 1) // 2
        for i in range(MODEL.depth):
            name = f"backbone.blocks.{i}"
            mixed, attention = self.attend(self.norm(x, f"{name}.norm1"), f"{name}.attn")
            x = x + mixed
            if i in MODEL.eliminate_at:
                order = np.argsort(-attention[:, row, nz:].mean(0), kind="stable")
                keep = math.ceil(MODEL.keep_ratio[MODEL.eliminate_at.index(i)] * len(order))
                eliminated.append(np.sort(places[order[keep:]]))
                places = places[order[:keep]]
                x = np.concatenate([x[:nz], x[nz:][order[:keep]]])
            hidden = self.linear(self.norm(x, f"{name}.norm2"), f"{name}.mlp.fc1")
            gelu = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
            x = x + self.linear(gelu, f"{name}.mlp.fc2")
        restored = np.zeros((n, MODEL.width))
        restored[places] = self.norm(x, "backbone.norm")[nz:]
        return restored, eliminated

    def branch(self, x, name):
        for i in range(4):
            kernel, norm = self[f"{name}.convs.{i}.kernel"], f"{name}.norms.{i}"
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            h, w, _ = x.shape
            x = sum(padded[r : r + h, c : c + w] @ kernel[r, c] for r in range(3) for c in range(3))
            x = (x + self[f"{name}.convs.{i}.bias"] - self[f"{norm}.mean"]) / np.sqrt(self[f"{norm}.var"] + 1e-5)
            x = np.maximum(x * self[f"{norm}.scale"] + self[f"{norm}.bias"], 0)
        return x @ self[f"{name}.final.kernel"][0, 0] + self[f"{name}.final.bias"]

    def __call__(self, template, search):
        tokens, eliminated = self.tokens(template, search)
        side = math.isqrt(len(tokens))
        grid = tokens.reshape(side, side, -1)
        score, size = (
            np.clip(1 / (1 + np.exp(-self.branch(grid, f"head.{b}"))), 1e-4, 1 - 1e-4) for b in ("score", "size")
        )
        offset = self.branch(grid, "head.offset")
        r, c = divmod(int(score.argmax()), side)
        box = [(c + offset[r, c, 0]) / side, (r + offset[r, c, 1]) / side, *size[r, c]]
        return np.array(box), score[..., 0], eliminated[0]


@pytest.fixture(scope="module")
def oracle():
    stored = load()
    network = Numpy(known_weights(MODEL))
    return [network(*crops) for crops in zip(stored["template"], stored["search"], strict=True)]


def test_the_stored_reference_is_what_numpy_computes(oracle):
    stored = load()
    for i, (box, score_map, eliminated) in enumerate(oracle):
        np.testing.assert_allclose(stored["boxes"][i], box, rtol=0, atol=1e-12)
        np.testing.assert_allclose(stored["score_map"][i], score_map, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(stored["eliminated"][i], eliminated)


def test_the_reference_can_tell_networks_apart(oracle):
    """Its maximum stands clear of the second, and the maps are not saturated."""
    for _, score_map, eliminated in oracle:
        first, second = np.sort(score_map, axis=None)[:-3:-1]
        assert first - second > 0.01
        assert np.ptp(score_map) > 0.3
        assert len(eliminated) == 64 - math.ceil(0.7 * 64)


@pytest.mark.slow
def test_the_forward_pass_agrees():
    assert check_forward().verdict == "ok"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("backbone.blocks.2.mlp.fc2.bias", lambda x: x * 1.1),
        ("head.size.final.bias", lambda x: x[::-1]),
    ],
)
def test_a_network_that_computes_otherwise_is_found(monkeypatch, name, change):
    known = known_weights(MODEL)
    monkeypatch.setattr(reference, "known_weights", lambda config: {**known, name: change(known[name])})
    finding = check_forward()
    assert finding.verdict == "wrong"
    assert "differs from the stored reference" in finding.text
