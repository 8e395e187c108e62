"""The numbers of a run, averaged over steps and printed.

The terminal has a bar and a line an epoch, readable at 80 columns. Without a terminal there are no bars,
but a complete line every minute.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ostrack_jax.config import TrainConfig

_EVERY = 60.0  # seconds between lines where there is no terminal
_LOSSES = (
    "loss {loss:.3f}  giou {giou:.3f}  l1 {l1:.4f}  focal {focal:.3f}  IoU {iou:.3f}  lr {lr:.1e}, {lr_backbone:.1e}"
)

Numbers = Mapping[str, float]
OnDevices = dict[str, Any]  # a batch, or a step's numbers


class NotFiniteError(Exception):
    """A step's loss or gradient was not finite.

    Attributes:
      step, batch: the step's number (the first is 1) and its batch.
    """

    def __init__(self, step: int, batch: OnDevices):
        super().__init__(f"step {step}: loss or gradient not finite")
        self.step, self.batch = step, batch


class Averages:
    """Means of the numbers of the steps since the last reading, and their rate.

    Attributes:
      waited: seconds since then in which the devices had nothing to do because data were waited for.
    """

    def __init__(self, batch: int):
        self._batch, self._began = batch, time.perf_counter()
        self._under_way: deque[tuple[int, OnDevices, OnDevices]] = deque()
        self._numbers: list[dict[str, Any]] = []
        self.waited = 0.0

    def add(self, step: int, batch: OnDevices, numbers: OnDevices) -> None:
        """Take note of a step that the devices have begun with."""
        self._under_way.append((step, batch, numbers))

    def idle(self) -> bool:
        """Whether the devices have nothing to do."""
        return not self._under_way or all(x.is_ready() for x in self._under_way[-1][2].values())

    def finished(self, but: int = 0) -> Iterator[int]:
        """Wait for the steps under way, all ``but`` the newest; yields the number of each when it is done.

        Raises:
          NotFiniteError: of the first that was not finite by its own ``finite``.
        """
        while len(self._under_way) > but:
            step, batch, numbers = self._under_way.popleft()
            found = jax.device_get(numbers)
            if not found.pop("finite"):
                self._under_way.clear()
                raise NotFiniteError(step, batch)
            self._numbers.append(found)
            yield step

    def read(self) -> dict[str, float]:
        """The means over the finished steps, ``pairs_per_second``, and ``wait``, the share of time waited."""
        now = time.perf_counter()
        elapsed = max(now - self._began, 1e-9)
        means = {name: float(np.mean([each[name] for each in self._numbers])) for name in self._numbers[0]}
        rates = {"pairs_per_second": self._batch * len(self._numbers) / elapsed, "wait": self.waited / elapsed}
        self._numbers, self._began, self.waited = [], now, 0.0
        return means | rates


class Progress:
    """Prints a run's numbers as they come."""

    def __init__(self, console: Console | None, train: TrainConfig, per_epoch: int):
        self.console = console or Console(quiet=jax.process_index() > 0)
        self._batch, self._steps = train.batch, train.epochs * per_epoch
        self._last_line = float("-inf")

    def print(self, text: str) -> None:
        """Print one line, above the bar where there is one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def working(self, text: str) -> contextlib.AbstractContextManager[object]:
        """Show a long operation while it runs."""
        if self.console.is_terminal:
            return self.console.status(text)
        self.print(f"{text} ...")
        return contextlib.nullcontext()

    @contextmanager
    def bar(
        self, title: str, done: int, total: int, before: int = 0
    ) -> Iterator[Callable[[int, Numbers | None], None]]:
        """A bar, removed at its end; yields a function that shows the finished steps and the last numbers."""
        words = TextColumn("{task.completed}/{task.total}  {task.fields[words]}")
        bar, below = Bar(TextColumn(title), BarColumn(None), words, console=self.console, expand=True), Text()
        task = bar.add_task("", total=total, completed=done, words="")

        def show(done: int, numbers: Numbers | None = None) -> None:
            pace = below.plain = ""
            if numbers:
                seconds = (self._steps - before - done) * self._batch / max(numbers["pairs_per_second"], 1e-9)
                pace = f"{rates(numbers)}  ETA {datetime.timedelta(seconds=round(seconds))}"
                below.plain = _LOSSES.format(**numbers)
            if self.console.is_terminal:
                bar.update(task, completed=done, words=pace)
            elif numbers and time.monotonic() - self._last_line > _EVERY:
                self._last_line = time.monotonic()
                self.print(f"{title}  {done}/{total}  {below.plain}  {pace}")

        live = Live(Group(bar, below), console=self.console, transient=True)
        with live if self.console.is_terminal else contextlib.nullcontext():
            yield show


def rates(numbers: Numbers) -> str:
    """Pairs a second, the share of time spent waiting for data, and the model FLOPs' share of the devices' peak."""
    text = f"{numbers['pairs_per_second']:.0f} pairs/s  wait {numbers['wait']:.0%}"
    return text + (f"  MFU {numbers['mfu']:.0%}" if "mfu" in numbers else "")


def summary(what: str, numbers: Numbers) -> str:
    """The line that is left of an epoch or a validation, in 80 columns."""
    return f"{what:<13}  loss {numbers['loss']:.3f}  IoU {numbers['iou']:.3f}  {rates(numbers)}"
