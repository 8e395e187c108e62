"""Prefetch items in order, in worker processes or in one thread of this process.

As an item depends on its index alone, it is the same whoever makes it. Each worker makes every n-th item, into memory
that it shares with this process. (grain's and concurrent.futures' worker processes were tried: they end only when each
has finished the item it is at, and grain's leave shared memory behind where they are stopped early.)
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import multiprocessing
import pickle
import signal
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import cv2
import numpy as np

from ostrack_jax.errors import UserError

Fields = dict[str, np.ndarray]
Spec = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # shape and dtype by field
Fill = Callable[[int, Fields], Any]  # writes item ``index`` into arrays of its size, returns a report; picklable
Shared = ctypes.Array[ctypes.c_ubyte]  # memory that processes share

SLOTS = 2  # of a worker: one item is read while the next is made
_STOPS = (signal.SIGINT, signal.SIGTERM)


class _Worker:
    """A process, or a thread, that makes items; it reports each item in its slot."""

    def __init__(self, runner: BaseProcess | threading.Thread, connection: Connection, slots: list[Shared]) -> None:
        self.runner, self.connection, self.slots = runner, connection, slots
        self.answers: deque[tuple[Any, Exception | None]] = deque()  # of items not taken yet: report, error

    def wait(self) -> None:
        """Receive a report."""
        try:
            self.answers.append(self.connection.recv())
        except (EOFError, OSError) as e:
            raise self._ended() from e

    def _ended(self) -> UserError:
        self.runner.join(1)
        code = (self.runner.exitcode if isinstance(self.runner, BaseProcess) else None) or 0
        if code >= 0:
            return UserError(f"a loader process ended unasked, with status {code}: see what it printed above")
        return UserError(
            f"a loader process ended unasked, killed by {signal.Signals(-code).name}; the system does so where memory "
            "runs out: expected room for so many processes (config.train.workers) and for batches of that size"
        )


class Prefetcher:
    """Items 0, 1, 2 and so on without end. Use it with ``with``, or `close` it: it may hold processes.

    Attributes:
      report: what `fill` returned for the item last taken.
    """

    def __init__(self, fill: Fill, spec: Spec, workers: int) -> None:
        """Begin to make items.

        Args:
          fill: makes an item.
          spec: shape and dtype of an item's fields.
          workers: processes; 0: one thread of this process (readers need not be thread-safe).
        """
        self._spec, self._next = spec, 0
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
        nbytes = sum(_nbytes(*of) for of in self._spec.values())
        # Pickled once, for all to read from there: starting a process waits for nothing.
        pickled = pickle.dumps((fill, self._spec)) if workers else b""
        self._given = spawn.RawArray(ctypes.c_ubyte, len(pickled))  # kept: else its memory is used again
        # RawArray(.., pickled) would take each byte as an argument: 39 s for 40 MB.
        memoryview(self._given).cast("B")[:] = pickled
        with _signals_held():
            for first in range(max(workers, 1)):
                # In files without a name, which end with the processes; in /dev/shm, or where that is small on disk.
                slots = [spawn.RawArray(ctypes.c_ubyte, nbytes) for _ in range(SLOTS)]
                ours, theirs = spawn.Pipe()
                if workers:
                    runner = spawn.Process(target=_run_process, args=(theirs, self._given, slots, first, workers))
                else:
                    runner = threading.Thread(target=_work, args=(theirs, fill, self._spec, slots, 0, 1), daemon=True)
                runner.start()
                if workers:
                    theirs.close()  # so that the end of the process is the end of the pipe
                self._workers.append(_Worker(runner, ours, slots))

    def ready(self, timeout: float | None = None) -> bool:
        """Whether the next item is ready, or its worker has ended; waits up to ``timeout`` seconds (None: no limit)."""
        worker = self._workers[self._next % len(self._workers)]
        return bool(worker.answers) or worker.connection.poll(timeout)

    def take(self) -> Fields:
        """Return the next item, in arrays of its own; raise the error of making it, or that its worker has ended."""
        at, turn = self._next % len(self._workers), self._next // len(self._workers)
        worker = self._workers[at]
        if not worker.answers:
            worker.wait()
        self.report, error = worker.answers.popleft()
        self._next += 1
        fields = {name: view.copy() for name, view in _views(worker.slots[turn % SLOTS], self._spec).items()}
        with contextlib.suppress(OSError):  # a worker that has ended is reported where its next item is due
            worker.connection.send(None)  # the slot is free
        if error is not None:
            raise error
        return fields

    def settle(self) -> None:
        """Wait until all that is made ahead is ready."""
        for worker in self._workers:
            while len(worker.answers) < SLOTS:
                worker.wait()

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes of a field in a slot; the next begins at a multiple of 64."""
    return -(-math.prod(shape) * dtype.itemsize // 64) * 64


def _views(slot: Shared, spec: Spec) -> Fields:
    """View a slot's memory as an item's fields."""
    views, start = {}, 0
    for name, (shape, dtype) in spec.items():
        views[name] = np.frombuffer(memoryview(slot), dtype, math.prod(shape), start).reshape(shape)
        start += _nbytes(shape, dtype)
    return views


def _run_process(connection: Connection, given: Shared, slots: list[Shared], first: int, step: int) -> None:
    """The main function of a worker process."""
    cv2.setNumThreads(0)  # OpenCV's own threads and the other workers would fight over the cores
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    fill, spec = pickle.loads(memoryview(given))
    _work(connection, fill, spec, slots, first, step)


def _work(connection: Connection, fill: Fill, spec: Spec, slots: list[Shared], first: int, step: int) -> None:
    """Make items ``first``, ``first + step`` and so on, until this process or the other one closes the connection."""
    fields = [_views(slot, spec) for slot in slots]
    try:
        for turn, index in enumerate(itertools.count(first, step)):
            if turn >= len(slots):
                connection.recv()  # the slot is free
            report, error = None, None
            try:
                report = fill(index, fields[turn % len(slots)])
            except Exception as e:  # noqa: BLE001 - raised again where the item is asked for
                error = _portable(e)
            connection.send((report, error))
    except (EOFError, OSError):
        return


def _portable(error: Exception) -> Exception:
    """The same error as it can be sent, with a note of where it was raised."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - its constructor may be anybody's
        portable = RuntimeError(f"{type(error).__name__}: {error}")
        portable.add_note(error.__notes__[-1])
        return portable
    return error
