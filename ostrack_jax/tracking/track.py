"""A tracker's prediction for one frame, and the interfaces of trackers of one target and of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Track:
    """The target in one frame.

    Attributes:
      box_xywh: left, top, width, height in pixels of the frame (float64).
      score: confidence in 0..1; NaN for trackers that have none.
    """

    box_xywh: Float[np.ndarray, " 4"]
    score: float


@runtime_checkable
class TrackerLike(Protocol):
    """The field's interface: start on a frame with a box, then track frame by frame."""

    def init(self, frame: UInt8[np.ndarray, "h w 3"], box_xywh: Float[np.ndarray, " 4"]) -> None:
        """Start (again) on RGB ``frame`` with the target's box in pixels."""
        ...

    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Track:
        """Track the target into the next RGB frame."""
        ...


@runtime_checkable
class SlotTracker(Protocol):
    """Targets in numbered slots, each in a video of its own, that are tracked together.

    Attributes:
      targets: how many there may be at once.
    """

    targets: int

    def init_slot(self, slot: int, frame: UInt8[np.ndarray, "h w 3"], box_xywh: Float[np.ndarray, " 4"]) -> None:
        """Start a target in ``slot``, whatever was there, with its box in pixels of the RGB ``frame``."""
        ...

    def crop_search(self, slot: int, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Take the next frame of the target in ``slot``; threads may call it, each for slots of its own."""
        ...

    def predict_slots(self) -> dict[int, Track]:
        """Predict, by slot, each target whose frame was taken since the last call."""
        ...


class OneSlot:
    """A tracker of one target behind the interface of a `SlotTracker`."""

    targets = 1

    def __init__(self, tracker: TrackerLike) -> None:
        self._tracker = tracker
        self._frame: UInt8[np.ndarray, "h w 3"] | None = None

    def init_slot(self, slot: int, frame: UInt8[np.ndarray, "h w 3"], box_xywh: Float[np.ndarray, " 4"]) -> None:
        """Start the tracker."""
        self._tracker.init(frame, box_xywh)

    def crop_search(self, slot: int, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Keep the frame for `predict_slots`."""
        self._frame = frame

    def predict_slots(self) -> dict[int, Track]:
        """Give the tracker the frame."""
        assert self._frame is not None
        return {0: self._tracker.update(self._frame)}


def follow(
    tracker: TrackerLike, frames: Iterable[UInt8[np.ndarray, "_h _w 3"]], box_xywh: Float[np.ndarray, " 4"]
) -> Iterator[tuple[UInt8[np.ndarray, "_h _w 3"], Track]]:
    """Each frame with where the target is in it, as it is tracked; the first with the box given and no score."""
    for i, frame in enumerate(frames):
        if i == 0:
            tracker.init(frame, box_xywh)
            yield frame, Track(np.asarray(box_xywh, np.float64), float("nan"))
        else:
            yield frame, tracker.update(frame)
