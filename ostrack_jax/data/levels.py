"""Images of more than 8 bits (thermal and depth cameras, scans) mapped to 8 bits.

One linear map serves a complete sequence, in any order of reading its frames: `find_levels` samples eight
frames spread over it, black and white are the values that one pixel in 10,000 of these lies below and above, and what
lies beyond is clipped. Where black and white are half of the 65,536 values apart or more, all 16 bits are in use and
the upper byte is taken, as OpenCV and most viewers do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8, UInt16

Levels = tuple[int, int]  # the 16-bit values that become black and white

_FRAMES = 8
_BEYOND = 1e-4  # share of the pixels that is clipped at each end: single dead pixels set no range
_VALUES = 2**16


def sampled(length: int) -> list[int]:
    """The frames of a sequence of ``length`` that `find_levels` should see: eight evenly spread, or all of fewer."""
    return np.unique(np.linspace(0, length - 1, min(_FRAMES, length)).round().astype(int)).tolist() if length else []


def find_levels(images: Iterable[UInt16[np.ndarray, ...]]) -> Levels:
    """Black and white for these images together; (0, 65535) where there are none."""
    counts = np.zeros(_VALUES, np.int64)
    for image in images:
        counts += np.bincount(image.ravel(), minlength=_VALUES)
    below = np.cumsum(counts)
    if not below[-1]:
        return 0, _VALUES - 1
    beyond = _BEYOND * below[-1]
    low = int(np.searchsorted(below, beyond, side="right"))
    high = int(np.searchsorted(below, below[-1] - beyond, side="left"))
    return min(low, high), high


def to_bytes(values: UInt16[np.ndarray, "*shape"], levels: Levels) -> UInt8[np.ndarray, "*shape"]:
    """16-bit values as bytes by the map that ``levels`` give, see above."""
    return _table(levels)[values]


@functools.lru_cache(maxsize=64)
def _table(levels: Levels) -> UInt8[np.ndarray, " v"]:
    """The 8-bit value of each 16-bit value."""
    low, high = levels
    values = np.arange(_VALUES)
    if high - low >= _VALUES // 2:
        return (values >> 8).astype(np.uint8)
    return np.rint(np.clip((values - low) * (255 / max(high - low, 1)), 0, 255)).astype(np.uint8)
