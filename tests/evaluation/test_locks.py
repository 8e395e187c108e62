"""Locks: one owner for each sequence, however many ask at once, and whoever is killed."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import threading

import pytest

from ostrack_jax import io
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.locks import LOCKS, RECORDS, Locks, read_records


def test_of_many_that_ask_at_once_one_gets_it(tmp_path):
    names = [str(i) for i in range(40)]
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
    assert sorted(got) == sorted(names)


def test_a_lock_ends_with_its_process_and_files_of_earlier_versions_mean_nothing(tmp_path):
    (tmp_path / LOCKS).mkdir()
    for file in ("a.lock", "b.0.lock"):
        (tmp_path / LOCKS / file).write_text('{"process": "other", "machine": "elsewhere", "pid": 1, "failed": "x"}')
    holder = f"import sys; from ostrack_jax import io; io.try_lock(io.local_path({str(tmp_path / LOCKS / 'b.lock')!r}))"
    program = [sys.executable, "-c", f"{holder}; print(); sys.stdin.read()"]
    with Locks(tmp_path) as locks:
        assert locks.take("a")
        assert locks.failure("a") == ""
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            other.stdout.readline()
            assert not locks.take("b")
            other.kill()
        assert locks.take("b")
        locks.release("b")
        assert locks.take("b")


def test_failures_are_reported_to_those_at_work_and_forgotten_by_the_next_run(tmp_path):
    with Locks(tmp_path) as one, Locks(tmp_path) as other:
        for _ in range(2):  # the second reason is as long as the first
            assert one.take("a")
            one.note("a", "failed", "cannot read 3.jpg")
        assert other.take("a")
        assert other.failure("a") == "cannot read 3.jpg"
        assert other.take("b")
        assert other.failure("b") == ""
    with Locks(tmp_path) as later:
        assert later.take("a")
        assert later.failure("a") == ""
        assert later.process not in (one.process, other.process)


def test_a_disk_without_locks_is_noticed_once_and_used_by_all(tmp_path, monkeypatch, caplog):
    def fails(error):
        def flock(*_):
            raise OSError(error, "no")

        monkeypatch.setattr(fcntl, "flock", flock)

    fails(errno.ENOLCK)
    with Locks(tmp_path) as one, Locks(tmp_path) as other:
        assert all(locks.take(name) for name in "ab" for locks in (one, other))
    assert [f"the file system of {tmp_path / LOCKS} has no locks" in line for line in caplog.messages] == [True]
    fails(errno.EIO)
    with pytest.raises(OSError, match="no"):
        io.try_lock(tmp_path / "c")


def test_a_file_that_is_no_record_is_named(tmp_path):
    (tmp_path / RECORDS).mkdir()
    for text in ("{", "[]"):
        (tmp_path / RECORDS / "x.json").write_text(text)
        with pytest.raises(UserError, match=r"x\.json"):
            read_records(tmp_path)
