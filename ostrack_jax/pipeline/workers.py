"""Prefetch items in order, in worker processes or in one thread of this process.

As an item depends on its index alone, it is the same whoever makes it. Each worker makes every n-th item, into memory
that it shares with this process. (grain's and concurrent.futures' worker processes were tried: they end only when each
has finished the item it is at, and grain's leave shared memory behind where they are stopped early. A
multiprocessing.Pool waits for ever for the item of a worker that was killed.)
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import pickle
import signal
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from ostrack_jax.errors import UserError

Fields = dict[str, np.ndarray]
# Writes item ``index`` into an array without axes, which has a field for each part; returns a report; picklable.
Fill = Callable[[int, np.ndarray], Any]
Shared = ctypes.Array[ctypes.c_ubyte]  # memory that processes share

P = TypeVar("P", bound="Prefetcher")

SLOTS = 2  # of a worker: one item is read while the next is made
_STOPS = (signal.SIGINT, signal.SIGTERM)


class _Worker(NamedTuple):
    """A process, or a thread, that makes items; it reports each item in its slot."""

    runner: BaseProcess | threading.Thread
    connection: Connection
    slots: list[Shared]


class Prefetcher:
    """Items 0, 1, 2 and so on without end. Use it with ``with``, or `close` it: it may hold processes.

    Attributes:
      report: what `fill` returned for the item last taken.
    """

    def __init__(self, fill: Fill, fields: np.dtype[Any], workers: int) -> None:
        """Begin to make items.

        Args:
          fill: makes an item.
          fields: of an item.
          workers: processes; 0: one thread of this process (readers need not be thread-safe).
        """
        self._fields, self._next = fields, 0
        self.report: Any = None
        self._workers: list[_Worker] = []
        # Also where nobody closes it: when it is collected, at the latest when Python ends.
        self.close = weakref.finalize(self, _end, self._workers)
        try:
            self._start(fill, workers)
        except OSError:
            self.close()
            raise

    def _start(self, fill: Fill, workers: int) -> None:
        spawn = multiprocessing.get_context("spawn")  # threads of jax would not survive a fork
        # Pickled once, for all to read from there: starting a process waits for nothing.
        pickled = pickle.dumps((fill, self._fields)) if workers else b""
        self._given = spawn.RawArray(ctypes.c_ubyte, len(pickled))  # kept: else its memory is used again
        # RawArray(.., pickled) would take each byte as an argument: 39 s for 40 MB.
        memoryview(self._given).cast("B")[:] = pickled
        with _signals_held():
            for first in range(max(workers, 1)):
                # In files without a name, which end with the processes; in /dev/shm, or where that is small on disk.
                slots = [spawn.RawArray(ctypes.c_ubyte, self._fields.itemsize) for _ in range(SLOTS)]
                ours, theirs = spawn.Pipe()
                if workers:
                    runner = spawn.Process(target=_run_process, args=(theirs, self._given, slots, first, workers))
                else:
                    runner = threading.Thread(target=_work, args=(theirs, fill, self._fields, slots, 0, 1), daemon=True)
                runner.start()
                if workers:
                    theirs.close()  # so that the end of the process is the end of the pipe
                self._workers.append(_Worker(runner, ours, slots))

    def ready(self, timeout: float | None = None) -> bool:
        """Whether the next item is ready, or its worker has ended; waits up to ``timeout`` seconds (None: no limit)."""
        return self._workers[self._next % len(self._workers)].connection.poll(timeout)

    def take(self) -> Fields:
        """Return the next item, in arrays of its own; raise the error of making it, or that its worker has ended."""
        turn, at = divmod(self._next, len(self._workers))
        worker = self._workers[at]
        try:
            self.report, error = worker.connection.recv()
        except (EOFError, OSError) as e:
            raise _ended(worker.runner) from e
        self._next += 1
        item = _view(worker.slots[turn % SLOTS], self._fields)
        fields = {name: item[name].copy() for name in self._fields.names or ()}
        with contextlib.suppress(OSError):  # a worker that has ended is reported where its next item is due
            worker.connection.send(None)  # the slot is free
        if error is not None:
            raise error
        return fields

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ended(runner: BaseProcess | threading.Thread) -> UserError:
    """The error for a worker that has ended by itself."""
    runner.join(1)
    code = (runner.exitcode if isinstance(runner, BaseProcess) else None) or 0
    if code >= 0:
        return UserError(f"a loader process ended unasked, with status {code}: see what it printed above")
    return UserError(
        f"a loader process ended unasked, killed by {signal.Signals(-code).name}; the system does so where memory "
        "runs out: expected memory for so many processes (config.train.workers) and for batches of that size"
    )


def _end(workers: list[_Worker]) -> None:
    """End processes whatever they are at, in the middle of a read or not started up yet; a thread after its item."""
    for worker in workers:
        if isinstance(worker.runner, BaseProcess):
            worker.runner.kill()
    for worker in workers:
        worker.connection.close()
        worker.runner.join()
    workers.clear()


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back SIGTERM and Ctrl-C; processes started meanwhile never get them: the trainer saves, and ends them."""
    resource_tracker.ensure_running()  # its start, once a program, lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _view(slot: Shared, fields: np.dtype[Any]) -> np.ndarray:
    """A slot's memory as an item."""
    return np.frombuffer(memoryview(slot), fields, 1).reshape(())


def _run_process(connection: Connection, given: Shared, slots: list[Shared], first: int, step: int) -> None:
    """The main function of a worker process."""
    cv2.setNumThreads(0)  # OpenCV's own threads and the other workers would fight over the cores
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    fill, fields = pickle.loads(memoryview(given))
    _work(connection, fill, fields, slots, first, step)


def _work(
    connection: Connection, fill: Fill, fields: np.dtype[Any], slots: list[Shared], first: int, step: int
) -> None:
    """Make items ``first``, ``first + step`` and so on, until this process or the other one closes the connection."""
    items = [_view(slot, fields) for slot in slots]
    try:
        for turn, index in enumerate(itertools.count(first, step)):
            if turn >= len(slots):
                connection.recv()  # the slot is free
            report, error = None, None
            try:
                report = fill(index, items[turn % len(slots)])
            except (UserError, OSError) as e:  # raised again where the item is asked for
                error = e
            except Exception as e:  # noqa: BLE001 - of any class, which need not be one that can be pickled
                error = RuntimeError(f"{type(e).__name__}: {e}")
                error.add_note("".join(traceback.format_exception(e)))
            connection.send((report, error))
    except (EOFError, OSError):
        return
