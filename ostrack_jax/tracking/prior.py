"""The motion prior: the window that the score map is multiplied by."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32


def hann(side: int) -> Float32[np.ndarray, "{side} {side}"]:
    """Return a centred Hann window, 0.5 (1 - cos(2 pi i / (side + 1))), i = 1..side, as an outer product: never zero.

    In float32 throughout, as the release computes it.
    """
    angle = np.float32(2 * math.pi / (side + 1)) * np.arange(1, side + 1, dtype=np.float32)
    line = np.float32(0.5) * (1 - np.cos(angle))
    return np.outer(line, line)
