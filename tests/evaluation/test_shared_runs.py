"""Several processes on one folder of results: each sequence once, one of them killed, all accounted for."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ostrack_jax.evaluation import benchmarks, locks, results, runner

NAMES = [f"s{i}" for i in range(8)]
FRAMES = 12
PROGRAM = """
import io, sys, time
from pathlib import Path
from tests.evaluation.conftest import Oracle, lazy, make_sequence
from rich.console import Console
from ostrack_jax.evaluation import benchmarks, runner

class Slow(Oracle):
    def update(self, frame):
        time.sleep(0.05)
        return super().update(frame)

names = [f"s{i}" for i in range(8)]
sequences = lazy(*(make_sequence(n, 12, i, 5 if n == "s6" else None) for i, n in enumerate(names)))
folder, protocol = Path(sys.argv[1]), benchmarks.find("got10k_val")
print("ready", flush=True)
sys.stdin.readline()
done = runner.evaluate(Slow(), protocol, sequences, folder, {"tracker": "slow"}, Console(file=io.StringIO()),
                       {"command": sys.argv[0]})
print(*(f"{o.name}:{o.state}" for o in done))
sys.exit(any(o.state == "failed" for o in done))
"""


@pytest.fixture
def start(tmp_path):
    """Starts a process that evaluates once it reads a line; all are ended with the test."""
    program, started = tmp_path / "program.py", []
    program.write_text(PROGRAM)

    def call():
        words = [sys.executable, str(program), str(tmp_path / "out")]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        started.append(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        )
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.communicate()


def begun(folder):
    """Names that some process has noted as started and no more, by process."""
    return {r["process"]: [n for n, s in r["sequences"].items() if s == "started"] for r in locks.read_records(folder)}


def go(*started):
    """Let them begin together: importing takes longer than the work."""
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


@pytest.mark.slow
def test_a_killed_process_loses_nothing_and_nothing_is_done_twice(tmp_path, start):
    out, all_three = tmp_path / "out", [start() for _ in range(3)]
    go(*all_three)
    until(lambda: sum(map(bool, begun(out).values())) == 3)
    killed = next(name for name, names in begun(out).items() if names)
    (victim,) = [process for process in all_three if f"-{process.pid}-" in killed]
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    lost = begun(out)[killed]
    others = [process for process in all_three if process is not victim]
    told = [process.communicate(timeout=60)[0].split() for process in others]
    assert [process.returncode for process in others] == [1, 1]  # s6 has a picture that cannot be read
    for words in told:
        assert [word.split(":")[0] for word in words] == NAMES
        assert words[6] == "s6:failed"
        assert not any(word.endswith("failed") for word in words if not word.startswith("s6"))

    records = locks.read_records(out)
    assert len(records) == 3
    states = [(name, state) for record in records for name, state in record["sequences"].items()]
    for name in NAMES:
        assert states.count((name, "failed" if name == "s6" else "done")) == 1, name
    assert len(lost) <= 1
    assert lost or "done" in next(r for r in records if r["process"] == killed)["sequences"].values()
    for name in set(NAMES) - {"s6"}:
        assert len(results.read(out, name, "got10k").boxes_xywh) == FRAMES
    assert not (out / "s6").exists()

    again = start()
    go(again)
    told = again.communicate(timeout=60)[0].split()
    assert again.returncode == 1
    assert told == [f"{name}:{'failed' if name == 's6' else 'skipped'}" for name in NAMES]
    assert [record["sequences"] for record in locks.read_records(out)[3:]] == [{"s6": "failed"}]


def test_a_process_tells_what_it_is_before_it_has_finished_anything(tmp_path, oracle, sequence, listed):
    class Interrupted(oracle):
        def update(self, frame):
            raise KeyboardInterrupt

    about = {"command": "ostrack eval", "config": {"name": "x"}}
    with pytest.raises(KeyboardInterrupt):
        runner.evaluate(
            Interrupted(),
            benchmarks.find("otb"),
            listed(sequence("one", 3)),
            tmp_path,
            {"tracker": "a", "weights_sha256": "ab"},
            Console(file=io.StringIO()),
            about,
        )
    (record,) = locks.read_records(tmp_path)
    assert record["sequences"] == {"one": "started"}
    assert record["made_by"]["weights_sha256"] == "ab"
    assert (record["command"], record["config"], record["targets"]) == ("ostrack eval", {"name": "x"}, 1)
    assert record["versions"]["numpy"] == np.__version__
    assert record["hardware"]["cores"] >= 1
    assert {"commit", "host", "started", "process"} <= record.keys()
