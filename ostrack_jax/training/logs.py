"""What a run tells. Enters: numbers by name at a step. Leaves: JSON lines, TensorBoard, the console's bar."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from ostrack_jax.checkpoint import write_atomically

LOG_FILE, TENSORBOARD = "log.jsonl", "tensorboard"


class Log:
    """Numbers of one run on disk: ``log.jsonl`` (a line an event) and TensorBoard's files.

    A resumed run drops what was written after the step it resumes from, so that every step is told once.
    """

    def __init__(self, workdir: Path, resumed_at: int):
        path = workdir / LOG_FILE
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if _step(line) <= resumed_at]
            write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
        self._file = path.open("a")
        self._board = SummaryWriter(str(workdir / TENSORBOARD), purge_step=resumed_at + 1, flush_secs=10)

    def write(self, kind: str, step: int, numbers: Mapping[str, float]) -> None:
        """One event: ``kind`` is train or validation; names become ``kind/name`` in TensorBoard."""
        self._file.write(json.dumps({"kind": kind, "step": step, **numbers}) + "\n")
        self._file.flush()
        for name, value in numbers.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()


def read(workdir: Path, kind: str) -> list[dict[str, Any]]:
    """All events of one kind, in order."""
    events = [json.loads(line) for line in (workdir / LOG_FILE).read_text().splitlines()]
    return [event for event in events if event["kind"] == kind]


def _step(line: str) -> float:
    """A line's step; a line cut short by a kill counts as later than all."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")


def told(numbers: Mapping[str, float]) -> str:
    """A reading in words; ``waiting`` is the share of time spent waiting for data."""
    return "loss {loss:7.3f}  IoU {iou:.3f}  {pairs_per_second:5.0f} pairs/s  waiting {wait:3.0%}".format(**numbers)


class Bar:
    """One epoch's progress bar."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task

    def update(self, done: int, numbers: Mapping[str, float]) -> None:
        """``done`` steps of the epoch; the newest numbers beside the bar."""
        self._progress.update(self._task, completed=done, told=told(numbers))


@contextmanager
def bar(console: Console, epoch: int, epochs: int, done: int, steps: int) -> Iterator[Bar]:
    """A bar over the steps of ``epoch``, gone when it ends; silent where the output is no terminal."""
    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  {task.fields[told]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=steps, completed=done, epoch=f"{epoch}/{epochs}", told="")
        yield Bar(progress, task)
