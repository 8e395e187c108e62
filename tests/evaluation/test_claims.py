"""Claims: one owner for each sequence, whoever asks at once, whoever is gone."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from ostrack_jax.evaluation import claims as module
from ostrack_jax.evaluation.claims import FOLDER, Claims, machine


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def foreign(folder, name, number=0, **owner):
    """A claim that another process has made."""
    path = folder / FOLDER / f"{name}.{number}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"process": "other", "machine": machine(), "pid": os.getpid(), **owner}))
    return path


def test_of_many_that_ask_at_once_one_gets_it(tmp_path):
    got, barrier = [], threading.Barrier(8)

    def ask():
        with Claims(tmp_path) as claims:
            barrier.wait()
            got.extend(name for name in map(str, range(40)) if claims.take(name))
            barrier.wait()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=int) == [str(i) for i in range(40)]
    assert list((tmp_path / FOLDER).iterdir()) == []  # given back


def test_what_a_killed_process_held_is_taken_over_once(tmp_path, gone):
    foreign(tmp_path, "a", pid=gone)
    with Claims(tmp_path) as first, Claims(tmp_path) as second:
        assert first.take("a")
        assert not second.take("a")
        assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {"a.0", "a.1"}
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_who_lives_keeps_it(tmp_path):
    foreign(tmp_path, "a")
    with Claims(tmp_path) as claims:
        assert not claims.take("a")
        assert not claims.take("a")


def test_another_machines_owner_is_gone_when_it_gives_no_sign(tmp_path, gone):
    path = foreign(tmp_path, "a", machine="elsewhere", pid=gone)  # that number means nothing here
    with Claims(tmp_path, patience=0.3) as claims:
        for i in range(3):
            assert not claims.take("a")
            time.sleep(0.2)
            os.utime(path, (i, i))  # its clock may be years behind
        assert not claims.take("a")
        time.sleep(0.4)
        assert claims.take("a")


def test_an_owner_gives_signs_of_life(tmp_path):
    with Claims(tmp_path, patience=0.4) as owner:
        assert owner.take("a")
        path = tmp_path / FOLDER / "a.0"
        path.write_text(path.read_text().replace(machine(), "elsewhere"))
        with Claims(tmp_path, patience=0.4) as other:
            end = time.monotonic() + 1.2
            while time.monotonic() < end:
                assert not other.take("a")
                time.sleep(0.1)


def test_a_claim_that_was_cut_short_is_waited_for(tmp_path):
    foreign(tmp_path, "a").write_text("")
    with Claims(tmp_path, patience=0.2) as claims:
        assert not claims.take("a")
        time.sleep(0.3)
        assert claims.take("a")


@pytest.mark.parametrize("text", ["[]", "3", '{"machine": 3}'])
def test_a_claim_that_is_none_is_waited_for(tmp_path, text):
    with Claims(tmp_path, patience=60.0) as claims:
        (tmp_path / ".claims/a.0").write_text(text)
        assert not claims.take("a")


def test_who_was_taken_over_from_leaves_the_others_claim(tmp_path):
    with Claims(tmp_path) as stopped:
        assert stopped.take("a")
        foreign(tmp_path, "a", 1)  # by one that saw no sign of life for long
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {"a.0", "a.1"}
    with Claims(tmp_path) as third:
        assert not third.take("a")


def test_who_was_taken_over_from_leaves_a_claim_made_since(tmp_path):
    with Claims(tmp_path) as stopped:
        assert stopped.take("a")
        (tmp_path / FOLDER / "a.0").unlink()  # whoever took over has given it back
        foreign(tmp_path, "a")
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["a.0"]


def test_nothing_is_left_of_what_is_done(tmp_path):
    with Claims(tmp_path) as claims:
        assert claims.take("a")
        foreign(tmp_path, "a", 1)
        claims.fail("a", "cannot read 3.jpg")
        claims.clear(["a", "b"])
        assert list((tmp_path / FOLDER).iterdir()) == []


def test_failures_are_told_to_those_at_work_and_forgotten_by_the_next_run(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as beside:
        time.sleep(0.02)
        one.fail("a", "cannot read 3.jpg")
        assert beside.failure("a") == "cannot read 3.jpg"
        assert beside.failure("b") is None
        time.sleep(0.02)
        with Claims(tmp_path) as later:
            assert later.failure("a") is None


def test_names_of_processes_differ(tmp_path):
    assert Claims(tmp_path).process != Claims(tmp_path).process
    assert module.machine()


def test_a_claim_that_a_full_disk_cuts_short_is_not_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Claims(tmp_path) as claims:
        monkeypatch.setattr("ostrack_jax.evaluation.claims.json.dump", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*/a\.0'"):
            claims.take("a")
        monkeypatch.undo()
        assert claims.take("a")  # at once
