"""Losses and rates of the steps since the last reading. Enters: each step's named numbers. Leaves: means and rates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np

from ostrack_jax.errors import UserError


class Meter:
    """Collects metrics without holding the device up: a step is waited for when the one after it is on its way."""

    def __init__(self, batch: int):
        self._batch = batch
        self._reset()

    def _reset(self) -> None:
        self._metrics: list[dict[str, jax.Array]] = []
        self._waited, self._began = 0.0, time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent in here is time waiting for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Time spent in here (compiling) enters no rate."""
        began = time.perf_counter()
        yield
        self._began += time.perf_counter() - began

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """One more step's metrics, still on the device."""
        if self._metrics:
            jax.block_until_ready(self._metrics[-1])
        self._metrics.append(metrics)

    def read(self, step: int) -> dict[str, float]:
        """Means since the last reading, with ``pairs_per_second`` and ``wait`` (the share of time waiting for data).

        Raises:
          UserError: a number is not finite; ``step`` is the last one's.
        """
        fetched = jax.device_get(self._metrics)
        elapsed = max(time.perf_counter() - self._began, 1e-9)
        numbers = {name: float(np.mean([metrics[name] for metrics in fetched])) for name in fetched[0]}
        if not all(np.isfinite(value) for value in numbers.values()):
            broken = ", ".join(name for name, value in numbers.items() if not np.isfinite(value))
            raise UserError(f"not finite within the {len(fetched)} steps up to {step}: {broken}; the run stops here")
        numbers["pairs_per_second"] = self._batch * len(fetched) / elapsed
        numbers["wait"] = self._waited / elapsed
        self._reset()
        return numbers
