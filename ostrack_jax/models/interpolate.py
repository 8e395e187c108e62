"""Bicubic interpolation as torch does it. Enters: arrays over a grid. Leaves: the same over another grid.

torch's ``interpolate(mode="bicubic", align_corners=False)``: half-pixel centres, Keys' kernel with a = -0.75, the
border repeated, no smoothing when the grid shrinks.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_A = -0.75


def bicubic_matrix(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """The matrix that takes ``old`` samples along an axis to ``new`` ones; each row sums to 1."""
    places = (np.arange(new) + 0.5) * old / new - 0.5  # in samples of the old grid
    first = np.floor(places)
    matrix = np.zeros((new, old))
    for tap in (-1, 0, 1, 2):
        d = np.abs(places - first - tap)
        near = ((_A + 2) * d - (_A + 3)) * d * d + 1
        far = ((_A * d - 5 * _A) * d + 8 * _A) * d - 4 * _A
        column = np.clip(first + tap, 0, old - 1).astype(int)
        np.add.at(matrix, (np.arange(new), column), np.where(d <= 1, near, far))
    return matrix


def resize_grid(values: Float[np.ndarray, "h w *rest"], side: int) -> Float[np.ndarray, "side side *rest"]:
    """``values`` over a grid of (h, w) to (side, side), computed in float64 and given in float32."""
    rows, columns = (bicubic_matrix(n, side) for n in values.shape[:2])
    return np.einsum("ah,bw,hw...->ab...", rows, columns, values.astype(np.float64), optimize=True).astype(np.float32)


def resize_positions(grid: np.ndarray, side: int) -> np.ndarray:
    """Position embeddings over a grid (h, w, channels) to those of (side, side), flattened to (side * side, channels).

    In float32 and C order. Source: the release's finetune_track (bicubic).
    """
    return resize_grid(np.asarray(grid, np.float32), side).reshape(side * side, -1)
