"""What a tracker answers for one frame, and the interface every tracker here has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Track:
    """The target in one frame.

    Attributes:
      box_xywh: left, top, width, height in pixels of the frame (float64).
      score: confidence in 0..1; NaN for trackers that state none.
    """

    box_xywh: Float[np.ndarray, " 4"]
    score: float


@runtime_checkable
class TrackerLike(Protocol):
    """The field's interface: start on a frame with a box, then answer frame by frame."""

    def init(self, frame: UInt8[np.ndarray, "h w 3"], box_xywh: Float[np.ndarray, " 4"]) -> None:
        """Start (again) on RGB ``frame`` with the target's box in pixels."""
        ...

    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Track:
        """Where the target is in the next RGB frame."""
        ...
