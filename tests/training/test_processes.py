"""Two real processes on this machine that train together do what one process with two devices does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax.checkpoint.steps import STEPS, TrainCheckpoints
from tests.training.small import OVERRIDES
from tests.training.test_distributed import free_port

pytestmark = pytest.mark.usefixtures("quickly_compiled")

ROOT = Path(__file__).parents[2]
SHARED = {"train.batch": 4, "train.bn_group": 2, "train.pairs_per_epoch": 4, "train.validation_pairs": 4}
SHARED |= {"train.keep_from_epoch": 0, "train.keep_until_epoch": 3, "train.picture_every": 0}


def start(workdir: Path, epochs: int, *words: str, devices: int = 1, workers: int = 0) -> subprocess.Popen[str]:
    options = SHARED | {"train.epochs": epochs, "train.workers": workers}
    flags = [f"--config.{one}" for one in OVERRIDES] + [f"--config.{name}={value}" for name, value in options.items()]
    command = [sys.executable, "train.py", "--config", "tiny", "--workdir", str(workdir), *flags, *words]
    env = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=env)


def together(workdirs: list[Path], epochs: int, *words: str, workers: int = 0, status: int = 0) -> list[str]:
    """What each of two processes prints."""
    meet = ["--coordinator", f"localhost:{free_port()}", "--processes", "2", *words]
    started = [start(workdirs[i], epochs, *meet, "--process", str(i), workers=workers) for i in range(2)]
    try:
        printed = [process.communicate(timeout=900)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [status] * 2, "\n".join(printed)[-4000:]
    return printed


def logged(workdir: Path) -> list[dict[str, float]]:
    """Every event of a run but what holds of time."""
    events = [json.loads(line) for line in (workdir / "log.jsonl").read_text().splitlines()]
    timed = ("pairs_per_second", "wait", "mfu")
    return [{k: v for k, v in event.items() if k not in timed} for event in events if event["kind"] != "run"]


@pytest.mark.slow
def test_two_processes_train_as_one_with_two_devices(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    alone = start(one, 2, devices=2)
    printed = alone.communicate(timeout=900)[0]
    assert alone.returncode == 0, printed[-4000:]
    first, other = together([two] * 2, 1)
    assert "2 cpu device(s) of 2 processes" in first
    assert "epoch 1/1" in first
    assert "epoch" not in other
    # resumed, with its parameters split over both
    first, _ = together([two] * 2, 2, "--config.train.shard=2", "--config.train.picture_every=1", workers=1)
    assert "from step 1" in first
    expected, found = logged(one), logged(two)
    assert [(e["kind"], e["step"]) for e in found] == [(e["kind"], e["step"]) for e in expected]
    for a, b in zip(expected, found, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"kind"}:
            # From step 2 on the parameters lie in parts, so sums round otherwise.
            np.testing.assert_allclose(b[name], a[name], rtol=1e-3 if a["step"] > 1 else 1e-6, err_msg=f"{a} {name}")
    logs = [path for path in two.rglob("*") if "log.jsonl" in path.name or "tfevents" in path.name]
    assert len(logs) == 3  # one of lines; one of TensorBoard for each start
    assert sorted(path.name for path in (two / "pictures").iterdir()) == ["epoch_0002.png"]


@pytest.mark.slow
def test_a_ctrl_c_at_one_stops_both(tmp_path):
    """It is passed on as SIGTERM, so that this shows both."""
    meet = ["--coordinator", f"localhost:{free_port()}", "--processes", "2"]
    often = ["--config.train.picture_every=0", "--config.train.validate_every=0", "--config.train.save_every=1"]
    started = [start(tmp_path, 999, *meet, *often, "--process", str(i)) for i in range(2)]
    try:
        end = time.monotonic() + 120
        while not len(TrainCheckpoints(tmp_path / STEPS).steps()) and time.monotonic() < end:
            time.sleep(0.05)
        started[1].send_signal(signal.SIGINT)
        printed = [process.communicate(timeout=120)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [128 + signal.SIGTERM] * 2, "\n".join(printed)[-4000:]
    step = re.findall(r"stopped by SIGTERM at step (\d+), saved", "".join(printed))
    assert len(step) == 2
    assert step[0] == step[1]
    assert TrainCheckpoints(tmp_path / STEPS).steps()[-1] == int(step[0])


@pytest.mark.slow
def test_another_config_ends_both_with_a_line(tmp_path):
    meet = ["--coordinator", f"localhost:{free_port()}", "--processes", "2"]
    started = [start(tmp_path, 1 + i, *meet, "--process", str(i)) for i in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [2, 2]
    assert all("process 1 has another config than process 0" in text for text in printed)


@pytest.mark.slow
def test_a_directory_that_is_not_shared_ends_both_with_a_line(tmp_path):
    printed = together([tmp_path / "here", tmp_path / "there"], 1, status=2)
    for text, folder in zip(printed, ("here", "there"), strict=True):
        assert f"--workdir {tmp_path / folder}: not seen by process 1" in text
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["run.lock"]
