"""A workdir belongs to one run at a time, whoever else asks, and to nobody once its process has ended."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ostrack_jax.errors import UserError
from ostrack_jax.training.lock import locked
from ostrack_jax.training.trainer import train

# Takes the lock, starts a loader process that makes an item for an hour, and says which it is.
HOLDER = """
import multiprocessing, sys, time
import numpy as np
from pathlib import Path
from rich.console import Console
from ostrack_jax.pipeline.workers import Prefetcher
from ostrack_jax.training.lock import locked

class Slow:
    def __call__(self, index, fields):
        time.sleep(3600)

if __name__ == "__main__":
    with locked(Path(sys.argv[1])), Prefetcher(Slow(), np.dtype([("x", "u1")]), 1):
        print(multiprocessing.active_children()[0].pid, flush=True)
        time.sleep(3600)
"""


def quiet():
    return Console(file=io.StringIO(), width=300)


def test_a_second_training_is_refused_and_changes_nothing(small_config, tmp_path):
    with locked(tmp_path):
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(UserError, match="another run is already training there") as caught:
            train(small_config, tmp_path, console=quiet())
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    told = str(caught.value)
    assert told.startswith(f"--workdir {tmp_path}: ")
    assert f"(process {os.getpid()} on " in told
    assert ", since 20" in told
    assert "\n" not in told
    with locked(tmp_path):
        pass


@pytest.mark.slow
def test_a_killed_run_holds_nothing_even_where_its_loader_process_lives_on(tmp_path):
    script = tmp_path / "holder.py"
    script.write_text(HOLDER)
    with subprocess.Popen([sys.executable, script, tmp_path / "run"], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        loader = int(holder.stdout.readline())
        os.kill(loader, signal.SIGSTOP)  # so that it cannot end with its trainer
        try:
            with pytest.raises(UserError, match=f"process {holder.pid} on "), locked(tmp_path / "run"):
                pass
            holder.kill()
            holder.wait()
            os.kill(loader, 0)
            with locked(tmp_path / "run"):
                pass
        finally:
            os.kill(loader, signal.SIGKILL)


def test_a_disk_without_locks_is_noticed_and_used(tmp_path, monkeypatch, caplog):
    def none(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    for _ in range(2):
        with locked(tmp_path / "run"):
            pass
    (line,) = caplog.messages
    assert "has no locks: take care that no other process works there" in line


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--workdir .*file: cannot write there: "), locked(tmp_path / "file"):
        pass
    assert Path(tmp_path / "file").read_text() == ""
