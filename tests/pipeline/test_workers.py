"""Items made ahead by a thread or by processes: order, errors, an end without remains."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.workers import Prefetcher

SPEC = np.dtype([("number", np.int64, (2, 3)), ("where", np.int64), ("bytes", np.uint8, (5,))])


class Items:
    """Item i is filled with i, and says in which process it was made; one raises, one kills its process, one hangs."""

    def __init__(self, raises: int = -1, dies: int = -1, sleeps: int = -1):
        self.raises, self.dies, self.sleeps = raises, dies, sleeps

    def __call__(self, index: int, fields: np.ndarray) -> None:
        if index == self.raises:
            raise UserError(f"item {index} is broken")
        if index == self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == self.sleeps:
            time.sleep(3600)
        time.sleep(0.002 * (index % 3))  # later ones may be ready first
        for name, value in (("number", index), ("where", os.getpid()), ("bytes", index % 256)):
            fields[name][...] = value


class Conditions:
    """What a process that makes items looks like from inside."""

    def __call__(self, index: int, fields: np.ndarray) -> None:
        heavy = {"jax", "torch", "tensorflow", "matplotlib", "flax", "optax"} & set(sys.modules)
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        spawned = multiprocessing.current_process().__class__.__name__ == "SpawnProcess"
        fields["facts"][...] = [cv2.getNumThreads(), len(heavy), ignored, spawned]


def numbers(items: Prefetcher, n: int) -> list[int]:
    return [int(items.take()["number"][0, 0]) for _ in range(n)]


def test_a_thread_of_this_process_makes_items_in_order():
    with Prefetcher(Items(), SPEC, 0) as items:
        assert numbers(items, 20) == list(range(20))
        assert int(items.take()["where"]) == os.getpid()


def test_what_making_an_item_raises_is_raised_here():
    with Prefetcher(Items(raises=3), SPEC, 0) as items:
        assert numbers(items, 3) == [0, 1, 2]
        with pytest.raises(UserError, match="item 3 is broken"):
            items.take()


def test_what_is_made_ahead_can_be_waited_for():
    with Prefetcher(Items(), SPEC, 0) as items:
        assert items.ready(60.0)
        assert numbers(items, 1) == [0]


def test_closing_twice_or_unused_is_fine():
    items = Prefetcher(Items(), SPEC, 0)
    items.close()
    items.close()


def test_processes_make_items_in_order_and_arrays_stay_as_they_were():
    with Prefetcher(Items(), SPEC, 2) as items:
        made = [items.take() for _ in range(40)]
    assert [int(item["number"].min()) for item in made] == list(range(40))
    assert [int(item["bytes"].max()) for item in made] == list(range(40))
    processes = {int(item["where"]) for item in made}
    assert os.getpid() not in processes
    assert len(processes) <= 2  # on a busy machine the first may have made all before the second is up
    assert not multiprocessing.active_children()


def test_a_worker_is_spawned_light_single_threaded_and_deaf_to_interrupts():
    with Prefetcher(Conditions(), np.dtype([("facts", np.int64, (4,))]), 1) as items:
        assert items.take()["facts"].tolist() == [1, 0, True, True]


def test_errors_of_workers_and_their_death_are_reported():
    with Prefetcher(Items(raises=1, dies=2), SPEC, 1) as items:
        assert numbers(items, 1) == [0]
        with pytest.raises(UserError, match="item 1 is broken"):
            items.take()
        with pytest.raises(UserError, match="a loader process ended unasked, killed by SIGKILL"):
            items.take()


class OddError(Exception):
    """Cannot be pickled: its constructor takes what it does not pass on."""

    def __init__(self, one: int, two: int):
        super().__init__(f"{one} and {two}")


class Odd:
    """Items that raise an error of their own kind."""

    def __call__(self, index: int, fields: np.ndarray) -> None:
        raise OddError(index, 7)


def test_an_error_that_cannot_travel_is_reported_with_its_place():
    with Prefetcher(Odd(), SPEC, 1) as items, pytest.raises(RuntimeError, match="OddError: 0 and 7") as caught:
        items.take()
    assert "raise OddError(index, 7)" in caught.value.__notes__[0]


@pytest.mark.slow
def test_processes_end_at_once_whatever_they_are_at():
    """One is in the middle of an item that takes an hour, one has been killed, the others may not be up yet."""
    with Prefetcher(Items(dies=0, sleeps=1), SPEC, 4) as items:
        assert items.ready()
        with pytest.raises(UserError, match="killed by SIGKILL"):
            items.take()
        began = time.monotonic()
        items.close()
    assert time.monotonic() - began < 60  # not the hour
    assert not multiprocessing.active_children()


def test_where_no_file_can_be_opened_any_more_no_process_is_left():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as file:
        resource.setrlimit(resource.RLIMIT_NOFILE, (file.fileno() + 12, before[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                Prefetcher(Items(), SPEC, 8)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_signal_to_all_processes_reaches_none_that_starts_up():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(multiprocessing.active_children()))
    try:
        with Prefetcher(Items(), SPEC, 2) as items:
            for process in (*multiprocessing.active_children(), multiprocessing.current_process()):
                os.kill(process.pid or 0, signal.SIGTERM)
            assert numbers(items, 6) == list(range(6))
        assert len(heard) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


def trainer_script(folder: Path, rest: str = "") -> Path:
    """A program that takes an item from one worker, never closes it, and prints the worker's number."""
    script = folder / "trainer.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_workers import SPEC, Items, Prefetcher\n"
        "if __name__ == '__main__':\n"
        "    items = Prefetcher(Items(), SPEC, 1)\n"
        "    print(int(items.take()['where']), flush=True)\n"
        f"    {rest}\n"
    )
    return script


sees_processes = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see processes in")


@pytest.mark.slow
@sees_processes
def test_a_program_that_never_closes_ends_without_a_word(tmp_path):
    command = [sys.executable, "-W", "error", trainer_script(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not alive(int(done.stdout))


@sees_processes
def test_workers_end_with_a_trainer_that_is_killed(tmp_path):
    script = trainer_script(tmp_path, "input()")
    trainer = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    assert trainer.stdin is not None
    worker = int(trainer.stdout.readline())
    assert alive(worker)
    trainer.kill()
    trainer.wait()
    trainer.stdin.close()
    trainer.stdout.close()
    deadline = time.monotonic() + 10
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
