"""Boxes and words on RGB images, by OpenCV without a display.

Every line has a dark edge, so that it is seen on bright ground too.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Image = UInt8[np.ndarray, "_h _w 3"]
Colour = tuple[int, int, int]

TRACK_COLOUR: Colour = (255, 200, 0)  # amber and blue: distinct for colour-blind readers, on dark and light images
TRUTH_COLOUR: Colour = (60, 170, 255)
_LEAST_SIDE = 480  # pixels; images with a shorter long side are enlarged by an integer factor
SHADE: Colour = (0, 0, 0)
WORDS_COLOUR: Colour = (230, 230, 230)


def has_area(box_xywh: Float[np.ndarray, " 4"]) -> bool:
    """Whether a box is finite and has a width and a height."""
    return bool(np.isfinite(box_xywh).all() and (box_xywh[2:] > 0).all())


def draw_box(image: Image, box_xywh: Float[np.ndarray, " 4"], colour: Colour, line: int) -> None:
    """A box in pixels of the image, ``line`` pixels wide; one without area is not drawn."""
    if not has_area(box_xywh):
        return
    # OpenCV draws with 16-bit coordinates inside; a box far away must not wrap around.
    corners = np.clip(np.rint([*box_xywh[:2], *(box_xywh[:2] + box_xywh[2:])]), -10_000, 10_000).astype(int).tolist()
    for shade, width in ((SHADE, line + 2), (colour, line)):
        cv2.rectangle(image, corners[:2], corners[2:], shade, width)


def draw_label(image: Image, text: str, at: Sequence[float], line: int, colour: Colour = TRACK_COLOUR) -> None:
    """Words above the point ``at`` (x, y), or where that is inside the image, on a dark ground."""
    scale, thickness = line * 0.3, max(1, line // 2)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    height, pad = height + base, line
    left = int(np.clip(at[0], 0, max(image.shape[1] - width - 2 * pad, 0)))
    top = int(np.clip(at[1] - height - 2 * pad, 0, max(image.shape[0] - height - 2 * pad, 0)))
    cv2.rectangle(image, (left, top), (left + width + 2 * pad, top + height + 2 * pad), SHADE, -1)
    place = (left + pad, top + pad + height - base)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)


def annotate(
    frame: Image, box_xywh: Float[np.ndarray, " 4"], score: float, truth_xywh: Float[np.ndarray, " 4"] | None = None
) -> Image:
    """A copy of the frame, enlarged where it is small, with the box and its score, and the true box where given.

    A box without area (the target is lost) is not drawn; the label marks it.
    """
    factor = max(1, -(-_LEAST_SIDE // max(frame.shape[:2])))
    height, width = frame.shape[0] * factor, frame.shape[1] * factor
    image = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC) if factor > 1 else frame.copy()
    line = max(2, round(max(height, width) / 320))
    if truth_xywh is not None:
        draw_box(image, truth_xywh * factor, TRUTH_COLOUR, line)
    box = np.asarray(box_xywh, np.float64) * factor
    lost = not has_area(box)
    if not lost:
        draw_box(image, box, TRACK_COLOUR, line)
    label = "lost" if lost else "" if np.isnan(score) else f"{score:.2f}"
    if label:
        draw_label(image, label, (0.0, 0.0) if lost else (float(box[0]), float(box[1])), line)
    return image
