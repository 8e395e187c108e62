"""Sequences on their way through a tracker's slots.

All passes go on by one frame a step. Threads decode the frames to come, and cut the search regions of a step's targets
side by side; then the network moves them together. A sequence that ends makes room for another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from ostrack_jax.data.ahead import read_ahead
from ostrack_jax.data.frames import Image
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.tracking.track import ManyTracker

# What a sequence can fail by: unreadable pictures, boxes no tracker can start on, no memory on the device (a
# RuntimeError) or on the host. Other errors are mistakes of the program and stop it.
FAILURES = (UserError, cv2.error, ValueError, OSError, RuntimeError, MemoryError)
_DECODERS = 4  # threads for one sequence of pictures, where there are cores for them


@dataclass(frozen=True, eq=False)
class Ended:
    """What came of a pass: its result, or why it failed, one line. ``index`` is the caller's."""

    index: int
    result: SequenceResult | None
    reason: str = ""


class _Pass:
    """One sequence in a slot, answered up to frame ``t``."""

    def __init__(self, index: int, slot: int, sequence: Sequence, decoders: int):
        self.index, self.slot = index, slot
        start, length = first_box(sequence), len(sequence)
        self.boxes, self.times = np.tile(start, (length, 1)), np.zeros(length)
        self.scores = np.full(length, np.nan)
        self.t, self.reason = 0, ""
        self.frames: Iterator[Image] = read_ahead(sequence.frames, decoders)

    def ended(self) -> Ended | None:
        """The result or the reason, where there is one."""
        if self.reason:
            return Ended(self.index, None, self.reason)
        return (
            Ended(self.index, SequenceResult(self.boxes, self.times, self.scores))
            if self.t == len(self.boxes)
            else None
        )


class Passes:
    """One pass over each of up to ``slots`` sequences at once: started with the true box, never started again."""

    def __init__(self, tracker: ManyTracker, on_frame: Callable[[float], None] = lambda seconds: None) -> None:
        """``on_frame`` is called with the seconds of each frame that was tracked."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._tracker, self._on_frame, self.slots = tracker, on_frame, tracker.targets
        self._decoders = min(_DECODERS, max(1, cores // tracker.targets))
        self._pool = ThreadPoolExecutor(min(tracker.targets, cores), thread_name_prefix="crop")
        self._passes: dict[int, _Pass] = {}

    def __enter__(self) -> Passes:
        return self

    def __exit__(self, *_: object) -> None:
        # Where Ctrl-C left threads at their frames: a generator that runs in another thread cannot be closed.
        self._pool.shutdown(wait=True, cancel_futures=True)
        for slot in list(self._passes):
            self._leave(slot)

    def __len__(self) -> int:
        """How many sequences are on their way."""
        return len(self._passes)

    @property
    def full(self) -> bool:
        """Whether every slot is taken."""
        return len(self) == self.slots

    def begin(self, index: int, sequence: Sequence) -> None:
        """Give a sequence a free slot and begin to decode it.

        Raises:
          UserError: frame 0 has no true box to start with.
        """
        slot = next(slot for slot in range(self.slots) if slot not in self._passes)
        self._passes[slot] = _Pass(index, slot, sequence, self._decoders)

    def step(self) -> list[Ended]:
        """One frame of every sequence; those that ended with it, whose slots are free again.

        A frame's time is that of its own crop and its share of the network's: the step's over the targets it moved.
        Waiting for a picture is not timed.
        """
        going = [each for each in self._passes.values() if each.t > 0]
        for each in self._passes.values():
            if each.t == 0:
                self._start(each)
        self._move(going)
        ended = {each.slot: each.ended() for each in self._passes.values()}
        for slot, end in ended.items():
            if end is not None:
                self._leave(slot)
        return [end for end in ended.values() if end is not None]

    def _start(self, each: _Pass) -> None:
        try:
            frame = next(each.frames)
            began = time.perf_counter()
            self._tracker.init_slot(each.slot, frame, each.boxes[0])
            each.times[0] = time.perf_counter() - began
        except FAILURES as e:
            each.reason = reason_of(e)
        each.t = 1

    def _look(self, each: _Pass) -> None:
        try:
            frame = next(each.frames)
            began = time.perf_counter()
            self._tracker.crop_search(each.slot, frame)
            each.times[each.t] = time.perf_counter() - began
        except FAILURES as e:
            each.reason = reason_of(e)

    def _move(self, going: list[_Pass]) -> None:
        """Crop, then move, all that can be."""
        for _ in (self._pool.map if len(going) > 1 else map)(self._look, going):
            pass
        seeing = [each for each in going if not each.reason]
        if not seeing:
            return
        began = time.perf_counter()
        try:
            tracks = self._tracker.predict_slots()
        except FAILURES as e:  # nobody's frame is to blame alone
            for each in seeing:
                each.reason = reason_of(e)
            return
        share = (time.perf_counter() - began) / len(seeing)
        for each in seeing:
            track = tracks[each.slot]
            each.boxes[each.t], each.scores[each.t] = track.box_xywh, track.score
            each.times[each.t] += share
            if not np.isfinite(each.boxes[each.t]).all():
                answer = each.boxes[each.t].tolist()
                each.reason = f"ValueError: frame {each.t}: the tracker answered the box {answer}"
            self._on_frame(float(each.times[each.t]))
            each.t += 1

    def _leave(self, slot: int) -> None:
        frames = self._passes.pop(slot).frames
        frames.close()  # type: ignore[attr-defined]  # a generator


def first_box(sequence: Sequence) -> np.ndarray:
    """The box to start with; a `UserError` where there is none."""
    if not len(sequence.boxes_xywh):
        raise UserError(f"sequence {sequence.name} has no frames")
    box = sequence.boxes_xywh[0]
    if not (np.isfinite(box).all() and (box[2:] > 0).all()):
        raise UserError(f"sequence {sequence.name}: frame 0 has no box to start with, found {box.tolist()}")
    return box


def reason_of(error: Exception) -> str:
    """A failure in one line; what a person can mend without the program's name for it."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
