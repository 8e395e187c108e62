"""SIGTERM and Ctrl-C during training: noted at once, handled where the run can be saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from types import FrameType
from typing import Any, TypeVar

import jax
from jax.experimental import multihost_utils

from ostrack_jax.errors import Stopped

T = TypeVar("T")


class Stop:
    """Notes the first SIGTERM or Ctrl-C while it is open (``with``); a second Ctrl-C interrupts as ever.

    Of several hosts that train together, JAX's own watch over SIGTERM lets all of them stop at the same step; there a
    Ctrl-C is passed on as SIGTERM, and a compilation under way is waited for.
    """

    def __init__(self) -> None:
        self._noted: int | None = None
        self._steps = 0
        self._before: dict[int, Any] = {}

    def after_step(self) -> None:
        """Raise `Stopped` where a signal has come. Of several hosts all must ask, equally often."""
        self._steps += 1
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(self._steps):
            self._noted = signal.SIGTERM
        self.poll()

    def poll(self, abandoned: bool = False) -> None:
        """Raise `Stopped` where a signal has come to this process, which trains alone."""
        if self._noted is not None:
            number = signal.Signals(self._noted)
            raise Stopped(f"stopped by {number.name}", number, abandoned)

    def during(self, work: Callable[[], T]) -> T:
        """Run ``work`` and return its result; raise `Stopped` at once on a signal, which a compiler ignores."""
        pool = ThreadPool(1)
        result = pool.apply_async(work)
        pool.close()
        while not result.ready():
            result.wait(0.1)
            self.poll(abandoned=True)
        return result.get()

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._noted is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._noted = number

    def _pass_on(self, *_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGTERM)  # to JAX, which passes it to all hosts

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            alone = {signal.SIGTERM: self._note, signal.SIGINT: self._note}
            handlers = alone if jax.process_count() == 1 else {signal.SIGINT: self._pass_on}
            self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
