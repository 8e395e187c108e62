"""A trained tracker (`tests/golden/tiny.safetensors`, of `configs/tiny.py`) follows, and doubts what is not there."""

from __future__ import annotations

import numpy as np
import pytest

from ostrack_jax.data.generated.synthetic import open_synthetic
from ostrack_jax.geometry.boxes import iou, xywh_to_xyxy
from ostrack_jax.tracking.tracker import Tracker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tracker(request):
    return Tracker.from_checkpoint(request.path.parents[1] / "golden" / "tiny.safetensors")


@pytest.fixture(scope="module")
def sequences():
    return open_synthetic("test", sequences=4, frames=25, width=240, height=180)


def _follow(tracker, sequence, frames):
    tracker.init(sequence.frames[0], sequence.boxes_xywh[0])
    return [tracker.update(frame) for frame in frames]


def test_it_overlaps_more_than_a_box_that_never_moves(tracker, sequences):
    ours, still = [], []
    for sequence in sequences:
        tracks = _follow(tracker, sequence, [sequence.frames[i] for i in range(1, len(sequence))])
        truth, seen = xywh_to_xyxy(sequence.boxes_xywh[1:]), sequence.visible[1:]
        boxes = np.stack([track.box_xywh for track in tracks])
        ours.append(iou(xywh_to_xyxy(boxes), truth)[seen].mean())
        still.append(iou(xywh_to_xyxy(sequence.boxes_xywh[:1]), truth)[seen].mean())
    assert np.mean(ours) > np.mean(still) + 0.2


def test_the_score_is_lower_where_the_target_is_not(tracker, sequences):
    with_target, without = [], []
    rng = np.random.default_rng(0)
    for kind, sequence in zip(("black", "noise", "black", "noise"), sequences, strict=True):
        seen = [sequence.frames[i] for i in range(1, 11) if sequence.visible[i]]
        with_target += [track.score for track in _follow(tracker, sequence, seen)]
        shape = sequence.frames[0].shape
        empty = [np.zeros(shape, np.uint8) if kind == "black" else rng.integers(0, 256, shape, np.uint8)] * 30
        tracks = _follow(tracker, sequence, empty)
        without += [track.score for track in tracks]
        for track in tracks:
            x, y, w, h = track.box_xywh
            assert x >= 0
            assert y >= 0
            assert x + w <= shape[1]
            assert y + h <= shape[0]
    assert np.mean(without) < np.mean(with_target)
