"""One-pass evaluation. Enters: a tracker, sequences, a folder. Leaves: result files, and an `Outcome` per sequence.

The tracker starts on frame 0 with the ground truth and is never started again. Results are written as each sequence
ends; a sequence whose result is there and whole is skipped; one that fails is told apart and does not stop the others.
Any number of processes may work on one folder: each sequence is done by one of them, and all end when all is done.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ostrack_jax import io
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.claims import Claims
from ostrack_jax.evaluation.metrics.scores import SequencePrediction
from ostrack_jax.evaluation.passes import FAILURES, Ended, Passes, first_box, reason_of
from ostrack_jax.evaluation.processes import ProcessRecord
from ostrack_jax.evaluation.progress import Meter
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.io import unfinished
from ostrack_jax.tracking.track import ManyTracker, OneTarget, TrackerLike

RUN_FILE = "run.json"
# seconds between looks at what other processes have given back: with nothing else to do, and beside own work
_IDLE_POLL, _BUSY_POLL = 0.5, 5.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one sequence.

    Attributes:
      name: of the sequence.
      state: done (tracked now, by this process or one beside it) | skipped (its result was there) | failed.
      reason: why it failed, one line; else empty.
      result: as its files have it; None where it failed, like ``prediction``, which is what a score needs of it.
    """

    name: str
    state: str
    reason: str = ""
    result: SequenceResult | None = None
    prediction: SequencePrediction | None = None


def evaluate(
    tracker: TrackerLike | ManyTracker,
    protocol: Benchmark,
    sequences: LazySequences,
    folder: Path,
    made_by: Mapping[str, Any],
    console: Console | None = None,
    about: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Track every sequence that has no whole result in ``folder`` yet, and that no other process is at.

    Args:
      tracker: started anew on each sequence. Where it has several slots (`Tracker` with ``targets``), so many sequences
        are tracked at once.
      protocol: says the form of the result files and which frames count.
      sequences: of the benchmark, all or some.
      folder: of the results; made if it is not there.
      made_by: what the answers follow from (tracker, weights' hash, config), as JSON can hold it. Kept as `run.json`:
        results that something else made are not mixed with these.
      console: for the progress bar; None: the terminal's standard error.
      about: what else is to be kept of this process (command, config), see `processes`.

    Returns:
      the outcome of every sequence, in their order, whichever process tracked it.

    Raises:
      UserError: ``folder`` holds results that something else made, or names that cannot be files.
    """
    results.check_names(sequences.names, protocol.form)
    check_maker(folder, protocol, sequences, made_by)
    slots = tracker if isinstance(tracker, ManyTracker) else OneTarget(tracker)
    meter = Meter(len(sequences), console or Console(stderr=True))
    with meter.progress, Claims(folder) as claims, Passes(slots, meter.frame) as passes:
        about = {"targets": slots.targets, "made_by": dict(made_by), **(about or {})}
        record = ProcessRecord(folder, claims.process, about)
        return _Run(protocol, sequences, folder, claims, passes, record, meter).to_the_end()


def check_maker(folder: Path, protocol: Benchmark, sequences: LazySequences, made_by: Mapping[str, Any]) -> None:
    """Write `run.json`, or find there that the results in ``folder`` were made by the same."""
    wanted = json.loads(json.dumps({"benchmark": protocol.name, **made_by}))  # as it will be read: lists, no tuples
    path = folder / RUN_FILE
    if not path.is_file():
        if any(results.files(folder, name, protocol.form).boxes.exists() for name in sequences.names):
            raise UserError(f"{folder} holds results, but no {RUN_FILE} says what made them: give another --output")
        _write_once(path, json.dumps(wanted, indent=2) + "\n")
    try:
        found = io.read_json(path)
    except UserError as e:
        raise UserError(f"{e}: give another --output, or remove this one") from e
    if found != wanted:
        keys = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        raise UserError(
            f"{folder} holds results of another run ({', '.join(_differs(k, found, wanted) for k in keys)}): "
            "give another --output, or remove this one"
        )


def _write_once(path: Path, text: str) -> None:
    """Write a file whole, unless another process was quicker: then that one's stays."""
    temporary = unfinished(path)
    io.write_text(temporary, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a disk without links: the last of two that begin in one moment stays
        io.write_text(path, text)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class _Run:
    """This process's part in an evaluation."""

    protocol: Benchmark
    sequences: LazySequences
    folder: Path
    claims: Claims
    passes: Passes
    record: ProcessRecord
    meter: Meter

    def to_the_end(self) -> list[Outcome]:
        """Every sequence's outcome, in the order of the set."""
        outcomes: dict[int, Outcome] = {}
        for i in range(len(self.sequences)):
            self._settle(outcomes, i, "skipped")
        left = [i for i in range(len(self.sequences)) if i not in outcomes]
        if self.passes.slots > 1:  # long ones first: at the end few slots are left empty
            left.sort(key=lambda i: -len(self.sequences[i]))
        due = 0.0
        while left or len(self.passes):
            if time.monotonic() >= due:
                left, due = self._fill(left, outcomes), time.monotonic() + _BUSY_POLL
            ended = self.passes.step()
            for each in ended:
                self._end(each, outcomes)
            if left and not len(self.passes) and not ended:
                self.meter.says("waiting for other processes")
                time.sleep(_IDLE_POLL)
            due = due if len(self.passes) and not ended else 0.0
        names = [self.sequences.names[i] for i, outcome in outcomes.items() if outcome.state != "failed"]
        self.claims.clear(names)
        return [outcomes[i] for i in range(len(self.sequences))]

    def _fill(self, indices: list[int], outcomes: dict[int, Outcome]) -> list[int]:
        """Begin sequences that are free until every slot is taken; those that are still to be done, by whomever."""
        left = []
        for place, i in enumerate(indices):
            if self.passes.full:
                return [*left, *indices[place:]]
            if self._settle(outcomes, i, "done"):
                continue
            if not self.claims.take(self.sequences.names[i]):
                left.append(i)
            elif not self._settle(outcomes, i, "done"):  # it may have been finished and given back in between
                self._begin(i, outcomes)
        return left

    def _begin(self, i: int, outcomes: dict[int, Outcome]) -> None:
        name = self.sequences.names[i]
        try:
            self.passes.begin(i, self.sequences[i])
        except FAILURES as e:
            self._end(Ended(i, None, reason_of(e)), outcomes)
            return
        self.record.note(name, "started")
        self.meter.says(name if len(self.passes) == 1 else f"{len(self.passes)} at once")

    def _end(self, ended: Ended, outcomes: dict[int, Outcome]) -> None:
        """Write what came of a pass."""
        i, name, reason = ended.index, self.sequences.names[ended.index], ended.reason
        if ended.result is not None:
            try:
                results.write(self.folder, name, self.protocol.form, ended.result)
            except OSError as e:
                reason = reason_of(e)
        self.record.note(name, "failed" if reason else "done")
        if not reason and self._settle(outcomes, i, "done"):
            return
        reason = reason or "RuntimeError: its result was written, but is not there"
        self.claims.fail(name, reason)
        outcomes[i] = Outcome(name, "failed", reason)
        self.meter.ended()

    def _settle(self, outcomes: dict[int, Outcome], i: int, state: str) -> bool:
        """Whether nothing is left to do for sequence ``i``: then its outcome is noted, ``state`` where it is good."""
        try:
            outcome = self._outcome(i, state)
        except FAILURES as e:
            outcome = Outcome(self.sequences.names[i], "failed", reason_of(e))
        if outcome is not None:
            outcomes[i] = outcome
            self.meter.ended()
        return outcome is not None

    def _outcome(self, i: int, state: str) -> Outcome | None:
        name, sequence = self.sequences.names[i], self.sequences[i]
        # what is scored is what is on disk
        result = results.read_whole(self.folder, name, self.protocol.form, first_box(sequence), len(sequence))
        if result is None:
            reason = self.claims.failure(name)
            return None if reason is None else Outcome(name, "failed", reason)
        prediction = self.protocol.prediction(sequence, result.boxes_xywh)
        self.protocol.score([prediction])  # where the rules refuse the sequence, it fails alone, not the whole report
        return Outcome(name, state, "", result, prediction)


def _differs(key: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    a, b = (str(run.get(key, "none"))[:40] for run in (found, wanted))
    return f"{key} {a} there, {b} here" if a != b else f"another {key}"
