"""Many targets in one step: the boxes of one at a time, whatever the other slots hold, and nothing compiled again."""

from __future__ import annotations

import logging

import jax
import numpy as np
import pytest

from ostrack_jax.data.generated.synthetic import open_synthetic
from ostrack_jax.errors import UserError
from ostrack_jax.tracking.track import OneSlot, SlotTracker
from ostrack_jax.tracking.tracker import Tracker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one(small_config, small_weights):
    return Tracker(small_config, small_weights)


@pytest.fixture(scope="module")
def three(small_config, small_weights):
    return Tracker(small_config, small_weights, targets=3)


@pytest.fixture(scope="module")
def videos():
    """Three videos of 20 frames, each of another size."""
    sizes = ((96, 72), (121, 80), (90, 133))
    return [open_synthetic(seed=i, sequences=1, frames=20, width=w, height=h)[0] for i, (w, h) in enumerate(sizes)]


def alone(tracker, video, frames=20):
    tracker.init(video.frames[0], video.boxes_xywh[0])
    return np.array([tracker.update(video.frames[t]).box_xywh for t in range(1, frames)])


def test_targets_of_different_videos(one, three, videos):
    expected = [alone(one, video) for video in videos]
    for slot, video in enumerate(videos):
        three.init_slot(slot, video.frames[0], video.boxes_xywh[0])
    found = []
    for t in range(1, 20):
        for slot, video in enumerate(videos):
            three.crop_search(slot, video.frames[t])
        tracks = three.predict_slots()
        found.append([tracks[slot].box_xywh for slot in range(3)])
    np.testing.assert_allclose(np.swapaxes(found, 0, 1), expected, rtol=0, atol=1e-3)
    assert np.ptp(expected, axis=1).max() > 1  # something moves


def test_a_start_that_fails_leaves_the_other_targets(three, videos, monkeypatch):
    network, video = three.network, videos[0]
    for slot in range(2):
        three.init_slot(slot, video.frames[0], video.boxes_xywh[0])
    for slot in range(2):
        three.crop_search(slot, video.frames[1])
    expected = three.predict_slots()[0]
    place = network._place

    def fails(*words):
        place(*words)
        raise RuntimeError("RESOURCE_EXHAUSTED")

    three.init_slot(0, video.frames[0], video.boxes_xywh[0])
    with monkeypatch.context() as patch:
        patch.setattr(network, "_place", fails)
        with pytest.raises(RuntimeError, match="EXHAUSTED"):
            three.init_slot(2, video.frames[0], video.boxes_xywh[0])
    three.crop_search(0, video.frames[1])
    np.testing.assert_array_equal(three.predict_slots()[0].box_xywh, expected.box_xywh)


def test_several_targets_of_one_video(one, three, videos):
    boxes = np.array([[20.0, 10, 20, 16], [50, 40, 18, 18], [8, 30, 12.5, 24]])
    frames = videos[0].frames
    three.init(frames[0], boxes)
    found = [[(*track.box_xywh, track.score) for track in three.update_all(frames[t])] for t in range(1, 20)]
    for i, box in enumerate(boxes):
        one.init(frames[0], box)
        for t in range(1, 20):
            track = one.update(frames[t])
            np.testing.assert_allclose(found[t - 1][i], (*track.box_xywh, track.score), rtol=0, atol=1e-3)
    with pytest.raises(RuntimeError, match="there are 3: use update_all"):
        three.update(frames[1])


def test_a_slot_that_is_given_anew_or_stays_empty_changes_no_other(one, three, videos, caplog):
    first, second, _ = videos
    expected = alone(one, first)
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        three.init(first.frames[0], first.boxes_xywh[0])
        for t in range(1, 20):
            if t % 5 == 1:
                three.init_slot(2, second.frames[t], second.boxes_xywh[t])
            three.crop_search(0, first.frames[t])
            if t % 5 > 1:
                three.crop_search(2, second.frames[t])
            tracks = three.predict_slots()
            assert tracks.keys() == ({0, 2} if t % 5 > 1 else {0})
            np.testing.assert_allclose(tracks[0].box_xywh, expected[t - 1], rtol=0, atol=1e-3)
    assert [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()] == []


def test_a_look_before_a_new_start_moves_nothing(three, videos):
    video = videos[0]
    three.init(video.frames[0], video.boxes_xywh[0])
    three.crop_search(0, video.frames[1])
    three.init_slot(0, video.frames[2], video.boxes_xywh[2])
    assert three.predict_slots() == {}


def test_too_many_boxes(three, small_config, small_weights, videos):
    with pytest.raises(UserError, match="4 boxes for a tracker of 3"):
        three.init(videos[0].frames[0], np.tile([5.0, 5, 20, 20], (4, 1)))
    with pytest.raises(UserError, match="expected at least 1"):
        Tracker(small_config, small_weights, targets=0)


def test_slots_and_boxes_that_are_none(three, videos):
    frame = videos[0].frames[0]
    three.init(frame, (5, 5, 20, 20))
    three.init_slot(2, frame, (5, 5, 20, 20))  # a tuple of whole numbers, as a user has them
    for slot in (3, -1):
        with pytest.raises(UserError, match=f"slot {slot} of a tracker of 3: expected 0 to 2"):
            three.init_slot(slot, frame, (5, 5, 20, 20))
    with pytest.raises(RuntimeError, match="there is no target in slot 1 yet"):
        three.crop_search(1, frame)
    with pytest.raises(UserError, match="2 boxes for one slot"):
        three.init_slot(1, frame, [(5, 5, 20, 20)] * 2)
    for box in ((5, 5, 20), [(1, 2, 3, 4), (1, 2)], np.zeros((1, 1, 4))):
        with pytest.raises(UserError, match="a box has four numbers"):
            three.init(frame, box)


def test_which_trackers_take_many(three):
    class Single:
        def init(self, frame, box_xywh): ...

        def update(self, frame): ...

    assert isinstance(three, SlotTracker)
    assert not isinstance(Single(), SlotTracker)
    assert isinstance(OneSlot(Single()), SlotTracker)
