"""The wish to stop. Enters: SIGTERM or Ctrl-C. Leaves: a word to the loop, which saves and ends."""

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
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Notes the first SIGTERM or Ctrl-C while it is open (``with``); a second Ctrl-C interrupts as ever.

    Of several hosts that train together, JAX's own watch over SIGTERM tells all of them to stop at the same step; there
    a Ctrl-C is passed on as SIGTERM, and what is being compiled is waited for.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._asked = 0
        self._passed_on = False
        self._before: dict[int, Any] = {}

    @property
    def wished(self) -> bool:
        """Whether the wish has come; of several hosts that train together never, they `requested` together."""
        return self._number is not None

    def requested(self) -> bool:
        """Whether to save and end now. Of several hosts all must ask, equally often."""
        self._asked += 1
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(self._asked):
            self._number = signal.SIGTERM
        return self.wished

    def during(self, work: Callable[[], T]) -> T:
        """What ``work`` gives; `Stopped` at once where the wish comes while it runs, as a compiler hears no signal."""
        pool = ThreadPool(1)
        result = pool.apply_async(work)
        pool.close()
        while not result.ready():
            result.wait(0.1)
            if self.wished:
                raise self.stopped(abandoned=True)
        return result.get()

    def stopped(self, abandoned: bool = False) -> Stopped:
        """What to raise, see `ending`; ``abandoned``: a thread still works at what nobody will ask for."""
        number = signal.Signals(self._number or signal.SIGTERM)
        return Stopped(f"stopped by {number.name}", number, abandoned)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._number = number

    def _pass_on(self, *_: object) -> None:
        if self._passed_on:
            raise KeyboardInterrupt
        self._passed_on = True
        os.kill(os.getpid(), signal.SIGTERM)  # JAX's, which all hosts hear of

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            alone = {number: self._note for number in _SIGNALS}
            handlers = alone if jax.process_count() == 1 else {signal.SIGINT: self._pass_on}
            self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
