"""Locks: one owner for each sequence, however many ask at once, and whoever is gone."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import locks as module
from ostrack_jax.evaluation.locks import LOCKS, RECORDS, Locks, read_records


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def foreign(directory, name, **owner):
    """A lock of another process, and its heartbeat."""
    path = directory / LOCKS / f"{name}.0.lock"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"process": "other", "machine": module._machine(), "pid": os.getpid(), **owner}))
    (directory / LOCKS / "other.alive").touch()
    return path


def locked(directory):
    return sorted({path.stem.rpartition(".")[0] for path in (directory / LOCKS).glob("*.lock")})


def test_of_many_that_ask_at_once_one_gets_it(tmp_path, gone):
    names = [str(i) for i in range(10, 50)]
    for name in names[::2]:
        foreign(tmp_path, name, pid=gone)  # taken over or free: alike
    got, barrier = [], threading.Barrier(8)

    def ask():
        with Locks(tmp_path) as locks:
            barrier.wait()
            got.extend(name for name in names if locks.take(name))
            barrier.wait()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == names
    assert locked(tmp_path) == names[::2]  # their own are released


def test_who_lives_keeps_it(tmp_path):
    foreign(tmp_path, "a")
    with Locks(tmp_path) as locks:
        assert not locks.take("a")
        assert not locks.take("a")
    assert locked(tmp_path) == ["a"]


def test_another_machines_owner_is_gone_when_its_heartbeat_stops(tmp_path, gone):
    foreign(tmp_path, "a", machine="elsewhere", pid=gone)  # that number means nothing here
    with Locks(tmp_path, patience=0.3) as locks:
        for i in range(3):
            assert not locks.take("a")
            time.sleep(0.2)
            os.utime(tmp_path / LOCKS / "other.alive", (i, i))  # its clock may be years behind
        assert not locks.take("a")
        time.sleep(0.4)
        assert locks.take("a")


def test_an_owner_has_a_heartbeat(tmp_path):
    with Locks(tmp_path, patience=0.3) as owner:
        assert owner.take("a")
        path = tmp_path / LOCKS / "a.0.lock"
        path.write_text(path.read_text().replace(module._machine(), "elsewhere"))
        with Locks(tmp_path, patience=0.3) as other:
            end = time.monotonic() + 0.8
            while time.monotonic() < end:
                assert not other.take("a")
                time.sleep(0.1)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"machine": 3}'])
def test_a_lock_that_is_truncated_is_waited_for(tmp_path, text):
    foreign(tmp_path, "a").write_text(text)
    with Locks(tmp_path, patience=0.1) as locks:
        assert not locks.take("a")
        time.sleep(0.15)
        assert locks.take("a")


def test_a_lock_that_was_taken_over_stays_with_its_new_owner(tmp_path):
    with Locks(tmp_path) as stopped, Locks(tmp_path) as third:
        assert stopped.take("a")
        path = tmp_path / LOCKS / "a.0.lock"
        foreign(tmp_path, "a").rename(tmp_path / LOCKS / "a.1.lock")  # by one that saw no heartbeat for long
        assert not third.take("a")
        assert not path.exists()
    assert not path.exists()
    assert locked(tmp_path) == ["a"]
    with Locks(tmp_path) as last:
        last.clear("a")  # its result is there
    assert locked(tmp_path) == []


def test_failures_are_reported_to_those_at_work_and_forgotten_by_the_next_run(tmp_path):
    with Locks(tmp_path) as one, Locks(tmp_path) as other:
        time.sleep(0.02)
        assert one.take("a")
        one.note("a", "failed", "cannot read 3.jpg")
        assert not other.take("a")
        assert other.failure("a") == "cannot read 3.jpg"
        assert other.failure("b") is None
    time.sleep(0.02)
    with Locks(tmp_path) as later:
        assert later.failure("a") is None
        assert later.take("a")
        assert later.failure("a") is None


def test_names_of_processes_differ(tmp_path):
    assert Locks(tmp_path).process != Locks(tmp_path).process


def test_a_lock_that_a_full_disk_truncates_is_not_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Locks(tmp_path) as locks:
        monkeypatch.setattr("ostrack_jax.evaluation.locks.json.dump", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*/a\.0\.lock'"):
            locks.take("a")
        monkeypatch.undo()
        assert locks.take("a")  # at once


def test_a_file_that_is_no_record_is_named(tmp_path):
    (tmp_path / RECORDS).mkdir()
    for text in ("{", "[]", json.dumps({"started": "now", "sequences": {}}), "[" * 100_000):
        (tmp_path / RECORDS / "x.json").write_text(text)
        with pytest.raises(UserError, match=r"x\.json is not a record of `ostrack eval`"):
            read_records(tmp_path)
