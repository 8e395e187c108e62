"""The demo: the shipped network follows the rabbit; and a run of `--train` too short to learn anything."""

from __future__ import annotations

import dataclasses
import json
import re

import av
import cv2
import numpy as np
import pytest

from ostrack_jax import config as configs
from ostrack_jax.cli import demo
from ostrack_jax.cli.command import run
from ostrack_jax.data.generated.synthetic import open_synthetic
from ostrack_jax.data.video import VideoFrames
from ostrack_jax.evaluation import benchmarks

# Around the rabbit in frames 21 and 33 of the clip, drawn by eye.
RABBIT_XYWH = {21: (76, 76, 216, 216), 33: (79, 86, 254, 209)}


def overlap(a, b) -> float:
    """Intersection over union of two boxes x, y, w, h."""
    a, b = np.array(a, float), np.array(b, float)
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    inside = np.prod(np.maximum(sides, 0))
    return float(inside / (np.prod(a[2:]) + np.prod(b[2:]) - inside))


@pytest.mark.slow
def test_the_demo_follows_the_rabbit(monkeypatch, tmp_path, capsys):
    class EveryThird(VideoFrames):
        """Frames 0, 3, .. 33 of the clip, as 12 frames."""

        def __len__(self):
            return 12

        def __getitem__(self, index):
            return VideoFrames(demo.CLIP)[3 * index] if index < 12 else super().__getitem__(10**6)

    monkeypatch.setattr("ostrack_jax.data.video.VideoFrames", EveryThird)
    assert run(demo, ["--output", str(tmp_path / "out")], "ostrack demo") == 0
    out = capsys.readouterr().out
    lines = re.findall(r"frame +(\d+): box at (-?\d+),(-?\d+), (\d+) x (\d+) pixels, (given|score 0\.\d\d)", out)
    boxes = {3 * int(frame): tuple(map(int, box)) for frame, *box, _ in lines}
    assert list(boxes) == list(range(0, 36, 3))
    assert boxes[0] == demo.BOX_XYWH
    assert all(overlap(boxes[frame], RABBIT_XYWH[frame]) > 0.5 for frame in RABBIT_XYWH)
    assert re.search(r"12 frames, \d+\.\d frames/s", out)
    with av.open(str(tmp_path / "out" / "demo.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 12
    assert cv2.imread(str(tmp_path / "out" / "demo.jpg")).shape[1] > 1280  # four frames of 320 in a row


@pytest.mark.slow
@pytest.mark.usefixtures("quickly_compiled")
def test_the_demo_trains_scores_and_draws(small_config, monkeypatch, tmp_path, capsys):
    options = {"width": 96, "height": 72, "frames": 24, "sequences": 2}
    data = {name: dataclasses.replace(part, options=options) for name, part in small_config.data.items()}
    fast = {"batch": 2, "epochs": 1, "pairs_per_epoch": 4, "validation_pairs": 2, "picture_every": 0}
    train = dataclasses.replace(small_config.train, **fast)
    model = dataclasses.replace(small_config.model, width=16, depth=1, head_channels=8, eliminate_at=(0,))
    config = dataclasses.replace(small_config, data=data, train=train, model=model)
    monkeypatch.setattr(configs, "load", lambda name: config)
    held_out = open_synthetic(part="test", **{**options, "frames": 12})
    monkeypatch.setattr(benchmarks.Benchmark, "open", lambda *_, **__: held_out)
    assert run(demo, ["--train", "--output", str(tmp_path / "out")], "ostrack demo") == 0
    printed = capsys.readouterr().out
    for row in ("tiny (this run)", "never moves", "OpenCV MIL", "success AUC", "demo.mp4"):
        assert row in printed
    still = json.loads((tmp_path / "out" / "still" / "report.json").read_text())
    assert 0 < still["scores"]["ao"] < 1
    with av.open(str(tmp_path / "out" / "demo.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 2 * 12
