"""Comparison of trackers on the sequences that all of them have, and its file `comparison.json`.

Keys of the file (numbers are shares in 0..1 with the keys of `metrics.scores.NUMBERS`, null where there is none):

- `benchmark`; `rules`: of its scores, a line each; `keys`: the numbers there are, the headline first;
- `sequences`: by name, `frames`, `category`, `attributes`: those that every tracker has; `left_out`: by name, the
  trackers that lack it;
- `trackers`: by name, in the order of the headline number: `folder`, `scores`, `intervals`, `curves`, `attributes`,
  `categories` (as in `report`), `sequences` (by name, its numbers), `runs` (how many: all numbers are their mean),
  `spread` (of each overall number, the standard deviation of a run; empty with one), `fps` (frames a second by the
  time files, null without), `lengths` (by name [found, expected], results of another length than the truth), and of a
  directory of `ostrack eval` with its report `weights_sha256`, `config` and `processes` as there;
- `thresholds`: by curve, its `values`, their `label` and the `score` that is taken from it;
- `pairs`: `a`, `b`, `key`, `difference` (a less b), `interval` of it, sequences `won`, `lost`, `tied` by a;
- `conventions`: the same results by other rules: by name, `meaning` and `trackers` (by name, `scores` or `refused`);
- `notes`: what keeps the numbers from being the benchmark's own (`report.notes`), or looks wrong in the results, a
  line each;
- `bootstrap`: `samples`, `seed`, `confidence`; `commit`, `versions`, `command`, `finished` (UTC).
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from ostrack_jax import io
from ostrack_jax.data.box_forms import find_oddity_of_result
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import report
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, Benchmark
from ostrack_jax.evaluation.metrics import conventions, intervals
from ostrack_jax.evaluation.metrics.scores import CURVES, Scores, SequencePrediction, average
from ostrack_jax.evaluation.raw_results import RawResults
from ostrack_jax.evaluation.report import MAIN, MOST_BYTES, REPORT_FILE, Report, from_json, made_now, without_nan

COMPARISON_FILE = "comparison.json"
_SCORED = ("scores", "intervals", "curves", "attributes", "categories", "sequences", "runs", "spread", "fps", "lengths")
_MADE_WITH = ("weights_sha256", "config", "processes")  # taken from the directory's own report
_MOST_NAMED = 20  # bad files in one message


@dataclass(eq=False)
class Comparison:
    """Trackers on the sequences that all of them have, see the keys of the file.

    Attributes:
      benchmark: whose rules give the numbers.
      reports: of the trackers, in the order of the headline number; the notes of each are the comparison's.
    """

    benchmark: Benchmark
    keys: list[str]
    reports: list[Report]
    sequences: dict[str, dict[str, Any]]
    left_out: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        first = self.reports[0]
        rules = {name: {"meaning": rule["meaning"], "trackers": {}} for name, rule in first.conventions.items()}
        trackers = {}
        for one in self.reports:
            made = {key: getattr(one, key) for key in _MADE_WITH if getattr(one, key)}
            trackers[one.name] = {"folder": str(one.directory), **{key: getattr(one, key) for key in _SCORED}, **made}
            for name, rule in one.conventions.items():
                rules[name]["trackers"][one.name] = {key: rule[key] for key in rule if key != "meaning"}
        return {
            "benchmark": self.benchmark.name,
            "rules": [conventions.first_line(convention) for convention in self.benchmark.conventions],
            "keys": self.keys,
            "sequences": self.sequences,
            "left_out": self.left_out,
            "trackers": trackers,
            "thresholds": {
                key: {"values": CURVES[key].thresholds.tolist(), "label": CURVES[key].label, "score": CURVES[key].score}
                for key in first.curves
            },
            "pairs": [pair for one in self.reports for pair in one.pairs],
            "conventions": rules,
            "notes": first.notes,
            "bootstrap": {"samples": intervals.SAMPLES, "seed": intervals.SEED, "confidence": intervals.CONFIDENCE},
            **made_now(first.command),
        }


class _Entry:
    """One tracker's predictions, as they are read.

    Attributes:
      runs: the predictions of each run; ``predictions``: one a sequence, of the first run that has it.
      scores: of each run.
      lengths: of results that are longer or shorter than the truth.
      frames: that the time files cover; ``seconds`` that they took.
    """

    def __init__(self, results: RawResults) -> None:
        self.results, self.name = results, results.name
        self.runs: list[list[SequencePrediction]] = [[] for _ in results.runs]
        self.predictions: list[SequencePrediction] = []
        self.scores: list[Scores] = []
        self.lengths: dict[str, list[int]] = {}
        self.frames, self.seconds = 0, 0.0

    def read(self, benchmark: Benchmark, sequence: Sequence) -> None:
        """Read the results of ``sequence``, which one run at least must have, and see that the rules accept them."""
        found = []
        for i, run in enumerate(self.results.runs):
            boxes = run.read(sequence.name, benchmark.reader)
            if boxes is None:
                continue
            if len(boxes) != len(sequence):
                name = sequence.name if len(self.runs) == 1 else f"{sequence.name}, run {i + 1}"
                self.lengths[name] = [len(boxes), len(sequence)]
            found.append(benchmark.prediction(sequence, boxes))
            try:
                benchmark.score(found[-1:])
            except UserError as e:
                raise UserError(f"{self.name}: {e}") from e
            self.runs[i].append(found[-1])
            times = run.read_times(sequence.name, benchmark.reader)
            if times is not None and len(times) > 1:  # the first frame starts the tracker
                self.frames, self.seconds = self.frames + len(times) - 1, self.seconds + float(times[1:].sum())
        self.predictions.append(found[0])

    @functools.cached_property
    def mean(self) -> Scores:
        """The mean of the runs' scores."""
        return average(self.scores)

    def report(self, benchmark: Benchmark, other_rules: list[str]) -> Report:
        """The tracker's report."""
        mean = self.mean
        complete = [run.overall for run in self.scores if run.sequences.keys() == mean.sequences.keys()]
        several = mean.overall if len(complete) > 1 else ()
        values = {
            **report.summarize(mean, self.predictions),
            "sequences": mean.sequences,
            "spread": {key: float(np.std([run[key] for run in complete], ddof=1)) for key in several},
            "conventions": report.by_other_rules(other_rules, *filter(None, self.runs)),
        }
        path = self.results.folder / REPORT_FILE
        own = io.read_json(path, MOST_BYTES) if self.results.benchmark and path.is_file() else {}
        return Report(
            benchmark.name,
            self.name,
            name=self.name,
            directory=self.results.folder,
            runs=len(self.runs),
            speed={"fps": self.frames / self.seconds if self.seconds > 0 else None},
            lengths=self.lengths,
            **{key: own[key] for key in _MADE_WITH if own.get(key) is not None},
            **without_nan(values),
        )


def compare(
    benchmark: Benchmark,
    sequences: LazySequences,
    trackers: list[RawResults],
    other_rules: Iterable[str] = (),
    command: str = "",
    notes: Iterable[str] = (),
) -> Comparison:
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
    entries = [_Entry(results) for results in trackers]
    about, left_out = _read(benchmark, sequences, entries)
    for entry in entries:
        entry.scores = [benchmark.score(run) for run in entry.runs if run]
    notes = [*notes, *report.notes(benchmark, entries[0].predictions), *_odd_results(entries)]
    keys = sorted(entries[0].mean.overall, key=lambda key: key not in MAIN)
    entries.sort(key=lambda entry: -entry.mean.overall[keys[0]])
    reports = [entry.report(benchmark, other_rules) for entry in entries]
    for a, b in itertools.combinations(range(len(entries)), 2):
        for key in keys:
            pair = {"a": reports[a].name, "b": reports[b].name, "key": key}
            paired = intervals.paired(entries[a].mean, entries[b].mean, key)
            reports[a].pairs.append(without_nan(pair | asdict(paired)))
    for one in reports:
        one.notes, one.command = notes, command
    return Comparison(benchmark, keys, reports, about, left_out)


def is_in(directory: Path) -> bool:
    """Whether a directory holds a comparison, and not also what `ostrack eval` writes."""
    return (directory / COMPARISON_FILE).is_file() and not (directory / REPORT_FILE).is_file()


def read(path: Path) -> list[Report]:
    """Read a `comparison.json`: a report for each tracker.

    Raises:
      UserError: it is not as `ostrack compare` writes it.
    """
    saved = io.read_json(path, MOST_BYTES)
    shared = {
        key: saved[key] for key in ("commit", "versions", "command", "finished", "rules", "notes") if key in saved
    }
    try:
        known = BENCHMARKS.get(saved["benchmark"])
        shared |= {"benchmark": saved["benchmark"], "whole": None if known is None else known.sequences}
        reports = []
        for name, row in saved["trackers"].items():
            rules = {
                rule: {"meaning": of["meaning"], **of["trackers"][name]}
                for rule, of in saved.get("conventions", {}).items()
                if name in of["trackers"]
            }
            own = {"tracker": name, "speed": {"fps": row.get("fps")}, "conventions": rules}
            own["pairs"] = [pair for pair in saved.get("pairs", []) if pair["a"] == name]
            reports.append(from_json({**shared, **row, **own}, path))
    except (KeyError, TypeError, AttributeError) as e:
        raise UserError(f"{path} compares no trackers: expected what `ostrack compare` wrote") from e
    return reports


def _read(
    benchmark: Benchmark, sequences: LazySequences, entries: list[_Entry]
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Read all predictions into the entries; the facts on the sequences all have, and who lacks each of the others."""
    about: dict[str, dict[str, Any]] = {}
    left_out: dict[str, list[str]] = {}
    problems: dict[str, None] = {}  # each once, in order
    for i, name in enumerate(track(sequences.names, "reading results", console=Console(stderr=True), transient=True)):
        try:
            lacking = [entry.name for entry in entries if not entry.results.has(name, benchmark.reader)]
            if lacking:
                left_out[name] = lacking
                continue
            sequence = sequences[i]
        except UserError as e:
            problems[str(e)] = None
            continue
        row = {"frames": len(sequence), "category": sequence.category, "attributes": list(sequence.attributes)}
        about[name] = row
        for entry in entries:
            try:
                entry.read(benchmark, sequence)
            except UserError as e:
                problems[str(e)] = None
    if len(problems) == 1:
        raise UserError(next(iter(problems)))
    if problems:
        more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
        raise UserError(f"{len(problems)} results cannot be compared: {'; '.join([*problems][:_MOST_NAMED])}{more}")
    if not about:
        name, missing = next(iter(left_out.items()))
        raise UserError(
            f"no sequence of {benchmark.name} has results of all trackers, e.g. {name} lacks those of "
            f"{', '.join(missing)}"
        )
    return about, left_out


def _odd_results(entries: list[_Entry]) -> Iterator[str]:
    """Signs of boxes of another form or of results on other data, not an error; sequences that some runs lack."""
    for entry in entries:
        every = list(itertools.chain(*entry.runs))
        odd = [(find_oddity_of_result(one.result_xywh[0], one.truth_xywh[0], one.size_wh), one.name) for one in every]
        yield from report.odd_boxes(f"{entry.name}: the boxes", odd, "results")
        having, count = Counter(one.name for one in every), len(entry.runs)
        if fewer := [name for name in having if having[name] < count]:
            some = report.some_of(fewer, len(having), "sequences")
            yield f"{entry.name}: {some} have fewer than {count} runs, and the mean of those they have"
