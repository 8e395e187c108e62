"""Comparison of trackers on the sequences that all of them have, and its file `comparison.json`.

Keys of the file (numbers are shares in 0..1 with the keys of `metrics.MEANING`, null where there is none):

- `benchmark`; `rules`: of its scores, a line each; `keys`: the numbers there are, the headline first;
- `sequences`: by name, `frames`, `category`, `attributes`: those that every tracker has; `left_out`: by name, the
  trackers that lack it;
- `trackers`: by name, in the order of the headline number: `folder`, `scores`, `intervals`, `curves`, `attributes`,
  `categories` (see `summary`), `sequences` (by name, its numbers), `runs` (how many: all numbers are their mean),
  `spread` (of each overall number, the standard deviation of a run; empty with one), `fps` (frames a second by the
  time files, null without), `lengths` (by name [found, expected], results of another length than the truth), and of a
  directory of `ostrack eval` with its report `weights_sha256`, `config` and `processes` as there;
- `thresholds`: what the curves run over, see `summary.thresholds`;
- `pairs`: `a`, `b`, `key`, `difference` (a less b), `interval` of it, sequences `won`, `lost`, `tied` by a;
- `conventions`: the same results by other rules: by name, `meaning` and `trackers` (by name, `scores` or `refused`);
- `notes`: what keeps the numbers from being the benchmark's own (`summary.notes`), or looks wrong in the results, a
  line each;
- `bootstrap`: `samples`, `seed`, `confidence`; `commit`, `versions`, `command`, `finished` (UTC).
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from ostrack_jax import environment, io
from ostrack_jax.data.box_forms import find_oddity_of_result
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import summary
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, Benchmark
from ostrack_jax.evaluation.metrics import conventions, intervals
from ostrack_jax.evaluation.metrics.scores import CURVES, Scores, SequencePrediction, average
from ostrack_jax.evaluation.raw_results import RawResults
from ostrack_jax.evaluation.report import MAIN, REPORT_FILE, Report, from_json, without_nan

COMPARISON_FILE = "comparison.json"
_MADE_WITH = ("weights_sha256", "config", "processes")  # taken from the directory's own report
_MOST_BYTES = 256 << 20
_MOST_NAMED = 20  # bad files in one message


@dataclass(eq=False)
class Entry:
    """One tracker's predictions, as they are read.

    Attributes:
      results: where they come from.
      answers: one a sequence, of the first run that has it; ``runs`` of each run.
      lengths: of the results that are longer or shorter than the truth.
      frames: that the time files cover; ``seconds`` that they took.
    """

    results: RawResults
    answers: list[SequencePrediction] = field(default_factory=list)
    runs: list[list[SequencePrediction]] = field(default_factory=list)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Of the tracker."""
        return self.results.name

    def read(self, benchmark: Benchmark, sequence: Sequence) -> None:
        """Read the results of ``sequence``, which one run at least must have."""
        several = [run.read(sequence.name, benchmark.reader) for run in self.results.runs]
        self.runs = self.runs or [[] for _ in several]
        found = []
        for i, boxes in enumerate(several):
            if boxes is None:
                continue
            if len(boxes) != len(sequence):
                name = sequence.name if len(several) == 1 else f"{sequence.name}, run {i + 1}"
                self.lengths[name] = [len(boxes), len(sequence)]
            found.append(benchmark.prediction(sequence, boxes))
            self.runs[i].append(found[-1])
            times = self.results.runs[i].read_times(sequence.name, benchmark.reader)
            if times is not None and len(times) > 1:  # the first frame starts the tracker
                self.frames, self.seconds = self.frames + len(times) - 1, self.seconds + float(times[1:].sum())
        self.answers.append(found[0])

    def to_json(self, runs: list[Scores]) -> dict[str, Any]:
        """The tracker's part of the comparison; ``runs``: its scores."""
        scores = average(runs)
        complete = [run.overall for run in runs if run.sequences.keys() == scores.sequences.keys()]
        several = scores.overall if len(complete) > 1 else ()
        path = self.results.folder / REPORT_FILE
        own = io.read_json(path) if self.results.benchmark and path.is_file() else {}
        return {
            "folder": str(self.results.folder),
            "scores": scores.overall,
            **summary.summarize(scores, self.answers),
            "sequences": scores.sequences,
            "runs": len(self.runs),
            "spread": {key: float(np.std([run[key] for run in complete], ddof=1)) for key in several},
            "fps": self.frames / self.seconds if self.seconds > 0 else None,
            "lengths": self.lengths,
            **{key: own[key] for key in _MADE_WITH if own.get(key) is not None},
        }


def compare(
    benchmark: Benchmark,
    sequences: LazySequences,
    trackers: list[RawResults],
    other_rules: Iterable[str] = (),
    command: str = "",
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Score every tracker on the sequences that all of them have.

    Args:
      benchmark: whose rules give the numbers.
      sequences: of the benchmark, all or some; without images too where its rules need no frame size.
      trackers: with names that differ.
      other_rules: names of `conventions`, to show the same results by.
      command: as the user typed it.
      notes: what else is to be noted of the sequences.

    Raises:
      UserError: no sequence that all have; results that are invalid, or that the benchmark's rules refuse: all that
        are, in one message.
    """
    if benchmark.not_scored:
        raise UserError(f"{benchmark.name} is {benchmark.not_scored}")
    other_rules = list(conventions.choose(list(other_rules)))  # a wrong name is reported before the work
    left_out = _left_out(benchmark, sequences, trackers)
    shared = [i for i, name in enumerate(sequences.names) if name not in left_out]
    if not shared:
        raise UserError(
            f"no sequence of {benchmark.name} has results of all trackers, e.g. {sequences.names[0]} lacks those of "
            f"{', '.join(left_out[sequences.names[0]])}"
        )
    entries = [Entry(results) for results in trackers]
    about = _read(benchmark, sequences, shared, entries)
    runs = _score(benchmark, entries)
    scores = {name: average(several) for name, several in runs.items()}
    first = scores[entries[0].name]
    keys = sorted(first.overall, key=lambda key: key not in MAIN)
    entries.sort(key=lambda entry: -scores[entry.name].overall[keys[0]])
    rules = {entry.name: summary.by_other_rules(other_rules, *filter(None, entry.runs)) for entry in entries}
    return without_nan(
        {
            "benchmark": benchmark.name,
            "rules": [conventions.first_line(convention) for convention in benchmark.conventions],
            "keys": keys,
            "sequences": about,
            "left_out": left_out,
            "trackers": {entry.name: entry.to_json(runs[entry.name]) for entry in entries},
            "thresholds": {
                key: {"values": CURVES[key].thresholds.tolist(), "label": CURVES[key].label, "score": CURVES[key].score}
                for key in first.curves
            },
            "pairs": [
                {"a": a.name, "b": b.name, "key": key, **asdict(intervals.paired(scores[a.name], scores[b.name], key))}
                for a, b in itertools.combinations(entries, 2)
                for key in keys
            ],
            "conventions": summary.rules_by_tracker(rules),
            "notes": [*notes, *summary.notes(benchmark, entries[0].answers), *_odd_results(entries), *_uneven(entries)],
            "bootstrap": {"samples": intervals.SAMPLES, "seed": intervals.SEED, "confidence": intervals.CONFIDENCE},
            "commit": environment.commit(),
            "versions": environment.versions(),
            "command": command,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
    )


def write(directory: Path, comparison: Mapping[str, Any]) -> Path:
    """Write `comparison.json`; its path."""
    io.write_json(directory / COMPARISON_FILE, comparison, indent=1)
    return directory / COMPARISON_FILE


def read(directory: Path) -> dict[str, Any] | None:
    """The comparison in ``directory``; None where `ostrack eval` wrote its report there, or neither did."""
    path = directory / COMPARISON_FILE
    return io.read_json(path, _MOST_BYTES) if path.is_file() and not (directory / REPORT_FILE).is_file() else None


def reports_of(comparison: Mapping[str, Any], source: Path = Path(COMPARISON_FILE)) -> list[Report]:
    """A report for each tracker of a comparison, read from ``source``.

    Raises:
      UserError: there is none, or it is not as `ostrack compare` writes it.
    """
    trackers = comparison.get("trackers")
    if not isinstance(trackers, dict) or not trackers or not all(isinstance(row, dict) for row in trackers.values()):
        raise UserError(f"{source} compares no trackers: expected what `ostrack compare` wrote")
    shared = {
        key: comparison[key] for key in ("commit", "versions", "command", "finished", "rules") if key in comparison
    }
    benchmark = comparison.get("benchmark")
    known = BENCHMARKS.get(str(benchmark))
    shared |= {"benchmark": benchmark, "whole": None if known is None else known.sequences}
    return [
        from_json({**shared, **row, "tracker": name, "speed": {"fps": row.get("fps")}}, source)
        for name, row in trackers.items()
    ]


@contextlib.contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Add each error to ``problems``, to report all at once."""
    try:
        yield
    except UserError as e:
        problems.append(str(e))


def _raise(problems: list[str]) -> None:
    """Raise a `UserError` that names the problems, where there are some."""
    different = list(dict.fromkeys(problems))
    if len(different) == 1:
        raise UserError(different[0])
    if different:
        more = f"; and {len(different) - _MOST_NAMED} more" if len(different) > _MOST_NAMED else ""
        raise UserError(f"{len(different)} results cannot be compared: {'; '.join(different[:_MOST_NAMED])}{more}")


def _left_out(benchmark: Benchmark, sequences: LazySequences, trackers: list[RawResults]) -> dict[str, list[str]]:
    """The sequences that some tracker lacks, with the names of those trackers."""
    missing: dict[str, list[str]] = {}
    problems: list[str] = []
    for name, tracker in itertools.product(sequences.names, trackers):
        with _collecting(problems):
            if not tracker.has(name, benchmark.reader):
                missing.setdefault(name, []).append(tracker.name)
    _raise(problems)
    return missing


def _read(
    benchmark: Benchmark, sequences: LazySequences, shared: list[int], entries: list[Entry]
) -> dict[str, dict[str, Any]]:
    """Read the predictions of the ``shared`` sequences into the entries; the comparison's facts on these, by name."""
    about: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for i in track(shared, "reading results", console=Console(stderr=True), transient=True):
        with _collecting(problems):
            sequence = sequences[i]
            row = {"frames": len(sequence), "category": sequence.category, "attributes": list(sequence.attributes)}
            about[sequence.name] = row
            for entry in entries:
                with _collecting(problems):
                    entry.read(benchmark, sequence)
    _raise(problems)
    return about


def _score(benchmark: Benchmark, entries: list[Entry]) -> dict[str, list[Scores]]:
    """By tracker, of each run; if the rules refuse one prediction, each is scored alone, to report them all."""
    scores: dict[str, list[Scores]] = {}
    problems: list[str] = []
    for entry in entries:
        refused: list[str] = []
        with _collecting(refused):
            scores[entry.name] = [benchmark.score(answers) for answers in entry.runs if answers]
        single: list[str] = []
        for answer in itertools.chain(*entry.runs) if refused else ():
            with _collecting(single):
                benchmark.score([answer])
        problems += [f"{entry.name}: {problem}" for problem in single or refused]
    _raise(problems)
    return scores


def _odd_results(entries: list[Entry]) -> Iterator[str]:
    """Signs of boxes of another form, or of results on other data; either is scored without an error."""
    for entry in entries:
        odd = [
            (find_oddity_of_result(answer.result_xywh[0], answer.truth_xywh[0], answer.size_wh), answer.name)
            for answer in itertools.chain(*entry.runs)
        ]
        yield from summary.odd_boxes(f"{entry.name}: the boxes", odd, "results")


def _uneven(entries: list[Entry]) -> Iterator[str]:
    """Sequences that not every run has: their mean is of fewer."""
    for entry in entries:
        having = Counter(answer.name for answer in itertools.chain(*entry.runs))
        fewer = [name for name, count in having.items() if count < len(entry.runs)]
        if fewer:
            some = summary.some_of(fewer, len(having), "sequences")
            yield f"{entry.name}: {some} have fewer than {len(entry.runs)} runs, and the mean of those they have"
