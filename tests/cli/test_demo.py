"""The demo's way from training to a video, on a run too short to learn anything."""

from __future__ import annotations

import dataclasses
import json

import av
import pytest

from ostrack_jax import config as configs
from ostrack_jax.cli import demo
from ostrack_jax.cli.command import run
from ostrack_jax.evaluation import protocols


@pytest.mark.slow
def test_the_demo_trains_scores_and_draws(small_config, monkeypatch, tmp_path, capsys):
    options = {"width": 96, "height": 72, "frames": 24, "sequences": 4}
    data = {name: dataclasses.replace(part, options=options) for name, part in small_config.data.items()}
    short = dataclasses.replace(small_config.train, batch=4, epochs=1, pairs_per_epoch=8, validation_pairs=4)
    monkeypatch.setattr(configs, "load", lambda name: dataclasses.replace(small_config, data=data, train=short))
    held_out = protocols.find("synthetic").open(None)
    monkeypatch.setattr(protocols.Protocol, "open", lambda *_, **__: held_out[:2])
    assert run(demo, ["--output", str(tmp_path / "out")], "ostrack demo") == 0
    told = capsys.readouterr().out
    for row in ("tiny (this run)", "never moves", "OpenCV MIL", "success AUC", "demo.mp4"):
        assert row in told
    still = json.loads((tmp_path / "out" / "still" / "report.json").read_text())
    assert 0 < still["scores"]["ao"] < 1
    with av.open(str(tmp_path / "out" / "demo.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 2 * 60
