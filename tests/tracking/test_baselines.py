"""The trackers to compare with: what OpenCV is given, what its answers become, which files are taken."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.tracking import baselines

BOX = np.array([40.0, 30.0, 36.0, 28.0])


@pytest.fixture(scope="module")
def video():
    """A textured patch that moves 3 pixels right and 2 down each frame over a textured ground; its boxes."""
    rng = np.random.default_rng(4)
    ground = cv2.resize(rng.integers(60, 120, (15, 20, 3), dtype=np.uint8), (200, 150))
    patch = cv2.resize(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8), (36, 28), interpolation=cv2.INTER_NEAREST)
    frames, boxes = [], []
    for t in range(12):
        frame, x, y = ground.copy(), 40 + 3 * t, 30 + 2 * t
        frame[y : y + 28, x : x + 36] = patch
        frames.append(frame)
        boxes.append([x, y, 36, 28])
    return frames, np.array(boxes, float)


class Recorder:
    """Stands for one of OpenCV's trackers; keeps what it is given."""

    def __init__(self, answers):
        self.answers, self.seen = list(answers), []

    def init(self, frame, box):
        self.seen.append((frame.copy(), box))

    def update(self, frame):
        self.seen.append((frame.copy(), None))
        return self.answers.pop(0)

    def getTrackingScore(self):  # noqa: N802 - OpenCV's name
        return 0.25


@pytest.fixture
def recorded(monkeypatch):
    """An `OpenCVTracker` over a `Recorder`."""

    def make(*answers, kind="mil"):
        recorder = Recorder(answers)
        monkeypatch.setattr(baselines.OpenCVTracker, "_new", lambda self: recorder)
        return baselines.OpenCVTracker(kind), recorder

    return make


def test_still_never_moves(video):
    tracker = baselines.make("still")
    with pytest.raises(RuntimeError, match="before"):
        tracker.update(video[0][0])
    box = BOX.copy()
    tracker.init(video[0][0], box)
    first = tracker.update(video[0][1])
    first.box_xywh[:] += 5
    box += 7
    second = tracker.update(video[0][2])
    np.testing.assert_array_equal(second.box_xywh, BOX)
    assert np.isnan(second.score)


def test_opencv_gets_bgr_and_whole_pixels_and_answers_floats(recorded):
    tracker, recorder = recorded((True, (3, 4, 5, 6)), kind="nano")
    frame = np.zeros((50, 60, 3), np.uint8)
    frame[..., 0], frame[..., 2] = 200, 10
    tracker.init(frame, np.array([10.5, 11.5, 7.6, 8.4]))
    track = tracker.update(frame)
    (first, box), (second, _) = recorder.seen
    assert box == (10, 12, 8, 8)  # half to even
    assert all(type(v) is int for v in box)
    for picture in (first, second):
        assert picture[0, 0].tolist() == [10, 0, 200]
    assert track.box_xywh.dtype == np.float64
    assert (track.box_xywh.tolist(), track.score) == ([3, 4, 5, 6], 0.25)


def test_a_lost_target_is_an_empty_box(recorded):
    tracker, _ = recorded((False, (9, 9, 9, 9)), (True, (1, 2, 3, 4)), kind="vit")
    frame = np.zeros((50, 60, 3), np.uint8)
    tracker.init(frame, BOX / 2)
    lost, found = tracker.update(frame), tracker.update(frame)
    assert (lost.box_xywh.tolist(), lost.score) == ([0, 0, 0, 0], 0.25)
    assert found.box_xywh.tolist() == [1, 2, 3, 4]


def test_the_first_box_is_clipped_to_the_frame(recorded):
    tracker, recorder = recorded()
    frame = np.zeros((50, 60, 3), np.uint8)
    tracker.init(frame, np.array([-5.0, 40.0, 20.0, 30.0]))
    assert recorder.seen[-1][1] == (0, 40, 15, 10)


@pytest.mark.parametrize("box", [(60, 10, 9, 9), (10, -9, 9, 9), (10, 10, 4, 4), (59, 49, 30, 30), (5, 5, 40, 1)])
def test_mil_refuses_a_box_it_would_never_return_from(box):
    tracker = baselines.make("opencv:mil")
    with pytest.raises(UserError, match="expected at least 25 pixels"):
        tracker.init(np.zeros((50, 60, 3), np.uint8), np.array(box, float))


@pytest.mark.slow
def test_mil_follows_and_repeats_itself(video):
    frames, boxes = video
    tracker = baselines.make("opencv:mil")
    with pytest.raises(RuntimeError, match="before"):
        tracker.update(frames[0])
    runs = []
    for _ in range(2):
        tracker.init(frames[0], boxes[0])
        runs.append(np.array([tracker.update(frame).box_xywh for frame in frames[1:]]))
        if os.name == "posix":
            ctypes.CDLL(None).rand()  # another's draws must not matter
        cv2.randu(np.zeros(3), 0, 1)
    np.testing.assert_array_equal(*runs)
    error = np.abs(runs[0][:, :2] - boxes[1:, :2]).max(axis=1)
    assert error[-1] < 10 < np.abs(boxes[0, :2] - boxes[-1, :2]).max()


@pytest.mark.slow
def test_another_seed_is_another_mil(video):
    frames, boxes = video
    runs = []
    for seed in (0, 1, 2):
        tracker = baselines.OpenCVTracker("mil", seed=seed)
        tracker.init(frames[0], boxes[0])
        runs.append(tuple(tuple(tracker.update(frame).box_xywh) for frame in frames[1:]))
    assert len(set(runs)) > 1


def test_wrong_names_and_folders_are_found(tmp_path):
    with pytest.raises(UserError, match=r"'opencv:nanno'.*did you mean 'opencv:nano'"):
        baselines.make("opencv:nanno", tmp_path)
    with pytest.raises(UserError, match="--tracker_files"):
        baselines.make("opencv:nano")
    with pytest.raises(UserError, match="missing is none"):
        baselines.make("opencv:vit", tmp_path / "missing")
    with pytest.raises(UserError, match="found none"):
        baselines.make("opencv:vit", tmp_path)


def test_model_files_are_found_by_name_a_folder_down_or_not(tmp_path):
    (tmp_path / "v2").mkdir()
    for name in (
        "v2/nanotrack_backbone_sim.onnx",
        "v2/nanotrack_head_sim.onnx",
        "object_tracking_vittrack_2023sep.onnx",
    ):
        (tmp_path / name).write_bytes(b"x")
    nano = baselines.find_files("nano", tmp_path)
    assert {name: path.name for name, path in nano.items()} == {
        "backbone": "nanotrack_backbone_sim.onnx",
        "neckhead": "nanotrack_head_sim.onnx",
    }
    assert baselines.find_files("vit", tmp_path)["net"].parent == tmp_path
    assert baselines.find_files("mil", None) == {}
    (tmp_path / "NanoTrack_Head_other.onnx").write_bytes(b"y")
    with pytest.raises(UserError, match="needs one file"):
        baselines.find_files("nano", tmp_path)


def test_broken_model_files_are_one_line(tmp_path):
    path = tmp_path / "vitTracker.onnx"
    level = cv2.utils.logging.getLogLevel()
    for content in (b"", b"no model at all" * 50):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot make its tracker vit") as error:
            baselines.make("opencv:vit", tmp_path)
        assert "\n" not in str(error.value)
    assert cv2.utils.logging.getLogLevel() == level


def test_the_provenance_of_a_baseline(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines.OpenCVTracker, "_new", lambda self: None)
    assert baselines.make("still").provenance == {"tracker": "still"}
    path = tmp_path / "vitTracker.onnx"
    path.write_bytes(b"abc")
    found = baselines.make("opencv:vit", tmp_path).provenance
    assert found["opencv"] == cv2.__version__
    assert found["model_files_sha256"]["net"].startswith("ba7816bf")
    path.write_bytes(b"abd")
    assert baselines.make("opencv:vit", tmp_path).provenance != found


def test_the_baselines_work_without_jax():
    code = "import sys; sys.modules['jax'] = None; from ostrack_jax.tracking import baselines; baselines.make('still')"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
