"""Bicubic interpolation agrees with the release's, and with torch for other sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostrack_jax.models.interpolate import bicubic_matrix, resize_grid, resize_positions
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
