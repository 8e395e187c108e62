"""Two real processes on this machine that train together do what one process with two devices does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax.checkpoint.steps import STEPS, TrainCheckpoints
from tests.training.small import OVERRIDES
from tests.training.test_distributed import free_port

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SHARED = {"train.batch": 4, "train.bn_group": 2, "train.pairs_per_epoch": 4, "train.validation_pairs": 4}
SHARED |= {"train.keep_from_epoch": 0, "train.keep_until_epoch": 0, "train.picture_every": 0, "train.shard": 2}


def start(workdir: Path, epochs: int, *words: str, devices: int, workers: int = 0) -> subprocess.Popen[str]:
    options = SHARED | {"train.epochs": epochs, "train.workers": workers}
    flags = [f"--config.{one}" for one in OVERRIDES] + [f"--config.{name}={value}" for name, value in options.items()]
    command = [sys.executable, "train.py", "--config", "tiny", "--workdir", str(workdir), *flags, *words]
    env = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=env)


@contextlib.contextmanager
def two(
    workdirs: list[Path], epochs: list[int], *words: str, workers: int = 0
) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that train together, killed in the end if they still run."""
    meet = ["--coordinator", f"localhost:{free_port()}", "--processes", "2", *words]
    started = [start(workdirs[i], epochs[i], *meet, "--process", str(i), devices=1, workers=workers) for i in range(2)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def printed_by(started: list[subprocess.Popen[str]], status: int = 0) -> list[str]:
    """What each of the processes prints until it ends, by ``status``."""
    printed = [process.communicate(timeout=600)[0] for process in started]
    assert [process.returncode for process in started] == [status] * 2, "\n".join(printed)[-4000:]
    return printed


def logged(workdir: Path) -> list[dict[str, float]]:
    """Every event of a run but what holds of time."""
    events = [json.loads(line) for line in (workdir / "log.jsonl").read_text().splitlines()]
    timed = ("pairs_per_second", "wait", "mfu")
    return [{k: v for k, v in event.items() if k not in timed} for event in events if event["kind"] != "run"]


def test_two_processes_train_as_one_with_two_devices_and_stop_together(tmp_path):
    one, shared = tmp_path / "one", tmp_path / "two"
    alone = start(one, 1, devices=2)
    printed = alone.communicate(timeout=600)[0]
    assert alone.returncode == 0, printed[-4000:]
    with two([shared] * 2, [1, 1]) as started:
        first, other = printed_by(started)
    assert "2 cpu device(s) of 2 processes" in first
    assert "epoch 1/1" in first
    assert "epoch" not in other
    expected, found = logged(one), logged(shared)
    assert [(e["kind"], e["step"]) for e in found] == [(e["kind"], e["step"]) for e in expected]
    for a, b in zip(expected, found, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"kind"}:
            np.testing.assert_allclose(b[name], a[name], rtol=1e-6, err_msg=f"{a} {name}")

    # Resumed until a Ctrl-C at one, which is passed on as SIGTERM: this shows both.
    words = ["--config.train.validate_every=0", "--config.train.save_every=1"]
    with two([shared] * 2, [999, 999], *words, workers=1) as started:
        end = time.monotonic() + 300
        while TrainCheckpoints(shared / STEPS).steps()[-1] < 2 and time.monotonic() < end:
            time.sleep(0.05)
        started[1].send_signal(signal.SIGINT)
        printed = printed_by(started, 128 + signal.SIGTERM)
    assert "from step 1" in printed[0]
    step = re.findall(r"stopped by SIGTERM at step (\d+), saved", "".join(printed))
    assert len(step) == 2
    assert step[0] == step[1]
    assert TrainCheckpoints(shared / STEPS).steps()[-1] == int(step[0])
    logs = [path for path in shared.rglob("*") if "log.jsonl" in path.name or "tfevents" in path.name]
    assert len(logs) == 3  # one of lines; one of TensorBoard for each start


def test_another_config_ends_both_with_a_line(tmp_path):
    with two([tmp_path] * 2, [1, 2]) as started:
        printed = printed_by(started, 2)
    assert all("process 1 has another config than process 0" in text for text in printed)


def test_a_directory_that_is_not_shared_ends_both_with_a_line(tmp_path):
    folders = [tmp_path / "here", tmp_path / "there"]
    with two(folders, [1, 1]) as started:
        printed = printed_by(started, 2)
    for text, folder in zip(printed, folders, strict=True):
        assert f"--workdir {folder}: not seen by process 1" in text
    assert [path.name for path in folders[0].iterdir()] == ["run.lock"]
