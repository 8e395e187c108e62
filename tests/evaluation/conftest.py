"""Sequences in memory and a tracker whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from ostrack_jax.data.frames import ArrayFrames
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.tracking.track import Track


class Oracle:
    """Reads the true box out of the frame's first pixels and answers it ``off`` pixels to the right."""

    def __init__(self, off=0.0):
        self.off, self.started, self.updated = off, [], 0

    def init(self, frame, box_xywh):
        np.testing.assert_array_equal(frame[0, :4, 0], box_xywh)
        self.started.append(box_xywh)

    def update(self, frame):
        self.updated += 1
        return Track(frame[0, :4, 0] + np.array([self.off, 0, 0, 0], np.float64), 0.5)


class Oracles:
    """Three of them at once, as a tracker with three slots."""

    targets = 3

    def __init__(self, off=0.0):
        self.oracles, self.frames, self.moved = [Oracle(off) for _ in range(3)], {}, []

    def init_slot(self, slot, frame, box_xywh):
        self.oracles[slot].init(frame, box_xywh)

    def crop_search(self, slot, frame):
        self.frames[slot] = frame

    def predict_slots(self):
        frames, self.frames = self.frames, {}
        self.moved.append(len(frames))
        return {slot: self.oracles[slot].update(frame) for slot, frame in frames.items()}


class Unreadable:
    """Frames of which one cannot be read."""

    def __init__(self, frames, broken):
        self.frames, self.broken = frames, broken

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        if index == self.broken:
            raise UserError(f"cannot read the picture {index}.jpg")
        return self.frames[index]


def make_sequence(name, frames, seed=0, broken=None):
    """Boxes that wander; each frame carries its own in its first pixels."""
    rng = np.random.default_rng(seed)
    boxes = rng.integers(5, 60, (frames, 4))
    pictures = np.zeros((frames, 80, 100, 3), np.uint8)
    pictures[:, 0, :4, 0] = boxes
    got = ArrayFrames(pictures)
    return Sequence(
        name,
        got if broken is None else Unreadable(got, broken),
        boxes.astype(np.float64),
        np.ones(frames, bool),
        np.full(frames, 8),
        (100, 80),
    )


def lazy(*sequences):
    return LazySequences({sequence.name: sequence for sequence in sequences}, lambda name, sequence: sequence)


@pytest.fixture
def oracle():
    return Oracle


@pytest.fixture
def oracles():
    return Oracles


@pytest.fixture
def sequence():
    return make_sequence


@pytest.fixture
def listed():
    return lazy
