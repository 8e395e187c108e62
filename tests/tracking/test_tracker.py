"""The tracker against the published one's boxes, frame sizes without compiling, and a target that is gone."""

from __future__ import annotations

import logging

import jax
import numpy as np
import pytest

from ostrack_jax.checkpoint.files import save_weights
from ostrack_jax.errors import UserError
from ostrack_jax.tracking.prior import hann
from ostrack_jax.tracking.track import Track, follow
from ostrack_jax.tracking.tracker import Tracker

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("size", [256, 384])
def test_boxes_equal_the_release(size, golden, standin):
    reference = golden("tracking")
    tracker = Tracker(*standin(size))
    tracker.init(reference[f"{size}/frames"][0], reference[f"{size}/init"])
    ours = [tracker.update(frame).box_xywh for frame in reference[f"{size}/frames"][1:]]
    np.testing.assert_allclose(ours, reference[f"{size}/boxes"][1:], rtol=0, atol=0.01)


@pytest.mark.parametrize("side", [16, 24])
def test_the_window_equals_the_release(side, golden):
    np.testing.assert_allclose(hann(side), golden("preprocess")[f"hann_{side}"], rtol=0, atol=1e-7)


@pytest.fixture(scope="module")
def tracker(small_config, small_weights):
    return Tracker(small_config, small_weights)


def _noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_no_frame_size_compiles_anything(tracker, caplog):
    tracker.init(_noise(72, 96), (30.0, 20.0, 20.0, 16.0))
    tracker.update(_noise(72, 96))
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        for i, size in enumerate([(72, 96), (73, 101), (480, 640), (20, 30), (1080, 1920)]):
            tracker.init(_noise(*size), (5.5, 4.0, 10.0, 12.25))
            for _ in range(3):
                tracker.update(_noise(*size, seed=i))
    assert [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()] == []


def test_what_is_compiled_is_told(tracker):
    assert tracker.compile_seconds > 0


@pytest.mark.parametrize("frame", [np.zeros((72, 96, 3), np.uint8), _noise(72, 96)], ids=["black", "noise"])
def test_a_gone_target_leaves_the_box_in_the_frame(tracker, frame):
    tracker.init(_noise(72, 96, seed=1), (30.0, 20.0, 20.0, 16.0))
    for _ in range(500):
        x, y, w, h = tracker.update(frame).box_xywh
        assert x >= 0
        assert y >= 0
        assert x + w <= 96
        assert y + h <= 72
        assert min(w, h) >= 10


def test_the_same_run_gives_the_same_boxes(tracker):
    runs = []
    for _ in range(2):
        tracker.init(_noise(72, 96), (30.0, 20.0, 20.0, 16.0))
        runs.append([tracker.update(_noise(72, 96, seed)).box_xywh for seed in range(5)])
    np.testing.assert_array_equal(*runs)


def test_a_track_is_the_callers_own(tracker):
    tracker.init(_noise(72, 96), (30.0, 20.0, 20.0, 16.0))
    first = tracker.update(_noise(72, 96, 1))
    first.box_xywh[:] = -1000.0
    assert (tracker.update(_noise(72, 96, 2)).box_xywh >= 0).all()


def test_from_a_checkpoint(tracker, small_config, small_weights, tmp_path):
    save_weights(tmp_path, small_weights, small_config)
    other = Tracker.from_checkpoint(tmp_path)
    for each in (tracker, other):
        each.init(_noise(72, 96), (30.0, 20.0, 20.0, 16.0))
    np.testing.assert_array_equal(tracker.update(_noise(72, 96, 3)).box_xywh, other.update(_noise(72, 96, 3)).box_xywh)


@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 0.0, 10.0), (5.0, 5.0, -3.0, 4.0), (float("nan"), 0.0, 5.0, 5.0), (1.0, 2.0, 3.0)]
)
def test_impossible_boxes(tracker, box):
    with pytest.raises(UserError):
        tracker.init(_noise(72, 96), box)


@pytest.mark.parametrize("frame", [np.zeros((72, 96), np.uint8), np.zeros((72, 96, 3), np.float32), "frame.jpg"])
def test_frames_that_are_none(small_config, small_weights, tracker, frame):
    checked = Tracker.init.__wrapped__ if hasattr(Tracker.init, "__wrapped__") else Tracker.init
    with pytest.raises(UserError, match="uint8"):
        checked(tracker, frame, (5.0, 5.0, 10.0, 10.0))


def test_update_before_init(small_config, small_weights):
    with pytest.raises(RuntimeError, match="init"):
        Tracker(small_config, small_weights).update(_noise(72, 96))


def test_following_starts_with_the_box_given():
    class Drifts:
        def init(self, frame, box_xywh):
            self.box = box_xywh

        def update(self, frame):
            self.box = self.box + 1
            return Track(self.box, 0.5)

    frames = [np.full((48, 64, 3), value, np.uint8) for value in (1, 2, 3)]
    steps = list(follow(Drifts(), iter(frames), np.array([1.0, 2, 3, 4])))
    assert [frame[0, 0, 0] for frame, _ in steps] == [1, 2, 3]
    assert [track.box_xywh[0] for _, track in steps] == [1, 2, 3]
    assert np.isnan(steps[0][1].score)
    assert steps[1][1].score == 0.5
