"""Early candidate elimination (section 3.3): rank the search tokens, drop the last, put the rest back in place.

A stage is a sort and a gather of a static count of tokens. In training, where the share of kept tokens changes from
epoch to epoch, that count is rounded up to one of a few (`training.schedule`) and the surplus, the last of the tokens,
is seen by none: the exact numbers with few compilations.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def kept_count(ratio: float, tokens: int) -> int:
    """How many of ``tokens`` stay: ceil(ratio * tokens) in double precision, as the release has it."""
    return math.ceil(ratio * tokens)


def kept_counts(ratios: tuple[float, ...], tokens: int) -> tuple[int, ...]:
    """Tokens left after each stage: 256 at 0.7 three times gives 180, 126, 89."""
    counts = []
    for ratio in ratios:
        tokens = kept_count(ratio, tokens)
        counts.append(tokens)
    return tuple(counts)


def template_rows(choice: str, side: int) -> tuple[int, ...]:
    """Positions in the ``side`` x ``side`` template grid whose attention ranks the candidates.

    ``ctr_point``: row and column (side - 1) // 2, the release's centre. ``paper_centre``: the paper's
    phi = floor(W / 2) + W floor(H / 2). ``ctr_rec``: rows and columns (side - 1) // 2 .. side // 2.
    ``all`` and ``gt_box`` (which weighs them by `box_rows`): every row.
    """
    low, high = (side - 1) // 2, side // 2
    if choice == "ctr_point":
        return (low * side + low,)
    if choice == "paper_centre":
        return (high * side + high,)
    if choice == "ctr_rec":
        return tuple(y * side + x for y in range(low, high + 1) for x in range(low, high + 1))
    return tuple(range(side * side))


def box_rows(box_xywh: Float[Array, "b 4"], size: int, patch: int) -> Float[Array, "b n"]:
    """1 for each template token whose central pixels the box (fractions of the crop) touches, else 0.

    The release paints ones at rows int(y) .. int(y + h - 1) - 1 of a size x size mask (columns likewise) and
    shrinks it bilinearly by the patch; a token counts where the result is above 0. That interpolation reads, along
    each axis, the two central pixels of the patch (its middle one where the patch is odd). Boxes are clipped to the
    crop; where no token is left, the centre point takes their place.
    """
    x, y, w, h = jnp.moveaxis(box_xywh * size, -1, 0)
    side = size // patch
    first, last = (patch - 1) // 2, patch // 2

    def touched(start: Float[Array, " b"], extent: Float[Array, " b"]) -> Array:
        low, high = jnp.trunc(start)[:, None], jnp.trunc(start + extent - 1)[:, None]  # pixels low .. high - 1
        pixel = jnp.arange(side)[None] * patch
        return ((pixel + first >= low) & (pixel + first < high)) | ((pixel + last >= low) & (pixel + last < high))

    rows = (touched(y, h)[:, :, None] & touched(x, w)[:, None, :]).reshape(len(box_xywh), -1)
    centre = jnp.arange(side * side) == template_rows("ctr_point", side)[0]
    return jnp.where(rows.any(-1, keepdims=True), rows, centre).astype(jnp.float32)


def rank(rows: Float[Array, "b m r n"], weights: Float[Array, "b r"] | None, templates: int) -> Float[Array, "b s"]:
    """The search tokens' score: their attention averaged over the ranking rows (weighted), then over the heads."""
    search = rows[..., templates:]
    if weights is None:
        return search.mean(axis=2).mean(axis=1)
    weighted = jnp.einsum("bmrs,br->bms", search, weights) / weights.sum(-1)[:, None, None]
    return weighted.mean(axis=1)


def eliminate(
    score: Float[Array, "b s"],
    positions: Int[Array, "b s"],
    tokens: Float[Array, "b s c"],
    keep: int,
    valid: Int[Array, ""] | None = None,
) -> tuple[Float[Array, "b k c"], Int[Array, "b k"], Int[Array, "b e"]]:
    """The ``keep`` best tokens, best first, their positions in the search grid, and the positions of the others.

    Of ``tokens`` only the first ``valid`` (None: all) may be better than any other.
    """
    if valid is not None:
        score = jnp.where(jnp.arange(score.shape[1]) < valid, score, -jnp.inf)
    order = jnp.argsort(-jax.lax.stop_gradient(score), axis=-1, stable=True)
    ordered = jnp.take_along_axis(positions, order, axis=1)
    kept = jnp.take_along_axis(tokens, order[:, :keep, None], axis=1, mode="promise_in_bounds")
    return kept, ordered[:, :keep], ordered[:, keep:]


def restore(
    tokens: Float[Array, "b k c"], positions: Int[Array, "b k"], total: int, valid: Int[Array, ""] | None = None
) -> Float[Array, "b s c"]:
    """The first ``valid`` (None: all) kept tokens back at their places in the search grid, zeros elsewhere."""
    if valid is not None:
        tokens = jnp.where((jnp.arange(tokens.shape[1]) < valid)[:, None], tokens, 0)
    out = jnp.zeros((tokens.shape[0], total, tokens.shape[2]), tokens.dtype)
    place = jax.vmap(lambda o, p, t: o.at[p].set(t, unique_indices=True, mode="promise_in_bounds"))
    return place(out, positions, tokens)
