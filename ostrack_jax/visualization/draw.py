"""Boxes and words on pictures. Enters: an RGB picture and what to draw. Leaves: the same picture, drawn on in place.

By OpenCV without a display. Every line has a dark edge, so that it is seen on bright ground too.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Picture = UInt8[np.ndarray, "_h _w 3"]
Colour = tuple[int, int, int]

TRACK_COLOUR: Colour = (255, 200, 0)  # amber and blue: told apart by colour-blind eyes, on dark and light ground
TRUTH_COLOUR: Colour = (60, 170, 255)
SHADE: Colour = (0, 0, 0)
WORDS_COLOUR: Colour = (230, 230, 230)


def has_area(box_xywh: Float[np.ndarray, " 4"]) -> bool:
    """Whether a box is finite and has a width and a height."""
    return bool(np.isfinite(box_xywh).all() and (box_xywh[2:] > 0).all())


def draw_box(picture: Picture, box_xywh: Float[np.ndarray, " 4"], colour: Colour, line: int) -> None:
    """A box in pixels of the picture, ``line`` pixels wide; one without area is not drawn."""
    if not has_area(box_xywh):
        return
    # OpenCV draws with 16-bit coordinates inside; a box far away must not wrap around.
    corners = np.clip(np.rint([*box_xywh[:2], *(box_xywh[:2] + box_xywh[2:])]), -10_000, 10_000).astype(int).tolist()
    for shade, width in ((SHADE, line + 2), (colour, line)):
        cv2.rectangle(picture, corners[:2], corners[2:], shade, width)


def draw_label(picture: Picture, text: str, at: Sequence[float], line: int, colour: Colour = TRACK_COLOUR) -> None:
    """Words above the point ``at`` (x, y), or where that is inside the picture, on a dark ground."""
    scale, thickness = line * 0.3, max(1, line // 2)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    height, pad = height + base, line
    left = int(np.clip(at[0], 0, max(picture.shape[1] - width - 2 * pad, 0)))
    top = int(np.clip(at[1] - height - 2 * pad, 0, max(picture.shape[0] - height - 2 * pad, 0)))
    cv2.rectangle(picture, (left, top), (left + width + 2 * pad, top + height + 2 * pad), SHADE, -1)
    place = (left + pad, top + pad + height - base)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
