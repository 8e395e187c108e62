"""Items made ahead, in order. Enters: what fills arrays by index. Leaves: its items, one after another.

Processes make them, or one thread of this process. As an item depends on its index alone, it is the same whoever
makes it. (grain's own worker processes leave shared memory behind where they are stopped early, and die without a
word where a container has little of it; a `ProcessPoolExecutor` starts them one after another where much is handed to
them, and ends only when each has finished the item it is at.)
"""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from ostrack_jax.errors import UserError

Fields = dict[str, np.ndarray]
Spec = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # shape and dtype by field
Shared = ctypes.Array[ctypes.c_ubyte]  # memory that processes share
_STOPS = (signal.SIGINT, signal.SIGTERM)


@runtime_checkable
class Items(Protocol):
    """Gives items by index, equal ones for equal indices; picklable."""

    def fill(self, index: int, fields: Fields) -> None:
        """Write item ``index`` into arrays of its size."""
        ...


class Ahead:
    """Items 0, 1, 2 and so on without end. Use it with ``with``, or `close` it: it may hold processes."""

    def __init__(self, items: Items, spec: Spec, workers: int) -> None:
        """Begin to make items.

        Args:
          items: fills an item's arrays.
          spec: shape and dtype of an item's fields.
          workers: processes; 0: one thread of this process.
        """
        self._next, self._ordered, self._ahead = 0, 0, workers + 2
        self._maker = _Processes(items, spec, workers, self._ahead) if workers else _Thread(items, spec)
        self._order()

    def __iter__(self) -> Iterator[Fields]:
        return self

    def ready(self, timeout: float | None = None) -> bool:
        """Whether the next item lies ready; waits for it up to ``timeout`` seconds (None: as long as it takes)."""
        return self._maker.ready(self._next, timeout)

    def __next__(self) -> Fields:
        """The next item, in arrays of its own; raises what making it raised, and then is of no more use."""
        index, self._next = self._next, self._next + 1
        fields = self._maker.take(index)
        self._order()
        return fields

    def settle(self) -> None:
        """Wait until all that is made ahead lies ready."""
        for index in range(self._next, self._ordered):
            self._maker.ready(index, None)

    def close(self) -> None:
        """End the processes, whatever they are at."""
        self._maker.close()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _order(self) -> None:
        while self._ordered < self._next + self._ahead:
            self._maker.order(self._ordered)
            self._ordered += 1


class _Thread:
    """Makes items in this process. One thread: readers need not be thread-safe, and processes serve better."""

    def __init__(self, items: Items, spec: Spec) -> None:
        self._items, self._spec = items, spec
        self._coming: dict[int, Future[Fields]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="items")
        self.close = weakref.finalize(self, self._pool.shutdown, wait=True, cancel_futures=True)

    def order(self, index: int) -> None:
        """Begin with an item."""
        self._coming[index] = self._pool.submit(_make, self._items, self._spec, index)

    def ready(self, index: int, timeout: float | None) -> bool:
        """Whether it is made, or has failed."""
        return bool(wait([self._coming[index]], timeout).done)

    def take(self, index: int) -> Fields:
        """An item, waited for; raises what making it raised."""
        return self._coming.pop(index).result()


class _Processes:
    """Makes items in processes, each of which is sent indices and answers when an item lies in its slot.

    Slots are used over and over, so that an item costs two copies and no new memory. They lie in files without a name,
    which end with the processes; in /dev/shm, or where that is small (containers) on disk. What is to be made is
    pickled once, for all to read from there: starting a process waits for nothing.
    """

    def __init__(self, items: Items, spec: Spec, count: int, slots: int) -> None:
        spawn = multiprocessing.get_context("spawn")  # threads of jax would not survive a fork
        self._spec = spec
        self._slots = [spawn.RawArray(ctypes.c_ubyte, sum(_nbytes(*of) for of in spec.values())) for _ in range(slots)]
        pickled = pickle.dumps(items)
        given = spawn.RawArray(ctypes.c_ubyte, len(pickled))
        memoryview(given).cast("B")[:] = pickled  # RawArray(.., pickled) takes each byte as an argument: 40 MB, 39 s
        self._made: dict[int, Exception | None] = {}
        self._waiting: dict[Connection, int] = {}  # how many items each has been sent and has not answered
        self._processes: dict[Connection, BaseProcess] = {}
        # Also where nobody closes it: when it is collected, at the latest when Python ends.
        self.close = weakref.finalize(self, _end, self._processes)
        try:
            with _stops_held():
                for _ in range(count):
                    ours, theirs = spawn.Pipe()
                    process = spawn.Process(target=_work, args=(theirs, given, self._slots, spec))
                    process.start()
                    theirs.close()  # so that the end of the process is the end of the pipe
                    self._processes[ours], self._waiting[ours] = process, 0
        except OSError:
            self.close()
            raise

    def order(self, index: int) -> None:
        """Send an item's index to a process; the slot it goes to must be free."""
        at = min(self._waiting, key=self._waiting.__getitem__)
        try:
            at.send(index)
        except OSError as e:
            raise self._ended(at) from e
        self._waiting[at] += 1

    def ready(self, index: int, timeout: float | None) -> bool:
        """Whether it is made, or has failed. Raises a `UserError` where a process has ended."""
        end = None if timeout is None else time.monotonic() + timeout
        while index not in self._made:
            answering = connection.wait(self._waiting, None if end is None else max(0.0, end - time.monotonic()))
            if not answering:
                return False
            for at in answering:
                assert isinstance(at, Connection)
                try:
                    made, error = at.recv()
                except (EOFError, OSError) as e:
                    raise self._ended(at) from e
                self._made[made] = error
                self._waiting[at] -= 1
        return True

    def take(self, index: int) -> Fields:
        """An item in arrays of its own, waited for; raises what making it raised."""
        self.ready(index, None)
        if error := self._made.pop(index):
            raise error
        return {name: view.copy() for name, view in _views(self._slots[index % len(self._slots)], self._spec).items()}

    def _ended(self, at: Connection) -> UserError:
        process = self._processes[at]
        process.join(1)
        code = process.exitcode or 0
        if code >= 0:
            return UserError(f"a loader process ended unasked, with status {code}: see what it printed above")
        return UserError(
            f"a loader process ended unasked, killed by {signal.Signals(-code).name}; the system does so where memory "
            "runs out: expected room for so many processes (config.train.workers) and for batches of that size"
        )


def _end(processes: dict[Connection, BaseProcess]) -> None:
    """End them, whatever they are at: in the middle of a read, or not started up yet."""
    for process in processes.values():
        process.kill()
    for at, process in processes.items():
        process.join()
        process.close()
        at.close()
    processes.clear()


@contextmanager
def _stops_held() -> Iterator[None]:
    """SIGTERM and Ctrl-C wait, and processes started meanwhile never hear them: the trainer saves, and ends them."""
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
    """A slot's memory as an item's fields."""
    memory = memoryview(slot)
    views, start = {}, 0
    for name, (shape, dtype) in spec.items():
        views[name] = np.frombuffer(memory, dtype, math.prod(shape), start).reshape(shape)
        start += _nbytes(shape, dtype)
    return views


def _make(items: Items, spec: Spec, index: int) -> Fields:
    fields = {name: np.empty(shape, dtype) for name, (shape, dtype) in spec.items()}
    items.fill(index, fields)
    return fields


def _work(orders: Connection, given: Shared, slots: list[Shared], spec: Spec) -> None:
    """What a process does: make the items whose indices come, until nobody sends any."""
    cv2.setNumThreads(0)  # OpenCV's own threads and the other workers would fight over the cores
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    items: Items = pickle.loads(memoryview(given))
    # grain has loaded jax here. Should anything ever ask it for a device, that is not the trainer's accelerator.
    if jax := sys.modules.get("jax"):
        jax.config.update("jax_platforms", "cpu")
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    fields = [_views(slot, spec) for slot in slots]
    try:
        while True:
            index = orders.recv()
            error = None
            try:
                items.fill(index, fields[index % len(fields)])
            except Exception as e:  # noqa: BLE001 - raised again where the item is asked for
                error = _portable(e)
            orders.send((index, error))
    except (EOFError, OSError):  # the trainer has ended
        return


def _portable(error: Exception) -> Exception:
    """The same error as it can travel, with a note of where it was raised."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - its constructor may be anybody's
        portable = RuntimeError(f"{type(error).__name__}: {error}")
        portable.add_note(error.__notes__[-1])
        return portable
    return error


def _end_with_parent() -> None:
    """A trainer that was killed cannot end its workers: they end themselves, and give back their memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
