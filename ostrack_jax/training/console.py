"""What a run tells on the terminal. Enters: numbers by name as they come. Leaves: a bar and a line an epoch.

Readable at 80 columns. Where the output is no terminal there are no bars, but a whole line every minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from ostrack_jax.config import TrainConfig

_EVERY = 60.0  # seconds between lines where there is no terminal
_SMOOTH = 0.8  # weight of the steps before the last reading in the pace

Numbers = Mapping[str, float]


def validates(train: TrainConfig, epoch: int) -> bool:
    """Whether a validation follows ``epoch`` (1, 2, ..): every so many, and the last."""
    return bool(train.validate_every) and (epoch % train.validate_every == 0 or epoch == train.epochs)


class Eta:
    """When a run will be done: its steps at their pace of late, its validations at the last one's."""

    def __init__(self, train: TrainConfig, steps: int):
        self._train, self._steps = train, steps  # steps of an epoch
        self._pace = self._validation = 0.0

    def read(self, numbers: Numbers) -> None:
        """A reading's pace, waiting for data included."""
        pace = self._train.batch / max(numbers["pairs_per_second"], 1e-9)
        self._pace = _SMOOTH * self._pace + (1 - _SMOOTH) * pace if self._pace else pace

    def validated(self, seconds: float) -> None:
        """How long a validation took."""
        self._validation = seconds

    def seconds(self, done: int) -> float:
        """From the run's step ``done`` to its end."""
        left = self._train.epochs * self._steps - done
        epochs = range(done // self._steps + 1, self._train.epochs + 1)
        return left * self._pace + sum(validates(self._train, epoch) for epoch in epochs) * self._validation


class Display:
    """The console of one run.

    Args:
      console: where to.
      train: its epochs and validations.
      steps: of an epoch.
    """

    def __init__(self, console: Console, train: TrainConfig, steps: int):
        self.console, self.eta = console, Eta(train, steps)
        self._train, self._steps = train, steps
        self._last = float("-inf")  # when the last line was told
        self._barred, self._below = False, Text()

    def tell(self, text: str) -> None:
        """One line, above the bar where there is one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Says what goes on for so long that one would wonder: below the bar, where there is one."""
        if not self.console.is_terminal:
            self.tell(f"{text} ...")
            yield
        elif self._barred:
            before, self._below.plain = self._below.plain, text
            try:
                yield
            finally:
                self._below.plain = before
        else:
            with self.console.status(text):
                yield

    @contextmanager
    def epoch(self, epoch: int, done: int) -> Iterator[Callable[[int, Numbers], None]]:
        """A bar over the steps of ``epoch``, gone when it ends; call what it gives with steps done and a reading."""
        title = f"epoch {epoch}/{self._train.epochs}"
        first = (epoch - 1) * self._steps
        with self._bar(title, done, self._steps) as show:

            def update(done: int, numbers: Numbers) -> None:
                self.eta.read(numbers)
                left = f"ETA {clock(self.eta.seconds(first + done))}"
                show(done, f"{rates(numbers)}  {left}", f"{losses(numbers)}  {learning_rates(numbers)}")
                if not self.console.is_terminal and time.monotonic() - self._last > _EVERY:
                    self._last = time.monotonic()
                    words = (f"{done}/{self._steps}", losses(numbers), learning_rates(numbers), rates(numbers), left)
                    self.tell("  ".join((title, *words)))

            yield update

    @contextmanager
    def validation(self, steps: int) -> Iterator[Callable[[int], None]]:
        """A bar over a validation's steps; call what it gives with the steps done."""
        began = time.monotonic()
        with self._bar("validation", 0, steps) as show:
            yield lambda done: show(done, "", "")
        self.eta.validated(time.monotonic() - began)

    @contextmanager
    def _bar(self, title: str, done: int, steps: int) -> Iterator[Callable[[int, str, str], None]]:
        """Two lines: the bar with words beside it, and words below."""
        if not self.console.is_terminal:
            yield lambda done, beside, below: None
            return
        columns = (
            TextColumn(title),
            BarColumn(None),
            TextColumn("{task.completed}/{task.total}  {task.fields[words]}"),
        )
        progress = Progress(*columns, console=self.console, expand=True)
        task = progress.add_task("", total=steps, completed=done, words="")

        def show(done: int, beside: str, below: str) -> None:
            progress.update(task, completed=done, words=beside)
            self._below.plain = below

        self._barred, self._below.plain = True, ""
        try:
            with Live(Group(progress, self._below), console=self.console, transient=True):
                yield show
        finally:
            self._barred = False


def losses(numbers: Numbers) -> str:
    """Each loss, their weighted sum first, and the IoU."""
    return "loss {loss:.3f}  giou {giou:.3f}  l1 {l1:.4f}  focal {focal:.3f}  IoU {iou:.3f}".format(**numbers)


def learning_rates(numbers: Numbers) -> str:
    """The head's and the backbone's."""
    return f"lr {_short(numbers['lr'])}, {_short(numbers['lr_backbone'])}"


def rates(numbers: Numbers) -> str:
    """Pairs a second, the share of time spent waiting for data, and the model FLOPs' share of the devices' peak."""
    text = f"{numbers['pairs_per_second']:.0f} pairs/s  wait {numbers['wait']:.0%}"
    return text + (f"  MFU {numbers['mfu']:.0%}" if "mfu" in numbers else "")


def summary(what: str, numbers: Numbers) -> str:
    """What is left of an epoch or a validation, in 80 columns."""
    return f"{what:<13}  loss {numbers['loss']:.3f}  IoU {numbers['iou']:.3f}  {rates(numbers)}"


def clock(seconds: float) -> str:
    """Hours, minutes, seconds; days and hours from two days on."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours // 24} d {hours % 24} h" if hours >= 48 else f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _short(rate: float) -> str:
    """1.2e-05 as 1.2e-5."""
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"
