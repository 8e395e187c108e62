"""Items made ahead, in order. Enters: what fills arrays by index. Leaves: its items, one after another.

Processes make them, or one thread of this process. As an item depends on its index alone, it is the same whoever
makes it. (grain's own worker processes leave shared memory behind where they are stopped early, and die without a
word where a container has little of it.)
"""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from ostrack_jax.errors import UserError

Fields = dict[str, np.ndarray]
Spec = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # shape and dtype by field
Slot = ctypes.Array[ctypes.c_ubyte]  # memory that processes share, the size of one item


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
        self._items, self._spec = items, spec
        self._step = 0
        self._coming: deque[Future[Any]] = deque()  # an item, or None: it lies in its slot
        self._slots: list[Slot] = []
        self._ahead = workers + 2
        if workers:
            # Slots are used over and over, so that an item costs two copies and no new memory. They lie in files
            # without a name, which end with the processes; in /dev/shm, or where that is small (containers) on disk.
            spawn = multiprocessing.get_context("spawn")  # threads of jax would not survive a fork
            size = sum(_nbytes(*of) for of in spec.values())
            self._slots = [spawn.RawArray(ctypes.c_ubyte, size) for _ in range(self._ahead)]
            given = (items, self._slots, spec)
            self._pool: Executor = ProcessPoolExecutor(workers, spawn, initializer=_start_worker, initargs=given)
        else:
            # One thread: readers need not be thread-safe, and more processes serve better than more threads.
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="items")
        # Also where nobody closes it: when it is collected, at the latest when Python ends.
        self._end = weakref.finalize(self, self._pool.shutdown, wait=True, cancel_futures=True)
        self._order()

    def __iter__(self) -> Iterator[Fields]:
        return self

    def __next__(self) -> Fields:
        """The next item, in arrays of its own; raises what making it raised, and then is of no more use."""
        step = self._step - len(self._coming)
        try:
            fields = self._coming.popleft().result()
        except BrokenProcessPool as e:
            raise UserError(
                f"a loader process ended unasked ({e}). Where it left no words of its own above it was killed, likely "
                "for memory: expected room for so many (config.train.workers) and for batches of that size"
            ) from e
        if fields is None:
            views = _views(self._slots[step % self._ahead], self._spec)
            fields = {name: view.copy() for name, view in views.items()}
        self._order()
        return fields

    def settle(self) -> None:
        """Wait until all that is made ahead lies ready."""
        wait(self._coming)

    def close(self) -> None:
        """End the processes, each once it has finished the item it is at."""
        self._coming.clear()
        self._end()
        self._slots.clear()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _order(self) -> None:
        """A slot is free again when the item that lay in it has been handed out: there are as many as are coming."""
        while len(self._coming) < self._ahead:
            if self._slots:
                self._coming.append(self._pool.submit(_make_in_worker, self._step, self._step % self._ahead))
            else:
                self._coming.append(self._pool.submit(_make_here, self._items, self._spec, self._step))
            self._step += 1


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes of a field in a slot; the next begins at a multiple of 64."""
    return -(-math.prod(shape) * dtype.itemsize // 64) * 64


def _views(slot: Slot, spec: Spec) -> Fields:
    """A slot's memory as an item's fields."""
    memory = memoryview(slot)
    views, start = {}, 0
    for name, (shape, dtype) in spec.items():
        views[name] = np.frombuffer(memory, dtype, math.prod(shape), start).reshape(shape)
        start += _nbytes(shape, dtype)
    return views


_given: tuple[Items, list[Fields]] | None = None  # in a worker process: the items, and the slots to put them into


def _start_worker(items: Items, slots: list[Slot], spec: Spec) -> None:
    """Run by each worker process before all else."""
    global _given
    _given = items, [_views(slot, spec) for slot in slots]
    cv2.setNumThreads(0)  # OpenCV's own threads and the other workers would fight over the cores
    for number in (signal.SIGINT, signal.SIGTERM):  # the trainer is told, saves, and ends its workers
        signal.signal(number, signal.SIG_IGN)
    # grain has loaded jax here. Should anything ever ask it for a device, that is not the trainer's accelerator.
    if jax := sys.modules.get("jax"):
        jax.config.update("jax_platforms", "cpu")
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _make_here(items: Items, spec: Spec, index: int) -> Fields:
    fields = {name: np.empty(shape, dtype) for name, (shape, dtype) in spec.items()}
    items.fill(index, fields)
    return fields


def _make_in_worker(index: int, slot: int) -> None:
    assert _given is not None
    items, slots = _given
    items.fill(index, slots[slot])


def _end_with_parent() -> None:
    """A trainer that was killed cannot end its workers: they end themselves, and give back their memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
