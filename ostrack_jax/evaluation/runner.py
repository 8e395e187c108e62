"""One-pass evaluation: track each sequence from its first true box to its end, write the result, score it.

A sequence whose result exists and is complete is skipped; one that fails is reported and does not stop the others.
Any number of processes may work on one directory: each sequence is tracked by one of them, and all end when all are
done (see `locks`).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ostrack_jax import io
from ostrack_jax.data.annotations import valid
from ostrack_jax.data.frames import Image, read_ahead
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.locks import Locks
from ostrack_jax.evaluation.metrics.scores import SequencePrediction
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.tracking.track import OneSlot, SlotTracker, TrackerLike

RUN_FILE = "run.json"
# What a sequence can fail by: unreadable images, boxes no tracker can start on, no memory on the device (a
# RuntimeError) or on the host. Other errors are mistakes of the program and stop it.
FAILURES = (UserError, cv2.error, ValueError, OSError, RuntimeError, MemoryError)
_DECODERS = 4  # threads for one sequence of images, where there are cores for them
# seconds between checks for results of other processes: when idle, and during own work
_IDLE_POLL, _BUSY_POLL = 0.5, 5.0
_LINE_EVERY = 60.0  # seconds between lines of progress where there is no terminal, as in the log of a batch system


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of one sequence.

    Attributes:
      name: of the sequence.
      state: done (tracked now, by this process or another) | skipped (its result existed) | failed.
      reason: why it failed, one line; else empty.
      result: as its files have it; None where it failed, like ``prediction``, which is what a score needs of it.
    """

    name: str
    state: str
    reason: str = ""
    result: SequenceResult | None = None
    prediction: SequencePrediction | None = None


def evaluate(
    tracker: TrackerLike | SlotTracker,
    benchmark: Benchmark,
    sequences: LazySequences,
    directory: Path,
    provenance: Mapping[str, Any],
    console: Console | None = None,
    about: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Track every sequence that has no complete result in ``directory`` yet, and that no other process tracks.

    Args:
      tracker: started on each sequence. Where it has several slots (`Tracker` with ``targets``), as many sequences are
        tracked at once.
      benchmark: gives the form of the result files and which frames count.
      sequences: of the benchmark, all or some.
      directory: of the results; created if missing.
      provenance: what the results follow from (tracker, weights' hash, config), as JSON can hold it. Kept as
        `run.json`: results of another tracker are not mixed with these.
      console: for the progress bar; None: the terminal's standard error.
      about: what else is to be kept of this process (command, config), see `locks`.

    Returns:
      the outcome of every sequence, in their order, whichever process tracked it.

    Raises:
      UserError: ``directory`` holds results of another tracker, or a sequence's name cannot be a file name.
    """
    names = sequences.names
    results.check_names(names, benchmark.form)
    check_run_file(directory, benchmark, names, provenance)
    slot_tracker = tracker if isinstance(tracker, SlotTracker) else OneSlot(tracker)
    about = {"targets": slot_tracker.targets, "made_by": dict(provenance), **(about or {})}
    meter = _Meter(len(names), console or Console(stderr=True))
    with meter.bar, Locks(directory, about) as locks, Slots(slot_tracker) as slots:
        outcomes = [_find_outcome(benchmark, sequences, i, directory, "skipped") for i in range(len(names))]
        left = [i for i, outcome in enumerate(outcomes) if outcome is None]
        if slot_tracker.targets > 1:  # long ones first: at the end few slots are left empty
            left.sort(key=lambda i: -len(sequences[i]))
        next_poll = 0.0
        while left or slots.passes:
            if time.monotonic() >= next_poll:
                next_poll = time.monotonic() + _BUSY_POLL
                for i in list(left):
                    if len(slots.passes) == slot_tracker.targets:
                        break
                    if not locks.take(names[i]):
                        continue
                    left.remove(i)
                    # Another process may have ended with it since it was looked for.
                    outcomes[i] = _find_outcome(benchmark, sequences, i, directory, "done")
                    if outcomes[i] is None and (reason := locks.failure(names[i])):
                        outcomes[i] = Outcome(names[i], "failed", reason)
                    if outcomes[i] is None:
                        locks.note(names[i], "started")
                        slots.begin(i, sequences[i])
                    else:
                        locks.release(names[i])
            ended = slots.step()
            for one in ended:
                outcomes[one.key] = outcome = _write(one, benchmark, sequences, directory)
                locks.note(outcome.name, outcome.state, outcome.reason)
            if left and not slots.passes and not ended:
                time.sleep(_IDLE_POLL)  # the others are at work on the rest
            if ended or not slots.passes:
                next_poll = 0.0
            done = len(names) - len(left) - len(slots.passes)
            meter.update(done, [names[one.key] for one in slots.passes.values()], slots.frames, slots.seconds)
    return [outcome for outcome in outcomes if outcome is not None]


def _find_outcome(
    benchmark: Benchmark, sequences: LazySequences, i: int, directory: Path, state: str
) -> Outcome | None:
    """Return what is known of a sequence: its result on disk, or data that nothing can be tracked in; else None."""
    name = sequences.names[i]
    try:
        sequence = sequences[i]
        result = results.read_complete(directory, name, benchmark.form, sequence.boxes_xywh)
        if result is None:
            if not len(sequence):
                raise UserError(f"sequence {name} has no frames")
            if not valid(sequence.boxes_xywh[:1])[0]:
                first = sequence.boxes_xywh[0].tolist()
                raise UserError(f"sequence {name}: frame 0 has no box to start with, found {first}")
            return None
        prediction = benchmark.prediction(sequence, result.boxes_xywh)
        benchmark.score([prediction])  # if the rules refuse the sequence, only it fails, not the report
    except FAILURES as e:
        return Outcome(name, "failed", one_line(e))
    return Outcome(name, state, "", result, prediction)


def _write(one: Pass, benchmark: Benchmark, sequences: LazySequences, directory: Path) -> Outcome:
    """Write the result of a pass that ended, and score it."""
    name = one.sequence.name
    if one.reason:
        return Outcome(name, "failed", one.reason)
    try:
        results.write(directory, name, benchmark.form, one.result)
    except FAILURES as e:
        return Outcome(name, "failed", one_line(e))
    outcome = _find_outcome(benchmark, sequences, one.key, directory, "done")
    return outcome or Outcome(name, "failed", "its result was written, but is not there")


def check_run_file(directory: Path, benchmark: Benchmark, names: Iterable[str], provenance: Mapping[str, Any]) -> None:
    """Write `run.json`, or check that the results in ``directory`` are of the same benchmark and tracker."""
    wanted = json.loads(json.dumps({"benchmark": benchmark.name, **provenance}))  # as it will be read: lists, no tuples
    path = directory / RUN_FILE
    if not path.is_file():
        if any(results.files(directory, name, benchmark.form).boxes.exists() for name in names):
            raise UserError(f"{directory} holds results without a {RUN_FILE} that says whose: give another --output")
        temporary = io.unfinished(path)
        io.write_json(temporary, wanted)
        with contextlib.suppress(OSError):
            os.link(temporary, path)  # fails where another process was quicker, whose file stays
        if not path.exists():  # a disk without links: the last of two that begin at once stays
            os.replace(temporary, path)
        temporary.unlink(missing_ok=True)
    try:
        found = io.read_json(path)
    except UserError as e:
        raise UserError(f"{e}: give another --output, or remove this one") from e
    changed = [
        f"{key} {str(found.get(key, 'none'))[:40]} there, {str(wanted.get(key, 'none'))[:40]} here"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]
    if changed:
        raise UserError(
            f"{directory} holds results of another run ({', '.join(changed)}): "
            "give another --output, or remove this one"
        )


@dataclass(eq=False)
class Pass:
    """One sequence in a slot, tracked up to frame ``t``.

    Attributes:
      key: the caller's, of the sequence.
      result: filled frame by frame.
      frames: those that are left.
      reason: why it failed, one line; else empty.
    """

    key: int
    sequence: Sequence
    result: SequenceResult
    frames: Generator[Image, None, None]
    t: int = 0
    reason: str = ""


class Slots:
    """Passes over up to ``tracker.targets`` sequences at once, each one frame further a step.

    Threads decode the frames to come, and crop the search regions of a step side by side; then the network predicts
    all of them together.

    Attributes:
      passes: those that are not ended, by slot.
      frames: tracked so far, first frames not counted; ``seconds`` that took.
    """

    def __init__(self, tracker: SlotTracker) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.passes: dict[int, Pass] = {}
        self.frames, self.seconds = 0, 0.0
        self._tracker = tracker
        self._decoders = min(_DECODERS, max(1, cores // tracker.targets))
        self._pool = ThreadPoolExecutor(min(tracker.targets, cores), thread_name_prefix="crop")

    def __enter__(self) -> Slots:
        return self

    def __exit__(self, *_: object) -> None:
        # Where Ctrl-C left threads at their frames: a generator that runs in another thread cannot be closed.
        self._pool.shutdown(wait=True, cancel_futures=True)
        for one in self.passes.values():
            one.frames.close()

    def begin(self, key: int, sequence: Sequence) -> None:
        """Give a sequence with a first box a free slot."""
        length = len(sequence)
        result = SequenceResult(np.tile(sequence.boxes_xywh[0], (length, 1)), np.zeros(length), np.full(length, np.nan))
        slot = next(slot for slot in range(self._tracker.targets) if slot not in self.passes)
        self.passes[slot] = Pass(key, sequence, result, read_ahead(sequence.frames, self._decoders))

    def step(self) -> list[Pass]:
        """Track one frame of every sequence; return the passes that ended with it, whose slots are free again.

        A frame's time is that of its own crop and its share of the network's: the step's over the targets in it.
        Waiting for an image is not timed.
        """
        going = {slot: one for slot, one in self.passes.items() if one.t > 0}
        for slot, one in self.passes.items():
            if one.t == 0:
                self._take_frame(slot, one)
        list((self._pool.map if len(going) > 1 else map)(self._take_frame, going, going.values()))
        cropped = {slot: one for slot, one in going.items() if not one.reason}
        began, tracks = time.perf_counter(), {}
        try:
            tracks = self._tracker.predict_slots() if cropped else {}
        except FAILURES as e:  # no sequence is to blame alone
            for one in cropped.values():
                one.reason = one_line(e)
        share = (time.perf_counter() - began) / max(len(cropped), 1)
        for slot, one in cropped.items():
            if one.reason:
                continue
            track = tracks[slot]
            one.result.boxes_xywh[one.t], one.result.scores[one.t] = track.box_xywh, track.score
            one.result.times_s[one.t] += share
            self.frames, self.seconds = self.frames + 1, self.seconds + float(one.result.times_s[one.t])
            if not np.isfinite(track.box_xywh).all():
                one.reason = f"ValueError: frame {one.t}: the tracker predicted the box {track.box_xywh.tolist()}"
        ended = []
        for slot, one in list(self.passes.items()):
            one.t += 1
            if one.reason or one.t == len(one.result.times_s):
                ended.append(self.passes.pop(slot))
                one.frames.close()
        return ended

    def _take_frame(self, slot: int, one: Pass) -> None:
        """Start on the first frame of a pass, or crop the search region of a later one."""
        try:
            frame = next(one.frames)
            began = time.perf_counter()
            if one.t == 0:
                self._tracker.init_slot(slot, frame, one.result.boxes_xywh[0])
            else:
                self._tracker.crop_search(slot, frame)
            one.result.times_s[one.t] = time.perf_counter() - began
        except FAILURES as e:
            one.reason = one_line(e)


class _Meter:
    """The progress of a run: a bar, or a line a minute without a terminal."""

    def __init__(self, sequences: int, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, TextColumn("{task.fields[rate]}"), console=console)
        self._task = self.bar.add_task("sequences", total=sequences, rate="")
        self._sequences, self._next_line = sequences, time.monotonic() + _LINE_EVERY

    def update(self, done: int, at_work: list[str], frames: int, seconds: float) -> None:
        """Show how many sequences are done, which are tracked, and the tracker's own speed."""
        what = at_work[0] if at_work else "waiting for others" if done < self._sequences else "sequences"
        what = f"{len(at_work)} at once" if len(at_work) > 1 else what
        rate = f"{frames / seconds:.1f} frames/s" if seconds > 0 else ""
        self.bar.update(self._task, completed=done, description=escape(what), rate=rate)
        if not self.bar.console.is_terminal and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY
            line = f"{done} of {self._sequences} sequences{rate and ', '}{rate}: {escape(what)}"
            self.bar.console.print(line, soft_wrap=True)


def one_line(error: Exception) -> str:
    """Return a failure in one line; a `UserError` without its class name."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
