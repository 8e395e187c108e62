"""Runs that are killed or stopped: in the end what an undisturbed run gives, all the same."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from ostrack_jax.checkpoint.files import load_weights, sha256
from ostrack_jax.checkpoint.steps import BEST, STEPS, TrainCheckpoints
from ostrack_jax.config import DataConfig, freeze, to_dict
from ostrack_jax.training.logging import LOG_FILE, read_events
from tests.training.conftest import trained, with_train

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]

PROGRAM = """
import json, sys
from pathlib import Path
from ostrack_jax.cli import command
from ostrack_jax.config import freeze
from ostrack_jax.training.trainer import train

class Train:
    "Train by a config file."
    def define(self, flags): pass
    def main(self, flags, arguments):
        train(freeze(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))

if __name__ == "__main__":
    sys.exit(command.run(Train(), [], "train"))
"""
STEPS_IN_ALL = 12


@pytest.fixture(scope="module")
def config(run_config):
    """Six epochs of two steps, a loader process, a validation every third epoch."""
    often = {"keep_checkpoints": 2, "picture_every": 0, "workers": 1}
    return with_train(run_config, epochs=6, validate_every=3, **often)


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    """The workdir of a run in one go."""
    return trained(with_train(config, workers=0), tmp_path_factory.mktemp("undisturbed")).workdir


class Runs:
    """Subprocesses that train one config in one workdir, one after the other."""

    def __init__(self, config, folder):
        self.workdir, self._config, self._program = folder / "run", folder / "config.json", folder / "program.py"
        self._config.write_text(json.dumps(to_dict(config)))
        self._program.write_text(PROGRAM)

    def lines(self):
        """How many lines its log has."""
        path = self.workdir / LOG_FILE
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def go(self, until=None, later=0.0, number=None, then=lambda: None):
        """Run to the end, or until the log has ``until`` lines more and some time ``later``, then send a signal."""
        words = [sys.executable, str(self._program), str(self._config), str(self.workdir)]
        before = self.lines()
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            if until is not None:
                deadline = time.monotonic() + 300
                while self.lines() < before + until and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.002)
                time.sleep(later)
                then()
                self.signalled = time.time()
                process.send_signal(number)
            began = time.monotonic()
            printed = process.communicate(timeout=300)[0]
            return process.returncode, printed, time.monotonic() - began


def losses(workdir):
    """Losses and gradient norms by step, of training and validation, as text that shows every bit."""
    return [
        (event["kind"], event["step"], event["loss"].hex(), event.get("grad_norm", 0.0).hex())
        for event in read_events(workdir)
        if event["kind"] != "run"
    ]


def test_killed_and_stopped_at_random_the_losses_are_those_of_an_undisturbed_run(config, undisturbed, tmp_path):
    seed = int(os.environ.get("OSTRACK_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"OSTRACK_TEST_SEED={seed}")  # shown where the test fails
    rng = random.Random(seed)
    runs = Runs(config, tmp_path)
    for number in (signal.SIGKILL, signal.SIGTERM):
        status, printed, seconds = runs.go(rng.randrange(2, 6), rng.uniform(0, 0.3), number)
        if number == signal.SIGTERM:
            assert status == 128 + signal.SIGTERM, printed
            assert seconds < 30  # on a machine that does much else; alone about one
            assert "stopped by SIGTERM" in printed
            step = int(read_events(runs.workdir, "train")[-1]["step"])
            assert TrainCheckpoints(runs.workdir / STEPS).steps()[-1] == step
        else:
            assert status == -signal.SIGKILL, printed
    status, printed, _ = runs.go()
    assert status == 0, printed
    assert "from step" in printed
    assert "Traceback" not in printed
    assert losses(runs.workdir) == losses(undisturbed)
    assert len(losses(undisturbed)) == STEPS_IN_ALL + 2
    assert TrainCheckpoints(runs.workdir / BEST).steps() == TrainCheckpoints(undisturbed / BEST).steps()
    for folder in ("", BEST):
        found, expected = (load_weights(path / folder)[1] for path in (runs.workdir, undisturbed))
        assert sha256(found) == sha256(expected)


def test_the_best_is_that_of_the_best_validation(config, undisturbed):
    best = max(read_events(undisturbed, "validation"), key=lambda event: event["iou"])
    steps = TrainCheckpoints(undisturbed / BEST)
    assert steps.steps() == [best["step"]]
    about = steps.about(best["step"])
    assert about["validation"]["iou"] == best["iou"]
    assert freeze(about["config"]).model == config.model
    assert about["position"] == {"seed": 42, "step": best["step"], "next_record": 2 * best["step"]}


def test_a_corrupt_newest_is_skipped_and_the_run_ends_as_it_did(config, undisturbed, tmp_path, caplog):
    workdir = shutil.copytree(undisturbed, tmp_path / "run")
    for part in (workdir / STEPS / str(STEPS_IN_ALL)).rglob("d/*"):
        part.write_bytes(part.read_bytes()[:-20])
    printed = trained(with_train(config, workers=0), workdir).printed
    assert "skipped" in caplog.text
    assert f"from step {STEPS_IN_ALL - 2} of" in printed
    assert losses(workdir) == losses(undisturbed)
    assert (workdir / "broken" / f"{STEPS}-{STEPS_IN_ALL}").is_dir()


SLOW = """
import os
import numpy as np
from ostrack_jax.data.readers import registry
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence

class Frames:
    "Noise; from when a file is there no frame is ever read."
    def __len__(self):
        return 24
    def __getitem__(self, index):
        while os.path.exists(os.environ["OSTRACK_TEST_HANGS"]):
            time.sleep(1)
        return np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)

def build(name, key):
    return Sequence(name, Frames(), np.tile(np.array((20.0, 15, 16, 12)), (24, 1)), np.ones(24, bool))

registry.READERS["slow"] = lambda: LazySequences({"a": None}, build)
"""


def test_a_signal_is_answered_within_seconds_whatever_the_loader_processes_do(config, tmp_path, monkeypatch):
    """All of them hang in the middle of a read, and no batch will come."""
    settings = dataclasses.replace(config.train, workers=2, epochs=9999, validate_every=0)
    slow = dataclasses.replace(config, data={"slow": DataConfig(reader="slow")}, train=settings)
    monkeypatch.setenv("OSTRACK_TEST_HANGS", str(tmp_path / "hangs"))
    runs = Runs(slow, tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM.replace("class Train", f"import time\n{SLOW}\nclass Train"))

    def hang():
        lines = -1
        (tmp_path / "hangs").touch()
        while lines < runs.lines():  # until no step comes any more
            lines = runs.lines()
            time.sleep(2)

    status, printed, seconds = runs.go(until=5, then=hang, number=signal.SIGTERM)
    assert status == 128 + signal.SIGTERM, printed
    step = int(read_events(runs.workdir, "train")[-1]["step"])
    assert f"stopped by SIGTERM at step {step}, saved" in printed
    newest = runs.workdir / STEPS / str(step)
    assert newest.stat().st_mtime - runs.signalled < 5
    assert seconds < 10
