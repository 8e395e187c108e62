"""How far a run is. Enters: frames and sequences as they end. Leaves: a bar; without a terminal a line a minute."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_EVERY = 60.0  # seconds between lines where there is no terminal, as in the log of a batch system


class Meter:
    """The progress bar: sequences, the current one, frames a second of the tracker alone."""

    def __init__(self, sequences: int, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[rate]}"), console=console)
        self._task: TaskID = self.progress.add_task("sequences", total=sequences, rate="")
        self._frames, self._seconds = 0, 0.0
        self._due = time.monotonic() + _EVERY

    def frame(self, seconds: float) -> None:
        """One more frame, tracked in ``seconds``."""
        self._frames, self._seconds = self._frames + 1, self._seconds + seconds
        if self._seconds > 0:
            self.progress.update(self._task, rate=f"{self._frames / self._seconds:.1f} frames/s")
        self._tell()

    def says(self, what: str) -> None:
        """What is at work: a sequence's name, or how many there are."""
        self.progress.update(self._task, description=escape(what))
        self._tell()

    def ended(self) -> None:
        """One more sequence."""
        self.progress.advance(self._task)
        self._tell()

    def _tell(self) -> None:
        """The same as a line, now and then, where nobody sees a bar."""
        console = self.progress.console
        if console.is_terminal or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY
        (task,) = self.progress.tasks
        rate = f", {task.fields['rate']}" if task.fields["rate"] else ""
        console.print(f"{task.completed:.0f} of {task.total:.0f} sequences{rate}: {task.description}", soft_wrap=True)
