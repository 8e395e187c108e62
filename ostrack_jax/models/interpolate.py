"""Interpolate position embeddings and patch kernels to other grids, as torch does it.

torch's ``interpolate(mode="bicubic", align_corners=False)``: half-pixel centres, Keys' kernel with a = -0.75, the
border repeated, no smoothing when the grid shrinks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ostrack_jax.config import ModelConfig

_A = -0.75


def bicubic_matrix(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Make the matrix that takes ``old`` samples along an axis to ``new`` ones; each row sums to 1."""
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
    """Interpolate values over a grid of (h, w) to (side, side), in float64; the result is float32."""
    rows, columns = (bicubic_matrix(n, side) for n in values.shape[:2])
    return np.einsum("ah,bw,hw...->ab...", rows, columns, values.astype(np.float64), optimize=True).astype(np.float32)


def resize_positions(grid: np.ndarray, side: int) -> np.ndarray:
    """Interpolate position embeddings over (h, w, channels) to (side, side), flattened to (side * side, channels).

    In float32 and C order. Source: the release's finetune_track (bicubic).
    """
    return resize_grid(np.asarray(grid, np.float32), side).reshape(side * side, -1)


def fitted(config: ModelConfig, weights: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Interpolate the position embeddings of weights to the config's crops; the weights, and a notice for each.

    Bicubic, as the release makes those of 384 from a backbone trained at 224. All else stays as it is; whether it
    fits is checked by `weights.check`.
    """
    out, notices = dict(weights), []
    for name, size in (("template", config.template_size), ("search", config.search_size)):
        key, side = f"backbone.pos_embed_{name}", size // config.patch
        positions = out.get(key)
        if positions is None or np.ndim(positions) != 2 or len(positions) == side * side:
            continue
        old = math.isqrt(len(positions))
        if old * old == len(positions) and old > 0:
            out[key] = resize_positions(np.asarray(positions).reshape(old, old, -1), side)
            notices.append(f"{key} resized from {old} x {old} to {side} x {side} patches")
    return out, notices
