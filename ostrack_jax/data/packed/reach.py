"""What of a picture training's crops can reach. Enters: the boxes in it, a config's crops. Leaves: a smaller picture.

A crop reaches `factor / 2` mean sides of the box it is made around, which may lie `centre_jitter / 2` of its own mean
sides from the target and be larger than it. That growth has no bound; four standard deviations of it are allowed for,
so that one crop in 30,000 finds black where the picture had more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from ostrack_jax.config import Config
from ostrack_jax.data.frames import Orientation, decode_values
from ostrack_jax.errors import UserError

QUALITY = 95  # of a JPEG that is encoded anew
_DEVIATIONS = 4
_BLOCK = 16  # pixels; cuts lie on the blocks of a JPEG with halved colours, one block beyond what is reached
_WORTH = 0.9  # of the bytes or more: then the picture stays as it was


@dataclass(frozen=True)
class Reach:
    """How far from a box's centre its crops reach, in mean sides of the box."""

    sides: float

    @classmethod
    def of(cls, config: Config) -> Reach:
        """The reach of a config's template and search region."""
        model, pairs = config.model, config.pairs
        # The mean side grows by the exponential of the mean of two normal numbers.
        grown = math.exp(_DEVIATIONS * pairs.scale_jitter / math.sqrt(2))
        return cls(max(model.template_factor / 2, grown * (model.search_factor + pairs.centre_jitter) / 2))

    def around(self, boxes_xywh: Float[np.ndarray, "k 4"], width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of what the crops of these boxes reach, by whole blocks; one block without boxes."""
        if not len(boxes_xywh):
            return 0, 0, min(width, _BLOCK), min(height, _BLOCK)
        centres = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
        far = self.sides * np.sqrt(boxes_xywh[:, 2:].prod(axis=1, keepdims=True)) + _BLOCK
        limit = np.array([width, height])
        low = np.floor(np.clip((centres - far).min(axis=0), 0, limit - 1) / _BLOCK) * _BLOCK
        high = np.minimum(np.ceil(np.clip((centres + far).max(axis=0), 1, limit) / _BLOCK) * _BLOCK, limit)
        # Boxes wholly outside leave a block of the border, for crops to be refused on.
        high = np.maximum(high, np.minimum(low + _BLOCK, limit))
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def cut(
    data: bytes, name: str, boxes_xywh: Float[np.ndarray, "k 4"], reach: Reach, orientation: Orientation
) -> tuple[bytes, tuple[int, int]]:
    """A stored picture without what no crop reaches, and the left top corner of what is left.

    The picture is the stored one, at (0, 0), where cutting saves little, it cannot be decoded, or it has more than 8
    bits (whose scale is the whole sequence's).
    """
    try:
        picture = decode_values(data, name, 1, orientation)
    except UserError:
        return data, (0, 0)
    if picture.dtype != np.uint8:
        return data, (0, 0)
    height, width = picture.shape[:2]
    left, top, right, bottom = reach.around(boxes_xywh, width, height)
    if (right - left) * (bottom - top) > _WORTH * width * height:
        return data, (0, 0)
    smaller = encode(picture[top:bottom, left:right])
    return (smaller, (left, top)) if len(smaller) < _WORTH * len(data) else (data, (0, 0))


def encode(picture: np.ndarray) -> bytes:
    """RGB to a JPEG of quality `QUALITY`."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise UserError(f"OpenCV cannot encode a picture of {picture.shape[1]} x {picture.shape[0]} pixels as JPEG")
    return data.tobytes()
