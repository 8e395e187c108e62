"""The report of a tracker's run on a benchmark, and its file `report.json`.

Keys of the file: `benchmark`; `tracker`; `scores` (over all sequences that have a result, keys of
`metrics.scores.NUMBERS`, shares in 0..1, null where no frame counts); `not_scored` (why there are no scores: the ground
truth is not public; else
empty); `whole` (sequences of the complete benchmark, null if any number is right); `notes` (what keeps the numbers from
being the benchmark's own, a line each); `intervals` (of each overall number, [low, high] by bootstrap over sequences,
null with fewer than `intervals.LEAST_SEQUENCES`); `curves` (by their keys of `metrics.scores.CURVES`, a value for each
threshold); `attributes`, `categories` (by name, `sequences`, how many, and the numbers over those alone);
`conventions` (the same results by other rules: by name `meaning` and `scores`, or `refused`, the reason); `sequences`
(by name: `state` done | skipped, `frames`, `fps`, its own scores, `process` that tracked it); `failed` (by name: the
reason); `counts` (`done`, `skipped`, `failed`); `speed` (`fps`: frames a second of a process, in `update` alone,
without image reading, first frames and compiling; `first_frame_seconds`: the median of `init`; `compile_seconds`:
executables made, or loaded from the cache of an earlier run, null where there are none); `made_by`; `config` (null for
baselines); `weights_sha256`; `commit`; `versions`; `hardware`; `command`; `finished` (UTC): of the process that wrote
the report; `processes`: all that made results here, in this run and before, as `evaluation.locks` keeps them, in place
of their sequences how many they finished, without what stands above.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ostrack_jax import environment, io
from ostrack_jax.data.annotations import valid
from ostrack_jax.data.box_forms import SHIFTED, Oddity, find_oddity
from ostrack_jax.data.readers.lasot import LABELS
from ostrack_jax.errors import UserError, listed
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics import conventions, intervals
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction, average
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.evaluation.runner import Outcome

REPORT_FILE = "report.json"
MAIN = ("ao", "success_auc")  # the number that trackers and sequences are ordered by, the first that there is
OURS, SERVED = "measured here", "the server's, of results made here"  # whose scores are
MOST_BYTES = 256 << 20  # of a report or a comparison
# The files that list the frames the scores leave out or count as absent, by reader.
_LISTS = {"got10k": ("cover.label",), "lasot": LABELS, "lasot_ext": LABELS}

Numbers = dict[str, Any]  # a number, or None, by its key


@dataclass(eq=False)
class Report:
    """One tracker on one benchmark; the fields are the keys of its file, but for those below.

    Attributes:
      name: as it is shown: the tracker's, or its directory's where one tracker is shown twice.
      directory: of its result files; of one read from a comparison, the comparison's.
      whose: the scores are.
      tolerance: of a published figure, see `expected`; 0 for all others.
      more: what else the file has.
      runs: that the numbers are the mean of; ``spread``: their standard deviation over runs; ``lengths``: of results
        of another length than the truth, by name [found, expected]; ``pairs``: how it compares with others, see
        `compare`. Of a comparison's trackers.
    """

    benchmark: str
    tracker: str | None = None
    scores: Numbers = field(default_factory=dict)
    not_scored: str = ""
    whole: int | None = None
    notes: list[str] = field(default_factory=list)
    intervals: dict[str, list[float] | None] = field(default_factory=dict)
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    attributes: dict[str, Numbers] = field(default_factory=dict)
    categories: dict[str, Numbers] = field(default_factory=dict)
    conventions: dict[str, Any] = field(default_factory=dict)
    sequences: dict[str, Numbers] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    speed: Numbers = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    weights_sha256: str | None = None
    commit: str | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    finished: str = ""
    processes: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""
    directory: Path = Path()
    whose: str = OURS
    tolerance: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)
    runs: int = 1
    spread: dict[str, float] = field(default_factory=dict)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    pairs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def main(self) -> str:
        """The key of the number that sequences are ordered by; empty where nothing is scored."""
        return next((key for key in MAIN if self.scores.get(key) is not None), "")

    @property
    def fps(self) -> float | None:
        """Frames a second of `update`; None where nothing was timed."""
        return self.speed.get("fps")

    @property
    def part(self) -> str:
        """`2 of 280` where these are not all of the benchmark's sequences; else empty."""
        return f"{len(self.sequences)} of {self.whole}" if self.whole and len(self.sequences) != self.whole else ""

    @property
    def note(self) -> str:
        """What a reader must know of the row: not one-shot, not public, part of the benchmark, failed sequences."""
        notes = [self.not_scored.split(":")[0]] if self.not_scored and self.whose != SERVED else []
        if self.benchmark == "got10k_test":
            notes.append(not_one_shot(self.config))
        if self.part:
            notes.append(f"{self.part} sequences")
        if self.failed:
            notes.append(f"{len(self.failed)} failed")
        return "; ".join(filter(None, notes))

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {key: getattr(self, key) for key in KEYS}


_NOT_IN_FILE = ("name", "directory", "whose", "tolerance", "more", "runs", "spread", "lengths", "pairs")
KEYS = tuple(item.name for item in fields(Report) if item.name not in _NOT_IN_FILE)


def build(
    benchmark: Benchmark,
    outcomes: list[Outcome],
    made_by: Mapping[str, Any],
    *,
    config: Mapping[str, Any] | None = None,
    compile_seconds: float | None = None,
    command: str = "",
    processes: Sequence[Mapping[str, Any]] = (),
    other_rules: Sequence[str] = (),
) -> Report:
    """Make the report of one run.

    Args:
      benchmark: of the benchmark; scores what has a result.
      outcomes: of every sequence of the run.
      made_by: as `runner.evaluate` got it: `tracker`, and `weights_sha256` where there are weights.
      config: the tracker's complete config, if it has one.
      compile_seconds: what the tracker's executables took to make or to load, where it has some.
      command: as the user typed it.
      processes: records of all that made the results.
      other_rules: names of `conventions`, to show the same results by.
    """
    predictions = [outcome.prediction for outcome in outcomes if outcome.prediction is not None]
    scores = benchmark.score(predictions)
    counts = Counter(outcome.state for outcome in outcomes)
    owners = _owners(processes)
    found = [outcome.result for outcome in outcomes if outcome.result is not None]
    sequences = {
        outcome.name: {
            **{"state": outcome.state, "frames": len(outcome.result.times_s), "fps": fps(outcome.result)},
            **{"process": owners.get(outcome.name), **scores.sequences.get(outcome.name, {})},
        }
        for outcome in outcomes
        if outcome.result is not None
    }
    first = float(np.median([result.times_s[0] for result in found])) if found else None
    values = {
        **summarize(scores, predictions),
        "conventions": by_other_rules(other_rules, predictions),
        "sequences": sequences,
        "speed": {"fps": fps(*found), "first_frame_seconds": first, "compile_seconds": compile_seconds},
    }
    return Report(
        benchmark.name,
        made_by.get("tracker"),
        not_scored=benchmark.not_scored,
        whole=benchmark.sequences,
        notes=notes(benchmark, predictions),
        failed={outcome.name: outcome.reason for outcome in outcomes if outcome.state == "failed"},
        counts={state: counts[state] for state in ("done", "skipped", "failed")},
        made_by=dict(made_by),
        config=None if config is None else dict(config),
        weights_sha256=made_by.get("weights_sha256"),
        hardware=environment.hardware(),
        processes=[_process(record) for record in processes],
        name=str(made_by.get("tracker")),
        **made_now(command),
        **without_nan(values),
    )


def made_now(command: str) -> dict[str, Any]:
    """What a report or comparison says of the program and time that it is made at."""
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    now = {"commit": environment.commit(), "versions": environment.versions()}
    return {**now, "command": command, "finished": finished}


def read_report(path: Path) -> Report:
    """Read a `report.json`.

    Raises:
      UserError: it is missing, or not the report of an evaluation.
    """
    if not path.is_file():
        raise UserError(
            f"no {path.name} in {path.parent}: expected the --output of `ostrack eval` or `ostrack compare`"
        )
    return from_json(io.read_json(path, MOST_BYTES), path)


def from_json(values: Mapping[str, Any], source: Path) -> Report:
    """The report of these values, read from ``source``; keys may be missing, but for those that every report has."""
    missing = [key for key in ("benchmark", "tracker", "scores") if values.get(key) is None]
    if missing:
        raise UserError(f"{source} is not the report of an evaluation: it has no {missing[0]}")
    kept = {key: values[key] for key in (*KEYS, "runs", "spread", "lengths", "pairs") if values.get(key) is not None}
    more = {key: value for key, value in values.items() if key not in kept and key not in KEYS}
    return Report(**kept, directory=source.parent, name=str(values["tracker"]), more=more)


def summarize(scores: Scores, predictions: list[SequencePrediction]) -> dict[str, Any]:
    """The entries `scores`, `intervals`, `curves`, `attributes` and `categories`; NaN is left as it is."""
    attributes = [(attribute, one.name) for one in predictions for attribute in one.attributes]
    categories = [(one.category, one.name) for one in predictions if one.category]
    return {
        "scores": scores.overall,
        "intervals": {key: ends and list(ends) for key, ends in intervals.bootstrap(scores).items()},
        "curves": {key: curve.tolist() for key, curve in scores.curves.items()},
        "attributes": _means(scores, attributes),
        "categories": _means(scores, categories),
    }


def by_other_rules(names: Iterable[str], *runs: list[SequencePrediction]) -> dict[str, Any]:
    """The same predictions by these conventions, as a report has them; of several ``runs`` the mean."""
    found: dict[str, Any] = {}
    for name, convention in conventions.choose(list(names)).items():
        found[name] = {"meaning": conventions.meaning(name)}
        try:
            found[name]["scores"] = average([convention(predictions) for predictions in runs]).overall
        except UserError as e:
            found[name]["refused"] = str(e)
    return found


def notes(benchmark: Benchmark, answers: list[SequencePrediction]) -> list[str]:
    """Notes on why these scores are not the benchmark's own, a line each: missing or odd data."""
    found = []
    if benchmark.sequences is not None and len(answers) != benchmark.sequences:
        found.append(f"{len(answers)} of the benchmark's {benchmark.sequences} sequences")
    lists = _LISTS.get(benchmark.reader, ())
    unlisted = sum(answer.present is None or any(name in answer.missing for name in lists) for answer in answers)
    if lists and unlisted and not benchmark.not_scored:
        named = f"all lists of absent frames ({', '.join(lists)})"
        found.append(f"{unlisted} sequences without {named}, which the benchmark's own numbers rest on")
    if flawed := [answer.name for answer in answers if answer.flaws]:
        found.append(
            f"sequences that are not complete, scored on the frames that are there: {len(flawed)} ({listed(flawed)}); "
            "`ostrack data check` describes what is wrong"
        )
    unscored = [answer.name for answer in answers if not valid(answer.truth_xywh[1:]).any()]
    if unscored and not benchmark.not_scored:
        some = some_of(unscored, len(answers), "sequences")
        found.append(f"{some} have a true box in the first frame alone: their scores mean nothing")
    odd = [(find_oddity(answer.truth_xywh, answer.size_wh), answer.name) for answer in answers]
    return [*found, *odd_boxes("the true boxes", odd, "sequences")]


def odd_boxes(whose: str, found: list[tuple[Oddity | None, str]], of: str) -> list[str]:
    """Notes on odd boxes: a line for each oddity, with the names it was ``found`` by."""
    lines = []
    for oddity in dict.fromkeys(oddity for oddity, _ in found if oddity is not None):
        names = [name for each, name in found if each == oddity]
        if oddity == SHIFTED and len(names) <= len(found) / 2:
            continue  # of a few it is chance
        lines.append(f"{whose} of {some_of(names, len(found), of)} {oddity.text}: {oddity.fix}")
    return lines


def some_of(names: list[str], count: int, of: str) -> str:
    """How many of ``count`` these are, with the first names."""
    return f"{len(names)} of {count} {of} ({listed(names)})"


def _means(scores: Scores, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The numbers over the sequences of each group, of pairs of group and sequence."""
    groups: dict[str, list[str]] = {}
    for group, name in pairs:
        groups.setdefault(group, []).append(name)
    return {group: {"sequences": len(names), **scores.mean(names)} for group, names in sorted(groups.items())}


def not_one_shot(config: Mapping[str, Any] | None) -> str:
    """Why results on GOT-10k's test set are not by its rules, which allow its own training part alone; else empty."""
    if not config:
        return "one-shot or not: training sets unknown"
    sets = sorted({str(part.get("reader")) for part in config["data"].values() if part.get("use") == "train"})
    return "" if sets == ["got10k"] else f"NOT ONE-SHOT: trained on {', '.join(sets) or 'nothing'}"


def fps(*several: SequenceResult) -> float:
    """Frames a second in `update`: first frames, which start the tracker, are left out. NaN without any other."""
    seconds = sum(float(result.times_s[1:].sum()) for result in several)
    frames = sum(len(result.times_s) - 1 for result in several)
    return frames / seconds if seconds > 0 else float("nan")


def without_nan(value: Any) -> Any:
    """``value`` with None for each number that is not finite, which JSON has not."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _owners(processes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Who made each result: who finished it last, else (a killed one did not record that) who started it."""
    return {
        name: record["process"]
        for wanted in ("started", "done")
        for record in processes
        for name, state in record["sequences"].items()
        if state == wanted
    }


def _process(record: Mapping[str, Any]) -> dict[str, Any]:
    """A process's record as the report has it."""
    short = {key: value for key, value in record.items() if key not in ("config", "made_by", "sequences")}
    return short | {"finished_sequences": sum(state == "done" for state in record["sequences"].values())}
