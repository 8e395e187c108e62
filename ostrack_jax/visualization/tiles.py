"""Arrange images in one: square tiles with captions, frames in rows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from ostrack_jax.visualization.draw import WORDS_COLOUR, Colour, Image, draw_box

TILE, CAPTION, GAP = 256, 24, 6  # pixels: a tile's side, the line of words above it, the space around
GROUND, MASK = (24, 26, 30), (62, 66, 74)
WORDS = WORDS_COLOUR
MASKED = 0.82  # the share of the mask's colour where a candidate is gone

Words = list[tuple[str, Colour]]


def tile(crop: UInt8[np.ndarray, "h w 3"]) -> Image:
    """A copy of a square crop as large as a tile."""
    smooth = cv2.INTER_AREA if crop.shape[0] > TILE else cv2.INTER_CUBIC
    return cv2.resize(crop, (TILE, TILE), interpolation=smooth)


def boxed(image: Image, *boxes: tuple[Float[np.ndarray, " 4"], Colour]) -> Image:
    """The tile with boxes drawn on it, given as x, y, w, h in fractions of the tile."""
    for box, colour in boxes:
        draw_box(image, np.asarray(box, np.float64) * TILE, colour, 2)
    return image


def heat(image: Image, values: Float[np.ndarray, "h w"]) -> Image:
    """A map over the image, from its least (the darkened image alone) to its greatest value (full colour).

    NaN marks cells that have no value: they are dark.
    """
    known = np.isfinite(values)
    least = float(values[known].min()) if known.any() else 0.0
    spread = np.where(known, values - least, 0).astype(np.float32)
    share = spread / max(float(spread.max()), 1e-9)
    share = np.clip(cv2.resize(share, image.shape[1::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = np.sqrt(share)[..., None]
    return np.rint(0.45 * image * (1 - weight) + colours * weight).astype(np.uint8)


def mask(image: Image, gone: Bool[np.ndarray, "h w"]) -> Image:
    """The image with each cell of the grid ``gone`` hidden but for a trace."""
    cells = cv2.resize(gone.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    hidden = np.rint((1 - MASKED) * image + MASKED * np.array(MASK)).astype(np.uint8)
    return np.where(cells[..., None], hidden, image)


def captioned(image: Image, words: Words) -> Image:
    """The tile with words above it and space to the right and below."""
    out = cv2.copyMakeBorder(image, CAPTION, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=GROUND)
    x = 2
    for text, colour in words:
        cv2.putText(out, text, (x, CAPTION - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
        x += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] + 10
    return out


def sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Rows of `captioned` tiles as one image; shorter rows are filled up, nothing is drawn over an edge."""
    columns = max(len(row) for row in rows)
    blank = np.full_like(rows[0][0], GROUND)
    lines = [np.concatenate([*row, *[blank] * (columns - len(row))], axis=1) for row in rows]
    return cv2.copyMakeBorder(np.concatenate(lines), GAP, 0, GAP, 0, cv2.BORDER_CONSTANT, value=GROUND)


def grid(images: Sequence[Image], columns: int) -> Image:
    """Equally wide images in rows, each as high as the highest; the rest is black."""
    high, wide = max(len(image) for image in images), images[0].shape[1]
    columns = min(columns, len(images))
    out = np.zeros((high * -(-len(images) // columns), wide * columns, 3), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * high, i % columns * wide
        out[top : top + len(image), left : left + wide] = image
    return out


def png(image: Image) -> bytes:
    """The image as a PNG file."""
    _, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return content.tobytes()
