"""The script that the VOT toolkit runs, in a session that is played here; and the toolkit itself where it is there."""

from __future__ import annotations

import dataclasses
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ostrack_jax.checkpoint.files import save_weights
from ostrack_jax.config import TrackConfig
from ostrack_jax.tracking.track import Track

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "ostrack_jax/integrations/vot_tracker.py"


class Region:
    """A rectangle of vot-trax."""

    RECTANGLE = "rectangle"

    def __init__(self, *box):
        self.box = box

    def bounds(self):
        return self.box


class Session:
    """A server of vot-trax that plays requests and keeps the answers."""

    requests = ()

    def __init__(self, regions, images, tracker_name):
        assert (regions, images) == (["rectangle"], ["path"])
        self.waiting, self.answers = list(self.requests), []
        Session.last = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wait(self):
        return self.waiting.pop(0)

    def status(self, objects):
        self.answers.append([(region.box, stated) for region, stated in objects])


class Recorder:
    """A tracker that keeps what it is given and answers half pixels further each time."""

    def __init__(self, score=0.75):
        self.calls, self.score = [], score

    def init(self, frame, box_xywh):
        self.calls.append(("init", frame[0, 0].tolist(), box_xywh.tolist()))
        self.box = box_xywh

    def update(self, frame):
        self.calls.append(("update", frame[0, 0].tolist()))
        self.box = self.box + 0.5
        return Track(self.box, self.score)


@pytest.fixture
def script(monkeypatch):
    """The script's names, loaded next to a stand-in for vot-trax."""
    status = SimpleNamespace(INITIALIZE="initialize", FRAME="frame", QUIT="quit")
    stand_in = SimpleNamespace(
        Server=Session,
        Region=Region,
        Image=SimpleNamespace(PATH="path"),
        ImageChannel=SimpleNamespace(COLOR="color"),
        TraxStatus=status,
        Rectangle=SimpleNamespace(create=Region),
    )
    monkeypatch.setitem(sys.modules, "trax", stand_in)  # type: ignore[arg-type]
    return runpy.run_path(str(SCRIPT))


def request(kind, path=None, box=None):
    image = {"color": SimpleNamespace(path=lambda: str(path))} if path else None
    return SimpleNamespace(type=kind, image=image, objects=[(Region(*box), {})] if box else None)


@pytest.fixture
def frames(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((20, 30, 3), (3, 2, 10 * i), np.uint8))  # BGR: red tells them apart
    return paths


def test_a_session_of_two_starts(script, frames):
    Session.requests = [
        request("initialize", frames[0], (1.0, 2.0, 8.0, 6.0)),
        request("frame", frames[1]),
        request("frame", frames[2]),
        request("initialize", frames[1], (4.0, 5.0, 6.0, 7.0)),
        request("frame", frames[2]),
        request("quit"),
    ]
    tracker = Recorder()
    script["serve"](tracker)
    red = [[10 * i, 2, 3] for i in range(3)]
    first, second = [1.0, 2.0, 8.0, 6.0], [4.0, 5.0, 6.0, 7.0]
    assert tracker.calls == [
        ("init", red[0], first),
        ("update", red[1]),
        ("update", red[2]),
        ("init", red[1], second),
        ("update", red[2]),
    ]
    confident = {"confidence": "0.750000"}
    assert Session.last.answers == [
        [(tuple(first), {})],
        [((1.5, 2.5, 8.5, 6.5), confident)],
        [((2.0, 3.0, 9.0, 7.0), confident)],
        [(tuple(second), {})],
        [((4.5, 5.5, 6.5, 7.5), confident)],
    ]


def test_a_tracker_without_scores_states_no_confidence(script, frames):
    Session.requests = [request("initialize", frames[0], (1, 2, 8, 6)), request("frame", frames[1]), request("quit")]
    script["serve"](Recorder(score=float("nan")))
    assert Session.last.answers[1][0][1] == {}


def test_the_tracker_has_run_before_the_handshake(script, monkeypatch):
    tracker = Recorder()
    monkeypatch.setitem(script["main"].__globals__, "load", lambda words: tracker)
    monkeypatch.setitem(script["main"].__globals__, "serve", lambda served: served.calls.append("handshake"))
    assert script["main"]([]) == 0
    assert [call if isinstance(call, str) else call[0] for call in tracker.calls] == ["init", "update", "handshake"]


def test_the_words_that_ostrack_vot_writes(script, small_config, small_weights, tmp_path, capsys):
    save_weights(tmp_path, small_weights, small_config)
    loaded = script["load"](["--checkpoint", str(tmp_path), "--config.track.margin=7"])
    assert loaded.config == dataclasses.replace(small_config, track=TrackConfig(margin=7.0))
    assert script["load"](["--tracker", "still"]).provenance == {"tracker": "still"}
    assert script["main"](["--tracker", "stil"]) == 2
    assert "did you mean 'still'" in capsys.readouterr().err
    for words in ([], ["--tracker", "still", "--checkpoint", "a"], ["--tracker", "still", "--speed=2"]):
        with pytest.raises(SystemExit):
            script["load"](words)


def toolkit_python():
    """The Python that has the toolkit: OSTRACK_VOT_TOOLKIT, else that of `vot` on the path; None without either."""
    named = os.environ.get("OSTRACK_VOT_TOOLKIT")
    found = shutil.which("vot")
    return named or (str(Path(found).with_name("python")) if found else None)


@pytest.mark.slow
def test_the_toolkit_evaluates_and_analyses(tmp_path):
    python = toolkit_python()
    if python is None:
        pytest.skip("the VOT toolkit is not installed (OSTRACK_VOT_TOOLKIT names the Python that has it)")
    pytest.importorskip("trax", reason="vot-trax is not installed")
    words = ["--toolkit", python, "--tracker", "still", "--workspace", str(tmp_path / "vot")]
    program = [sys.executable, str(ROOT / "benchmarks/vot_toolkit.py"), "--sequences", "3", "--frames", "12", *words]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "vot/analysis/run.json").read_text())["results"]
    assert set(results) == {"baseline", "realtime", "supervised", "unsupervised"}
    (accuracy,) = results["unsupervised"]["results"][0][0]
    assert 0.05 < accuracy < 0.9  # a box that stays, on targets that move
