"""Trackers side by side. Enters: a benchmark's sequences, folders of results. Leaves: the comparison, as JSON holds it.

Keys of the comparison (numbers are shares in 0..1 with the keys of `metrics.MEANING`, null where there is none):

- `benchmark`; `rules`: of its scores, a line each; `keys`: the numbers there are, the headline first;
- `sequences`: by name, `frames`, `category`, `attributes`: those that every tracker has; `left_out`: by name, the
  trackers that lack it;
- `trackers`: by name, in the order of the headline number: `folder`, `scores`, `intervals`, `curves`, `attributes`,
  `categories` (see `summary`), `sequences` (by name, its numbers), `runs` (how many: all numbers are their mean),
  `spread` (of each overall number, the standard deviation of a run; empty with one), `fps` (frames a second by the
  time files, null without), `lengths` (by name [found, expected], results of another length than the truth), and of a
  folder of `ostrack eval` with its report `weights_sha256`, `config` and `processes` as there;
- `thresholds`: what the curves run over, see `summary.thresholds`;
- `pairs`: `a`, `b`, `key`, `difference` (a less b), `interval` of it, sequences `won`, `lost`, `tied` by a;
- `conventions`: the same results by other rules: by name, `meaning` and `trackers` (by name, `scores` or `refused`);
- `notes`: what keeps the numbers from being the benchmark's own (`summary.notes`), or looks wrong in the results, a
  line each;
- `bootstrap`: `samples`, `seed`, `confidence`; `commit`, `versions`, `command`, `finished` (UTC).
"""

from __future__ import annotations

import datetime
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.progress import track

from ostrack_jax import environment, io
from ostrack_jax.data.box_forms import find_oddity_of_result
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import report, summary
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics import conventions, intervals
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction, average
from ostrack_jax.evaluation.raw_results import RawResults

COMPARISON_FILE = "comparison.json"
_MADE_WITH = ("weights_sha256", "config", "processes")  # taken from the folder's own report
# The number that trackers are ordered by, the first of these that there is.
HEADLINES = ("ao", "success_auc")
_MOST_TOLD = 20  # bad files in one message


@dataclass(eq=False)
class Entry:
    """One tracker's answers, as they are gathered.

    Attributes:
      results: where they come from.
      answers: one a sequence, of the first run that has it; ``runs`` of each run.
      lengths: of the results that are longer or shorter than the truth.
      frames: that the time files speak of; ``seconds`` that they took.
    """

    results: RawResults
    answers: list[SequencePrediction] = field(default_factory=list)
    runs: list[list[SequencePrediction]] = field(default_factory=list)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0

    def add(self, protocol: Benchmark, sequence: Sequence) -> None:
        """Read the result of ``sequence``, which must be there in one run at least."""
        several = [run.read(sequence.name, protocol.reader) for run in self.results.runs]
        self.runs = self.runs or [[] for _ in several]
        for i, boxes in enumerate(several):
            if boxes is not None:
                self._add(protocol, sequence, i, boxes)
        self.answers.append(next(run[-1] for run, boxes in zip(self.runs, several, strict=True) if boxes is not None))

    def _add(self, protocol: Benchmark, sequence: Sequence, i: int, boxes: Float[np.ndarray, "t 4"]) -> None:
        """The same of run ``i`` alone."""
        name = sequence.name if len(self.runs) == 1 else f"{sequence.name}, run {i + 1}"
        if len(boxes) != len(sequence):
            self.lengths[name] = [len(boxes), len(sequence)]
        self.runs[i].append(protocol.prediction(sequence, boxes))
        times = self.results.runs[i].read_times(sequence.name, protocol.reader)
        if times is not None and len(times) > 1:  # the first frame starts the tracker
            self.frames, self.seconds = self.frames + len(times) - 1, self.seconds + float(times[1:].sum())


def compare(
    protocol: Benchmark,
    sequences: LazySequences,
    trackers: list[RawResults],
    other_rules: Iterable[str] = (),
    command: str = "",
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Score every tracker on the sequences that all of them have.

    Args:
      protocol: of the benchmark, whose rules give the numbers.
      sequences: of the benchmark, all or some; without pictures too where its rules need no frame size.
      trackers: with names that differ.
      other_rules: names of `conventions`, to show the same results by.
      command: as the user typed it.
      notes: what else is to be noted of the sequences.

    Raises:
      UserError: no sequence that all have; results that are broken, or that the benchmark's rules refuse: all that are,
        in one message.
    """
    if protocol.not_scored:
        raise UserError(f"{protocol.name} is {protocol.not_scored}")
    conventions.choose(list(other_rules))  # a wrong name is told before the work
    left_out = _left_out(protocol.reader, sequences, trackers)
    shared = [i for i, name in enumerate(sequences.names) if name not in left_out]
    if not shared:
        raise UserError(
            f"no sequence of {protocol.name} has results of all trackers, e.g. {sequences.names[0]} lacks those of "
            f"{', '.join(left_out[sequences.names[0]])}"
        )
    entries = [Entry(results) for results in trackers]
    about = _read(protocol, sequences, shared, entries)
    by_run = _score(protocol, entries)
    scores = {name: average(runs) for name, runs in by_run.items()}
    keys = sorted(next(iter(scores.values())).overall, key=lambda key: key not in HEADLINES)
    entries.sort(key=lambda entry: -scores[entry.results.name].overall[keys[0]])
    told = {
        "benchmark": protocol.name,
        "rules": [conventions.first_line(convention) for convention in protocol.conventions],
        "keys": keys,
        "sequences": about,
        "left_out": left_out,
        "trackers": {entry.results.name: _told(entry, by_run[entry.results.name]) for entry in entries},
        "thresholds": summary.thresholds(next(iter(scores.values()))),
        "pairs": _pairs({entry.results.name: scores[entry.results.name] for entry in entries}, keys),
        "conventions": _other_rules(entries, other_rules),
        "notes": [*notes, *summary.notes(protocol, entries[0].answers), *_odd_results(entries), *_uneven(entries)],
        "bootstrap": {"samples": intervals.SAMPLES, "seed": intervals.SEED, "confidence": intervals.CONFIDENCE},
        "commit": environment.commit(),
        "versions": environment.versions(),
        "command": command,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    return report.without_nan(told)


def write(folder: Path, told: Mapping[str, Any]) -> Path:
    """Write `comparison.json`; its path."""
    path = folder / COMPARISON_FILE
    io.write_text(path, json.dumps(told, indent=1, allow_nan=False) + "\n")
    return path


def _left_out(reader: str, sequences: LazySequences, trackers: list[RawResults]) -> dict[str, list[str]]:
    lacking: dict[str, list[str]] = {}
    problems = []
    for name in sequences.names:
        for tracker in trackers:
            try:
                if not tracker.has(name, reader):
                    lacking.setdefault(name, []).append(tracker.name)
            except UserError as e:
                problems.append(str(e))
    _refuse(problems)
    return lacking


def _read(
    protocol: Benchmark, sequences: LazySequences, shared: list[int], entries: list[Entry]
) -> dict[str, dict[str, Any]]:
    """Fill the entries with the answers to the ``shared`` sequences; what is told of these, by name."""
    about, problems = {}, []
    for i in track(shared, "reading results", console=Console(stderr=True), transient=True):
        try:
            sequence = sequences[i]
        except UserError as e:
            problems.append(str(e))
            continue
        about[sequence.name] = _about(sequence)
        for entry in entries:
            try:
                entry.add(protocol, sequence)
            except UserError as e:
                problems.append(str(e))
    _refuse(problems)
    return about


def _score(protocol: Benchmark, entries: list[Entry]) -> dict[str, list[Scores]]:
    """By tracker, of each run; where the rules refuse one answer, each is looked at alone, to report them all."""
    scores, problems = {}, []
    for entry in entries:
        try:
            scores[entry.results.name] = [protocol.score(answers) for answers in entry.runs if answers]
        except UserError as e:
            refusals = [told for answers in entry.runs for told in _refusals(protocol, answers)] or [str(e)]
            problems += [f"{entry.results.name}: {refusal}" for refusal in refusals]
    _refuse(problems)
    return scores


def _refusals(protocol: Benchmark, answers: list[SequencePrediction]) -> Iterator[str]:
    for answer in answers:
        try:
            protocol.score([answer])
        except UserError as e:
            yield str(e)


def _refuse(problems: list[str]) -> None:
    """A `UserError` that tells all of them, where there are some."""
    different = list(dict.fromkeys(problems))
    if len(different) == 1:
        raise UserError(different[0])
    if different:
        more = f"; and {len(different) - _MOST_TOLD} more" if len(different) > _MOST_TOLD else ""
        raise UserError(f"{len(different)} results cannot be compared: {'; '.join(different[:_MOST_TOLD])}{more}")


def _odd_results(entries: list[Entry]) -> Iterator[str]:
    """What speaks for boxes of another form, or results of other data; either is scored without an error."""
    for entry in entries:
        odd = [
            (find_oddity_of_result(answer.result_xywh[0], answer.truth_xywh[0], answer.size_wh), answer.name)
            for answers in entry.runs
            for answer in answers
        ]
        yield from summary.odd_boxes(f"{entry.results.name}: the boxes", odd, "results")


def _uneven(entries: list[Entry]) -> Iterator[str]:
    """Sequences that not every run has: their mean is of fewer."""
    for entry in entries:
        having = Counter(answer.name for answers in entry.runs for answer in answers)
        fewer = [name for name, count in having.items() if count < len(entry.runs)]
        if fewer:
            named = summary.some(fewer, len(having), "sequences")
            tracker, runs = entry.results.name, len(entry.runs)
            yield f"{tracker}: {named} have fewer than {runs} runs, and the mean of those they have"


def _about(sequence: Sequence) -> dict[str, Any]:
    return {
        "frames": len(sequence),
        "category": sequence.category,
        "attributes": list(sequence.attributes),
    }


def _told(entry: Entry, runs: list[Scores]) -> dict[str, Any]:
    scores = average(runs)
    return {
        "folder": str(entry.results.folder),
        "scores": scores.overall,
        **summary.summarize(scores, entry.answers),
        "sequences": scores.sequences,
        "runs": len(entry.runs),
        "spread": _spread([run.overall for run in runs if run.sequences.keys() == scores.sequences.keys()]),
        "fps": entry.frames / entry.seconds if entry.seconds > 0 else None,
        "lengths": entry.lengths,
        **_made_with(entry.results),
    }


def _spread(runs: list[dict[str, float]]) -> dict[str, float]:
    """The standard deviation of each overall number over the runs that have all sequences, where there are several."""
    return {key: float(np.std([run[key] for run in runs], ddof=1)) for key in runs[0]} if len(runs) > 1 else {}


def _made_with(found: RawResults) -> dict[str, Any]:
    """What made the results, by the report in their folder; nothing where they are others'."""
    path = found.folder / report.REPORT_FILE
    told = io.read_json(path) if found.benchmark and path.is_file() else {}
    return {key: told[key] for key in _MADE_WITH if told.get(key) is not None}


def _pairs(scores: dict[str, Scores], keys: list[str]) -> list[dict[str, Any]]:
    return [
        {"a": a, "b": b, "key": key, **asdict(intervals.paired(scores[a], scores[b], key))}
        for a, b in itertools.combinations(scores, 2)
        for key in keys
    ]


def _other_rules(entries: list[Entry], names: Iterable[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for entry in entries:
        for name, found in summary.by_other_rules(names, *filter(None, entry.runs)).items():
            meaning = found.pop("meaning")
            told.setdefault(name, {"meaning": meaning, "trackers": {}})["trackers"][entry.results.name] = found
    return told
