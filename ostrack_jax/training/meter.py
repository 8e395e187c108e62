"""Losses and rates of the steps since the last reading. Enters: each step's named numbers. Leaves: means and rates."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ostrack_jax.errors import UserError


class NotFiniteError(Exception):
    """A step's loss or gradient was not finite.

    Attributes:
      step: its number; the first is 1.
    """

    def __init__(self, step: int):
        super().__init__(f"step {step}: loss or gradient not finite")
        self.step = step


@dataclass
class _Coming:
    """A step under way: when it ended and its numbers, to come; when data were waited for beside it."""

    step: int
    outcome: Future[tuple[float, dict[str, Any]]]
    waited: tuple[float, float] = (0.0, 0.0)


class Meter:
    """Collects metrics without holding the device up.

    A thread waits for each step and fetches its numbers; the loop waits for a step only when the one after it is on
    its way. Use it with ``with``.
    """

    def __init__(self, batch: int):
        self._batch = batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="meter")
        self._coming: deque[_Coming] = deque()
        self._numbers: list[dict[str, Any]] = []
        self._broken: NotFiniteError | None = None
        self._began = self._ended = time.perf_counter()
        self._waited = self._idle = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent in here is waiting for data, from when the step added last is done."""
        began = time.perf_counter()
        yield
        if self._coming:
            self._coming[-1].waited = began, time.perf_counter()
        else:
            self._idle += time.perf_counter() - began

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Time spent in here (compiling, starting loader processes) enters no rate."""
        began = time.perf_counter()
        yield
        self._began += time.perf_counter() - began

    def add(self, step: int, metrics: dict[str, jax.Array]) -> list[int]:
        """One more step's metrics, still on the device; the steps that are finished by now and were not before.

        Raises:
          NotFiniteError: one of those was not finite by its own ``finite``; from then on always that one.
        """
        self._coming.append(_Coming(step, self._thread.submit(_fetch, metrics)))
        return self._take(1)

    def finish(self) -> list[int]:
        """Wait for all; the steps that were not told finished before. Raises as `add`."""
        return self._take(0)

    def _take(self, leave: int) -> list[int]:
        finished = []
        if self._broken is not None:
            raise self._broken
        while len(self._coming) > leave:
            coming = self._coming.popleft()
            self._ended, numbers = coming.outcome.result()
            if not numbers.get("finite", True):
                self._broken = NotFiniteError(coming.step)
                raise self._broken
            self._waited += self._idle
            began, ended = coming.waited
            self._idle = max(0.0, ended - max(began, self._ended))  # lies before the next step's end
            self._numbers.append(numbers)
            finished.append(coming.step)
        return finished

    def read(self) -> dict[str, float]:
        """Means over the finished steps since the last reading, ``pairs_per_second`` and ``wait``.

        ``wait`` is the share of time that the device had nothing to do because data were waited for.

        Raises:
          UserError: a number is not finite.
        """
        elapsed = max(self._ended - self._began, 1e-9)
        names = [name for name in self._numbers[0] if name != "finite"]
        numbers = {name: float(np.mean([each[name] for each in self._numbers])) for name in names}
        broken = [name for name, value in numbers.items() if not np.isfinite(value)]
        if broken:
            raise UserError(f"not finite within {len(self._numbers)} steps: {', '.join(broken)}; the run stops here")
        numbers["pairs_per_second"] = self._batch * len(self._numbers) / elapsed
        numbers["wait"] = self._waited / elapsed
        self._numbers, self._began, self._waited = [], self._ended, 0.0
        return numbers

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()


def _fetch(metrics: dict[str, jax.Array]) -> tuple[float, dict[str, Any]]:
    jax.block_until_ready(metrics)
    ended = time.perf_counter()
    return ended, jax.device_get(metrics)
