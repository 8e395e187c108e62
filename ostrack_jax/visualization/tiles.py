"""Square pictures with words above them, side by side. Enters: crops, boxes and maps of them. Leaves: one RGB picture.

What training's pictures, `ostrack visualize` and the report of an evaluation draw with.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from ostrack_jax.visualization.draw import WORDS_COLOUR, Colour, Picture, draw_box

TILE, CAPTION, GAP = 256, 24, 6  # pixels: a tile's side, the line of words above it, the space around
GROUND, MASK = (24, 26, 30), (62, 66, 74)
WORDS = WORDS_COLOUR
MASKED = 0.82  # the share of the mask's colour where a candidate is gone

Words = list[tuple[str, Colour]]


def tile(crop: UInt8[np.ndarray, "h w 3"]) -> Picture:
    """A copy of a square crop as large as a tile."""
    smooth = cv2.INTER_AREA if crop.shape[0] > TILE else cv2.INTER_CUBIC
    return cv2.resize(crop, (TILE, TILE), interpolation=smooth)


def boxed(picture: Picture, *boxes: tuple[Float[np.ndarray, " 4"], Colour]) -> Picture:
    """The tile with boxes drawn on it, given as x, y, w, h in fractions of the tile."""
    for box, colour in boxes:
        draw_box(picture, np.asarray(box, np.float64) * TILE, colour, 2)
    return picture


def heat(picture: Picture, values: Float[np.ndarray, "h w"]) -> Picture:
    """A map over the picture, from its least (the darkened picture alone) to its greatest value (full colour).

    NaN marks cells that have no value: they are dark.
    """
    known = np.isfinite(values)
    least = float(values[known].min()) if known.any() else 0.0
    spread = np.where(known, values - least, 0).astype(np.float32)
    share = spread / max(float(spread.max()), 1e-9)
    share = np.clip(cv2.resize(share, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = np.sqrt(share)[..., None]
    return np.rint(0.45 * picture * (1 - weight) + colours * weight).astype(np.uint8)


def mask(picture: Picture, gone: Bool[np.ndarray, "h w"]) -> Picture:
    """The picture with each cell of the grid ``gone`` hidden but for a trace."""
    cells = cv2.resize(gone.astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    hidden = np.rint((1 - MASKED) * picture + MASKED * np.array(MASK)).astype(np.uint8)
    return np.where(cells[..., None], hidden, picture)


def stages(
    crop: UInt8[np.ndarray, "h w 3"],
    eliminated: Sequence[Int[np.ndarray, " _"]],
    side: int,
    *boxes: tuple[Float[np.ndarray, " 4"], Colour],
) -> list[Picture]:
    """After each elimination stage a captioned tile with the candidates gone so far masked (the paper's figure 5).

    Args:
      crop: the search region.
      eliminated: positions in its grid of ``side`` x ``side`` cells that each stage drops.
      side: of the grid.
      boxes: to draw, as of `boxed`.
    """
    gone, tiles = np.zeros(side * side, bool), []
    for stage, positions in enumerate(eliminated, 1):
        gone[positions] = True
        masked = boxed(mask(tile(crop), gone.reshape(side, side)), *boxes)
        tiles.append(captioned(masked, [(f"after stage {stage}: {int((~gone).sum())} of {gone.size}", WORDS)]))
    return tiles


def captioned(picture: Picture, words: Words) -> Picture:
    """The tile with words above it and space to the right and below."""
    out = cv2.copyMakeBorder(picture, CAPTION, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=GROUND)
    x = 2
    for text, colour in words:
        cv2.putText(out, text, (x, CAPTION - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
        x += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] + 10
    return out


def sheet(rows: Sequence[Sequence[Picture]]) -> Picture:
    """Rows of `captioned` tiles as one picture; shorter rows are filled up, nothing is drawn over an edge."""
    columns = max(len(row) for row in rows)
    blank = np.full_like(rows[0][0], GROUND)
    lines = [np.concatenate([*row, *[blank] * (columns - len(row))], axis=1) for row in rows]
    return cv2.copyMakeBorder(np.concatenate(lines), GAP, 0, GAP, 0, cv2.BORDER_CONSTANT, value=GROUND)


def png(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    _, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return content.tobytes()
