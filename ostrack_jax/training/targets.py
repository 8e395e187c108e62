"""The score map's target: a Gaussian around the cell of each true box."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

MIN_OVERLAP = 0.7  # of a box whose corners move by the radius with the true one (CornerNet, section 3.2)


def gaussian_radius(wh: Float[Array, "b 2"]) -> Float[Array, " b"]:
    """How far (cells, an integer of at least 0) a centre may lie off, for boxes of ``wh`` cells.

    The least of three quadratics' roots as the release computes them: (b + sqrt(b^2 - 4ac)) / 2, also where a is not 1.
    """
    w, h = wh[:, 0], wh[:, 1]
    m, total, area = MIN_OVERLAP, w + h, w * h
    quadratics = (
        (1.0, total, area * (1 - m) / (1 + m)),
        (4.0, 2 * total, (1 - m) * area),
        (4 * m, -2 * m * total, (m - 1) * area),
    )
    roots = [(b + jnp.sqrt(jnp.maximum(b * b - 4 * a * c, 0))) / 2 for a, b, c in quadratics]
    return jnp.maximum(jnp.trunc(jnp.stack(roots).min(axis=0)), 0)


def score_target(box_cxcywh: Float[Array, "b 4"], side: int) -> Float[Array, "b {side} {side}"]:
    """A Gaussian around each box's cell, 1 at the cell itself, 0 beyond the radius.

    The cell is the centre times ``side``, rounded half to even; a centre at the border may round to a cell outside
    the map, which then has no positive. Boxes are fractions of the search region.
    """
    centre = jnp.round(box_cxcywh[:, :2] * side)
    radius = gaussian_radius(box_cxcywh[:, 2:] * side)[:, None]
    sigma = (2 * radius + 1) / 6
    away = jnp.arange(side) - centre[:, :, None]  # b, (x, y), side
    line = jnp.where(jnp.abs(away) <= radius[..., None], jnp.exp(-jnp.square(away) / (2 * sigma**2)[..., None]), 0)
    gaussian = line[:, 1, :, None] * line[:, 0, None, :]
    return jnp.where(gaussian < jnp.finfo(gaussian.dtype).eps, 0, gaussian)
