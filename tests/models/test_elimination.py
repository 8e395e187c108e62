"""Counts, ranking rows, gathering and putting back."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostrack_jax.models import elimination


def test_counts_of_the_published_models():
    assert elimination.kept_counts((0.7,) * 3, 256) == (180, 126, 89)
    assert elimination.kept_counts((0.7,) * 3, 576) == (404, 283, 199)
    assert elimination.kept_counts((1.0, 0.85), 256) == (256, 218)


@pytest.mark.parametrize(
    ("choice", "side", "rows"),
    [
        ("ctr_point", 8, (27,)),
        ("ctr_point", 12, (65,)),
        ("ctr_point", 7, (24,)),
        ("paper_centre", 8, (36,)),
        ("paper_centre", 7, (24,)),
        ("ctr_rec", 8, (27, 28, 35, 36)),
        ("ctr_rec", 7, (24,)),
        ("all", 2, (0, 1, 2, 3)),
    ],
)
def test_template_rows(choice, side, rows):
    assert elimination.template_rows(choice, side) == rows


@pytest.mark.parametrize("name", ["ctr_point", "ctr_rec", "gt_box"])
def test_rows_equal_the_release_masks(name, golden):
    reference = golden("forward_256")
    mask = reference[f"{name}/template_mask"]
    if name == "gt_box":
        ours = np.asarray(elimination.box_rows(jnp.asarray(reference["template_box"]), 128, 16)) > 0
    else:
        ours = np.zeros_like(mask)
        ours[:, elimination.template_rows(name, 8)] = True
    np.testing.assert_array_equal(ours, mask)


def _painted_rows(box, size, patch):
    """The release's rule spelled out in numpy: paint, shrink bilinearly, keep what is above 0."""
    x, y, w, h = (float(v) for v in np.float32(box) * np.float32(size))
    mask = np.zeros((size, size))
    mask[max(int(y), 0) : max(int(y + h - 1), 0), max(int(x), 0) : max(int(x + w - 1), 0)] = 1
    at = (np.arange(size // patch) + 0.5) * patch - 0.5
    low, high = np.floor(at).astype(int), np.ceil(at).astype(int)
    shrunk = sum(mask[np.ix_(a, b)] for a in (low, high) for b in (low, high))
    return (shrunk > 0).reshape(-1)


fraction = st.integers(-16, 40).map(lambda n: n / 32)


@pytest.mark.slow
@given(fraction, fraction, st.integers(0, 48).map(lambda n: n / 32), st.integers(0, 48).map(lambda n: n / 32))
def test_box_rows_are_those_painted(x, y, w, h):
    box = np.array([[x, y, w, h]], np.float32)
    ours = np.asarray(elimination.box_rows(jnp.asarray(box), 32, 8))[0] > 0
    painted = _painted_rows(box[0], 32, 8)
    if painted.any():
        np.testing.assert_array_equal(ours, painted)
    else:
        assert ours.nonzero()[0].tolist() == list(elimination.template_rows("ctr_point", 4))


def test_rank_is_the_mean_over_rows_then_heads():
    rows = np.random.default_rng(0).random((2, 3, 4, 10)).astype(np.float32)
    np.testing.assert_allclose(elimination.rank(jnp.asarray(rows), None, 4), rows[..., 4:].mean((1, 2)), rtol=1e-6)
    weights = np.array([[1, 0, 0, 1], [1, 0, 0, 0]], np.float32)
    ours = elimination.rank(jnp.asarray(rows), jnp.asarray(weights), 4)
    np.testing.assert_allclose(ours[0], rows[0][:, [0, 3], 4:].mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(ours[1], rows[1][:, 0, 4:].mean(0), rtol=1e-6)


@pytest.mark.slow
@settings(max_examples=8)
@given(st.sampled_from([1, 7, 20]), st.data())
def test_eliminate_then_restore_keeps_the_best_in_place(total, data):
    keep = data.draw(st.integers(1, total))
    rng = np.random.default_rng(total)
    score, tokens = rng.permutation(total)[None].astype(np.float32), rng.random((1, total, 3)).astype(np.float32)
    positions = jnp.arange(total)[None]
    kept, stay, gone = elimination.eliminate(jnp.asarray(score), positions, jnp.asarray(tokens), keep)
    assert set(np.asarray(stay)[0]) == set(np.argsort(-score[0])[:keep])
    assert sorted([*np.asarray(stay)[0], *np.asarray(gone)[0]]) == list(range(total))
    restored = np.asarray(elimination.restore(kept, stay, total))[0]
    np.testing.assert_array_equal(restored[np.asarray(stay)[0]], tokens[0][np.asarray(stay)[0]])
    np.testing.assert_array_equal(restored[np.asarray(gone)[0]], 0)
