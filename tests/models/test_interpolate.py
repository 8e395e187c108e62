"""Bicubic interpolation agrees with the release's, and with torch for other sizes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostrack_jax.errors import UserError
from ostrack_jax.models.interpolate import bicubic_matrix, fitted, resize_grid, resize_positions
from ostrack_jax.models.weights import check
from tests import standin


@pytest.mark.parametrize("side", [8, 12, 16, 24])
def test_position_embeddings_as_the_release_interpolates_them(golden, side):
    positions = standin.tensor("pos_embed", (1, 197, 768))[0, 1:].reshape(14, 14, 768)
    out = resize_positions(positions, side)[:, ::8]
    np.testing.assert_allclose(out[None], golden("mae_pos_embed")[f"pos_embed_{side}x{side}"], rtol=0, atol=1e-6)


def test_the_patch_kernel_as_the_release_interpolates_it(golden):
    kernel = standin.tensor("patch_embed.proj.weight", (768, 3, 16, 16)).transpose(2, 3, 1, 0)
    resized = resize_grid(kernel, 14).transpose(3, 2, 0, 1)
    np.testing.assert_allclose(resized[::32], golden("mae_pos_embed")["patch_kernel_16_to_14"], rtol=0, atol=1e-6)


@given(old=st.integers(1, 40), new=st.integers(1, 40))
def test_rows_sum_to_one_and_the_same_grid_stays(old, new):
    np.testing.assert_allclose(bicubic_matrix(old, new).sum(1), 1, atol=1e-12)
    np.testing.assert_array_equal(bicubic_matrix(old, old), np.eye(old))


@pytest.mark.parametrize(("h", "w", "side"), [(14, 14, 7), (3, 5, 11), (1, 2, 4), (16, 9, 13)])
def test_torch_agrees(h, w, side):
    torch = pytest.importorskip("torch")
    values = np.random.RandomState(0).standard_normal((h, w, 3)).astype(np.float32)
    planes = torch.from_numpy(values).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(planes, size=(side, side), mode="bicubic", align_corners=False)
    np.testing.assert_allclose(resize_grid(values, side), expected[0].permute(1, 2, 0).numpy(), atol=1e-6)


@pytest.mark.slow
def test_positions_follow_the_crop_sizes(small_config, small_weights):
    larger = dataclasses.replace(small_config.model, template_size=48, search_size=96)
    weights, notices = fitted(larger, small_weights)
    check(larger, weights)
    positions = small_weights["backbone.pos_embed_search"]
    expected = resize_positions(positions.reshape(8, 8, -1), 12)
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], expected)
    assert notices == [
        "backbone.pos_embed_template resized from 4 x 4 to 6 x 6 patches",
        "backbone.pos_embed_search resized from 8 x 8 to 12 x 12 patches",
    ]
    for name in small_weights.keys() - {"backbone.pos_embed_search", "backbone.pos_embed_template"}:
        assert weights[name] is small_weights[name]


def test_weights_that_fit_stay_as_they_are(small_config, small_weights):
    weights, notices = fitted(small_config.model, small_weights)
    assert weights == small_weights
    assert notices == []


@pytest.mark.parametrize("shape", [(63, 48), (4, 4, 3), (0, 48)])
def test_what_is_no_grid_is_left_to_the_check(small_config, small_weights, shape):
    odd = small_weights | {"backbone.pos_embed_search": np.zeros(shape, np.float32)}
    weights, notices = fitted(small_config.model, odd)
    assert notices == []
    with pytest.raises(UserError, match=r"backbone\.pos_embed_search is"):
        check(small_config.model, weights)
