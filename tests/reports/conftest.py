"""A run's workdir as a training leaves it, with numbers made here."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from ostrack_jax.cli.main import main


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A workdir with its report: made once, drawing takes seconds."""
    folder = _maker(tmp_path_factory.mktemp("reported"))("run")
    assert main(["report", "train", str(folder)]) == 0
    return folder


@pytest.fixture
def workdir(tmp_path):
    """``workdir(name)``: 40 steps of two epochs; anything else by keyword: ``seed``, ``batch``, ``points``."""

    return _maker(tmp_path)


def _maker(tmp_path):
    def make(name="run", seed=0, batch=8, points=40):
        folder = tmp_path / name
        (folder / "pictures").mkdir(parents=True)
        rng, events = np.random.default_rng(seed), [_about()]
        for step in range(1, points + 1):
            keys = ("loss", "giou", "l1", "focal", "iou", "grad_norm", "pairs_per_second", "wait", "lr", "lr_backbone")
            numbers = {key: float(rng.uniform(0.1, 0.9)) for key in (*keys, "keep_ratio", "mfu")}
            events.append({"kind": "train", "step": step, **numbers})
            if step % 20 == 0:
                losses = {key: float(rng.uniform(0.1, 0.9)) for key in ("loss", "giou", "l1", "focal", "iou")}
                events.append({"kind": "validation", "step": step, **losses})
        (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        train = {"batch": batch, "pairs_per_epoch": 20 * batch, "epochs": 2}
        settings = {"name": "<i>tiny</i>", "model": {"keep_ratio": [0.7, 0.7]}, "train": train}
        (folder / "config.json").write_text(json.dumps(settings))
        for epoch in (1, 2, 10):
            cv2.imwrite(str(folder / "pictures" / f"epoch_{epoch:04}.png"), np.full((6, 8, 3), epoch, np.uint8))
        return folder

    return make


def _about():
    versions = {"jax": "0.10.2", "python": "3.11.9"}
    return {"kind": "run", "step": 0, "command": "ostrack train <script>alert(1)</script>", "versions": versions}
