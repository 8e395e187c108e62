"""Frames decoded ahead: the same frames in order, no more than allowed, errors when their turn comes."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest

from ostrack_jax.data.frames import EncodedFrames, Frames, ImageFrames, read_ahead
from ostrack_jax.errors import UserError


class Counted(Frames):
    """Frames that note which were asked for, and by how many threads at once."""

    def __init__(self, frames, broken=None):
        self.frames, self.broken, self.asked, self.within, self.most = frames, broken, [], 0, 0
        self.lock = threading.Lock()

    def __len__(self):
        return self.frames

    def __getitem__(self, index):
        with self.lock:
            self.asked.append(index)
            self.within += 1
            self.most = max(self.most, self.within)
        time.sleep(0.005)
        with self.lock:
            self.within -= 1
        if index == self.broken:
            raise UserError(f"cannot read {index}")
        return np.full((2, 2, 3), index, np.uint8)


class Stored(Counted, EncodedFrames):
    """The same, as images stored one by one."""

    def name(self, index):
        return str(index)

    def stored(self, index):
        return b""


def numbers(frames):
    return [int(frame[0, 0, 0]) for frame in frames]


@pytest.mark.parametrize(("kind", "most"), [(Counted, 1), (Stored, 3)], ids=["video", "images"])
def test_all_frames_in_order(kind, most):
    frames = kind(20)
    assert numbers(read_ahead(frames, workers=3)) == list(range(20))
    assert frames.most == most
    if kind is Counted:
        assert frames.asked == list(range(20))


def test_they_are_begun_before_they_are_asked_for_and_not_too_many():
    frames = Counted(20)
    ahead = read_ahead(frames, ahead=3)
    time.sleep(0.1)
    assert frames.asked == [0, 1, 2]
    next(ahead)
    time.sleep(0.1)
    assert frames.asked == [0, 1, 2, 3]
    ahead.close()
    time.sleep(0.05)
    assert frames.asked == [0, 1, 2, 3]


def test_an_error_comes_at_its_turn():
    ahead = read_ahead(Counted(5, broken=2))
    assert numbers([next(ahead), next(ahead)]) == [0, 1]
    with pytest.raises(UserError, match="cannot read 2"):
        next(ahead)


def test_images_from_disk(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((4, 4, 3), i, np.uint8))
    assert numbers(read_ahead(ImageFrames(paths), workers=2)) == list(range(5))
    assert numbers(read_ahead(ImageFrames([]))) == []
