"""The motion prior. Enters: the score map's side. Leaves: the window it is multiplied by."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def hann(side: int) -> Float[np.ndarray, "{side} {side}"]:
    """A centred Hann window, 0.5 (1 - cos(2 pi i / (side + 1))), i = 1..side, as an outer product: never zero."""
    line = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, side + 1) / (side + 1)))
    return np.outer(line, line)
