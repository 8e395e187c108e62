"""Recognise boxes in another form than x,y,width,height in pixels of the frame by their values.

A box of another form is four numbers too: it is read, tracked and scored without an error. `find_oddity` judges the
true boxes of a sequence by themselves, `find_oddity_of_result` a result by the true box that it has to begin with.
Both are silent where the numbers leave a doubt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.annotations import valid
from ostrack_jax.geometry.boxes import cxcywh_to_xywh, iou, xywh_to_xyxy, xyxy_to_xywh

_FAR = 1.1  # of the frame's sides: boxes reach a little out of the frame in many sets
_MOST = 0.5  # of a sequence's boxes, more than these
_SOME = 0.25  # of corners read as sizes reach far out of the frame in most sequences; of sizes that look like them none
_STEADY = 0.5  # a size changes less than its far corner moves: at most this share, where sizes read so exceed 1
_LEAST_FRAMES = 5  # for a judgement by motion
_BEGINS = 0.5  # overlap with the true box of a result that begins there
_SAME = 0.8  # the same of its copy in another form, perhaps rounded to pixels
_COPY_PX = 0.05  # by how much the copy of a box may differ


@dataclass(frozen=True)
class Oddity:
    """An oddity of boxes.

    Attributes:
      text: follows "the boxes ..".
      fix: what would be right.
    """

    text: str
    fix: str


FRACTIONS = Oddity(
    "are fractions of the frame, 0 to 1",
    "expected pixels: multiply x and width by the width of the frame, y and height by its height",
)
CORNERS = Oddity("are corners x1,y1,x2,y2", "expected x,y,width,height: x1, y1, x2 - x1, y2 - y1")
CENTRES = Oddity("are centres and sizes cx,cy,w,h", "expected x,y,width,height: cx - w / 2, cy - h / 2, w, h")
EITHER = Oddity(
    "are corners x1,y1,x2,y2, or centres and sizes cx,cy,w,h",
    "expected x,y,width,height: x1, y1, x2 - x1, y2 - y1, or cx - w / 2, cy - h / 2, w, h",
)
TINY = Oddity("are smaller than a pixel", "expected x,y,width,height in pixels of the frame")
FAR_OUT = Oddity("reach far out of the frame", "expected x,y,width,height in pixels of these very frames, not resized")
FIRST_OUTSIDE = Oddity("begin outside the frame", "a tracker starts on the first box: correct it, or the frames' order")
SHIFTED = Oddity(
    "begin one pixel off the true box, in x and in y",
    "expected the same first pixel, 0 or 1, in results and ground truth: shift the results by one pixel",
)
ELSEWHERE = Oddity("do not begin with the true box", "are they x,y,width,height, and of these sequences?")


def find_oddity(boxes_xywh: Float[np.ndarray, "t 4"], size_wh: tuple[int, int] | None) -> Oddity | None:
    """The oddity of one sequence's true boxes, None without one.

    Args:
      boxes_xywh: as read; rows that are not valid boxes are ignored.
      size_wh: of the frame in pixels; None where not known: then less is found.
    """
    boxes = boxes_xywh[valid(boxes_xywh)]
    if not len(boxes):
        return None
    if np.mean((np.abs(boxes) <= 1).all(axis=1)) > _MOST and (boxes % 1).any():
        return _both(FRACTIONS, _find_form(boxes, np.ones(2)))
    if len(boxes) > 1 and np.mean((boxes[:, 2:] < 1).all(axis=1)) > _MOST:  # COCO has single images with such
        return TINY
    size = None if size_wh is None else np.array(size_wh, np.float64)
    form = _find_form(boxes, size)
    if form is None and size is not None and valid(boxes_xywh[:1])[0]:
        left_top, right_bottom = boxes[0, :2], boxes[0, :2] + boxes[0, 2:]
        return FIRST_OUTSIDE if (left_top >= size).any() or (right_bottom <= 0).any() else None
    return form


def find_oddity_of_result(
    first_xywh: Float[np.ndarray, " 4"], true_xywh: Float[np.ndarray, " 4"], size_wh: tuple[int, int] | None
) -> Oddity | None:
    """The oddity of a result by its first box, which is a copy of the true one; None without one.

    Args:
      first_xywh: as read; ``true_xywh`` in pixels of the frame.
      size_wh: of the frame in pixels; None where not known.
    """
    if not valid(np.stack([first_xywh, true_xywh])).all():
        return None
    if any(np.abs(first_xywh - true_xywh - step).max() < _COPY_PX for step in ([1, 1, 0, 0], [-1, -1, 0, 0])):
        return SHIFTED
    if _overlap(first_xywh, true_xywh) >= _BEGINS:
        return None
    scales: list[tuple[Oddity | None, np.ndarray]] = [(None, np.ones(4))]
    if size_wh is not None:
        scales.append((FRACTIONS, np.tile(np.array(size_wh, np.float64), 2)))
    for fractions, scale in scales:
        for form, to_xywh in ((None, np.asarray), (CORNERS, xyxy_to_xywh), (CENTRES, cxcywh_to_xywh)):
            if _overlap(to_xywh(first_xywh * scale), true_xywh) > _SAME:
                return _both(fractions, form)
    return find_oddity(first_xywh[None], None) or ELSEWHERE


def _find_form(boxes: Float[np.ndarray, "t 4"], size: Float[np.ndarray, " 2"] | None) -> Oddity | None:
    """Whether valid boxes are corners or centres, in a frame of width and height ``size`` of their unit."""
    corners = bool((boxes[:, 2:] > boxes[:, :2]).all() and (size is None or (boxes[:, 2:] < _FAR * size).all()))
    if corners and _move_as_corners(boxes):
        return CORNERS
    if size is None:
        return None
    far_out = np.mean((boxes[:, :2] + boxes[:, 2:] > _FAR * size).any(axis=1))
    edges = xywh_to_xyxy(cxcywh_to_xywh(boxes)) / np.tile(size, 2)
    centres = bool((edges > 1 - _FAR).all() and (edges < _FAR).all())
    if corners and far_out > _SOME:
        return EITHER if centres else CORNERS
    if far_out > _MOST:
        return CENTRES if centres else FAR_OUT
    return None


def _move_as_corners(boxes: Float[np.ndarray, "t 4"]) -> bool:
    """Whether the last two numbers move with the first two, as the corners of one object do.

    A size does not: an object that comes nearer spreads from the middle of the frame, to the left where it is left.
    """
    if len(boxes) < _LEAST_FRAMES:
        return False
    alone, less = _spread(boxes[:, 2:]), _spread(boxes[:, 2:] - boxes[:, :2])
    return bool((less < _STEADY * alone).all() and (alone > 0.01 * boxes[:, 2:].max(axis=0)).all())


def _spread(values: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, " 2"]:
    return np.abs(values - np.median(values, axis=0)).mean(axis=0)


def _overlap(a_xywh: Float[np.ndarray, " 4"], b_xywh: Float[np.ndarray, " 4"]) -> float:
    return float(iou(xywh_to_xyxy(a_xywh), xywh_to_xyxy(b_xywh)))


def _both(first: Oddity | None, second: Oddity | None) -> Oddity | None:
    """One after the other."""
    if first is None or second is None:
        return first or second
    return Oddity(f"{first.text}, and {second.text.removeprefix('are ')}", f"{first.fix}; then {second.fix}")
