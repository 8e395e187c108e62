"""One-pass evaluation. Enters: a tracker, sequences, a folder. Leaves: result files, and an `Outcome` per sequence.

The tracker starts on frame 0 with the ground truth and is never started again. Results are written as each sequence
ends; a sequence whose result is there and whole is skipped; one that fails is told apart and does not stop the others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ostrack_jax.datasets.annotations import read_text
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.metrics import Answered
from ostrack_jax.evaluation.protocols import Protocol
from ostrack_jax.evaluation.results import Result
from ostrack_jax.tracking.track import TrackerLike

RUN_FILE = "run.json"
# What a sequence can fail by: unreadable pictures, boxes no tracker can start on, a device out of memory. Other
# errors are mistakes of the program and stop it.
FAILURES = (UserError, cv2.error, ValueError, OSError, RuntimeError)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one sequence.

    Attributes:
      name: of the sequence.
      state: done (tracked now) | skipped (its result was there) | failed.
      reason: why it failed, one line; else empty.
      result: as its files have it; None where it failed, like ``answered``, which is what a score needs of it.
    """

    name: str
    state: str
    reason: str = ""
    result: Result | None = None
    answered: Answered | None = None


class Meter:
    """The progress bar: sequences, the current one, frames a second of the tracker alone."""

    def __init__(self, sequences: int, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[rate]}"), console=console)
        self._task: TaskID = self.progress.add_task("sequences", total=sequences, rate="")
        self._frames, self._seconds = 0, 0.0

    def frame(self, seconds: float) -> None:
        """One more frame, tracked in ``seconds``."""
        self._frames, self._seconds = self._frames + 1, self._seconds + seconds
        if self._seconds > 0:
            self.progress.update(self._task, rate=f"{self._frames / self._seconds:.1f} frames/s")

    def starts(self, name: str) -> None:
        """Now comes sequence ``name``."""
        self.progress.update(self._task, description=name)

    def ended(self) -> None:
        """One more sequence."""
        self.progress.advance(self._task)


def evaluate(
    tracker: TrackerLike,
    protocol: Protocol,
    sequences: LazySequences,
    folder: Path,
    made_by: Mapping[str, Any],
    console: Console | None = None,
) -> list[Outcome]:
    """Track every sequence that has no whole result in ``folder`` yet.

    Args:
      tracker: started anew on each sequence.
      protocol: says the form of the result files and which frames count.
      sequences: of the benchmark, all or some.
      folder: of the results; made if it is not there.
      made_by: what the answers follow from (tracker, weights' hash, config), as JSON can hold it. Kept as `run.json`:
        results that something else made are not mixed with these.
      console: for the progress bar; None: the terminal's standard error.

    Raises:
      UserError: ``folder`` holds results that something else made, or names that cannot be files.
    """
    results.check_names(sequences.names, protocol.form)
    claim(folder, protocol, sequences, made_by)
    meter = Meter(len(sequences), console or Console(stderr=True))
    outcomes = []
    with meter.progress:
        for i, name in enumerate(sequences.names):
            meter.starts(name)
            outcomes.append(_one(tracker, protocol, sequences, i, folder, meter))
            meter.ended()
    return outcomes


def claim(folder: Path, protocol: Protocol, sequences: LazySequences, made_by: Mapping[str, Any]) -> None:
    """Write `run.json`, or find there that the results in ``folder`` were made by the same."""
    wanted = json.loads(json.dumps({"benchmark": protocol.name, **made_by}))  # as it will be read: lists, no tuples
    path = folder / RUN_FILE
    if path.is_file():
        try:
            found = json.loads(read_text(path))
        except ValueError as e:
            raise UserError(f"{path} is no JSON: give another --output, or remove this one") from e
        if found != wanted:
            keys = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
            raise UserError(
                f"{folder} holds results of another run ({', '.join(_differs(k, found, wanted) for k in keys)}): "
                "give another --output, or remove this one"
            )
        return
    if any(results.files(folder, name, protocol.form).boxes.exists() for name in sequences.names):
        raise UserError(f"{folder} holds results, but no {RUN_FILE} says what made them: give another --output")
    results.write_text(path, json.dumps(wanted, indent=2) + "\n")


def track_sequence(tracker: TrackerLike, sequence: Sequence, meter: Meter | None = None) -> Result:
    """One pass: start on frame 0 with its true box, then frame by frame. Reading the pictures is not timed.

    Raises:
      UserError: frame 0 has no true box to start with; or what frames and tracker raise.
      ValueError: the tracker answered a box that is no box.
    """
    start = _first_box(sequence)
    length = len(sequence)
    boxes, times, scores = np.tile(start, (length, 1)), np.zeros(length), np.full(length, np.nan)
    for t in range(length):
        frame = sequence.frames[t]
        began = time.perf_counter()
        if t == 0:
            tracker.init(frame, start)
        else:
            track = tracker.update(frame)
            boxes[t], scores[t] = track.box_xywh, track.score
        times[t] = time.perf_counter() - began
        if not np.isfinite(boxes[t]).all():
            raise ValueError(f"frame {t}: the tracker answered the box {boxes[t].tolist()}")
        if meter is not None and t > 0:
            meter.frame(times[t])
    return Result(boxes, times, scores)


def _one(
    tracker: TrackerLike, protocol: Protocol, sequences: LazySequences, i: int, folder: Path, meter: Meter
) -> Outcome:
    name, form = sequences.names[i], protocol.form
    try:
        sequence = sequences[i]
        result = results.read_whole(folder, name, form, _first_box(sequence), len(sequence))
        state = "done" if result is None else "skipped"
        if result is None:
            results.write(folder, name, form, track_sequence(tracker, sequence, meter))
            result = results.read(folder, name, form)  # what is scored is what is on disk
        answered = protocol.answer(sequence, result.boxes_xywh)
    except FAILURES as e:
        return Outcome(name, "failed", f"{type(e).__name__}: {' '.join(str(e).split())}")
    return Outcome(name, state, "", result, answered)


def _first_box(sequence: Sequence) -> np.ndarray:
    box = sequence.boxes_xywh[0]
    if not (np.isfinite(box).all() and (box[2:] > 0).all()):
        raise UserError(f"sequence {sequence.name}: frame 0 has no box to start with, found {box.tolist()}")
    return box


def _differs(key: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    a, b = (str(run.get(key, "none"))[:40] for run in (found, wanted))
    return f"{key} {a} there, {b} here" if a != b else f"another {key}"
