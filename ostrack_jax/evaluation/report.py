"""The report of a tracker's run on a benchmark, and its file `report.json`.

Keys of the file: `benchmark`; `tracker`; `scores` (over all sequences that have a result, keys of `metrics.MEANING`,
shares in 0..1, null where no frame counts); `not_scored` (why there are no scores: the ground truth is not public; else
empty); `whole` (sequences of the complete benchmark, null if any number is right); `notes` (what keeps the numbers from
being the benchmark's own, a line each); `intervals` (of each overall number, [low, high] by bootstrap over sequences,
null with fewer than `intervals.LEAST_SEQUENCES`); `curves` (by their keys of `metrics.CURVES`, a value for each
threshold); `attributes`, `categories` (by name, `sequences`, how many, and the numbers over those alone);
`conventions` (the same results by other rules: `summary.by_other_rules`); `sequences` (by name: `state` done | skipped,
`frames`, `fps`, its own scores, `process` that tracked it); `failed` (by name: the reason); `counts` (`done`,
`skipped`, `failed`); `speed` (`fps`: frames a second of a process, in `update` alone, without image reading, first
frames and compiling; `first_frame_seconds`: the median of `init`; `compile_seconds`: executables made, or loaded from
the cache of an earlier run, null where there are none); `made_by`; `config` (null for baselines); `weights_sha256`;
`commit`; `versions`; `hardware`; `command`; `finished` (UTC): of the process that wrote the report; `processes`: all
that made results here, in this run and before, as `evaluation.processes` keeps them, in place of their sequences how
many they finished, without what stands above.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from ostrack_jax import environment, io
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import summary
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics.scores import CURVES, MEANING
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.evaluation.runner import Outcome

REPORT_FILE = "report.json"
MAIN = ("ao", "success_auc")  # the number that trackers and sequences are ordered by, the first that there is
_MOST_BYTES = 64 << 20
_NUMBERS = {*MEANING, "fps", "frames", "sequences"}

Numbers = dict[str, Any]  # a number, or None, by its key


@dataclass(eq=False)
class Report:
    """One tracker on one benchmark; the fields are the keys of its file, but for the last four.

    Attributes:
      name: as it is shown: the tracker's, or its directory's where one tracker is shown twice.
      directory: of its result files.
      by_server: whether the scores are an evaluation server's.
      more: what else the file has.
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
    by_server: bool = False
    more: dict[str, Any] = field(default_factory=dict)

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
        notes = [self.not_scored.split(":")[0]] if self.not_scored and not self.by_server else []
        if self.benchmark == "got10k_test":
            notes.append(not_one_shot(self.config))
        if self.part:
            notes.append(f"{self.part} sequences")
        if self.failed:
            notes.append(f"{len(self.failed)} failed")
        return "; ".join(filter(None, notes))

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return without_nan({key: getattr(self, key) for key in KEYS})

    def write(self, directory: Path) -> Path:
        """Write `report.json`; its path."""
        io.write_json(directory / REPORT_FILE, self.to_json())
        return directory / REPORT_FILE


KEYS = tuple(item.name for item in fields(Report))[:-4]


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
    complete = [outcome for outcome in outcomes if outcome.prediction is not None and outcome.result is not None]
    answers = [outcome.prediction for outcome in complete if outcome.prediction is not None]
    scores = benchmark.score(answers)
    found = {outcome.name: outcome.result for outcome in complete if outcome.result is not None}
    states = {outcome.name: outcome.state for outcome in complete}
    counts = Counter(outcome.state for outcome in outcomes)
    owners = _owners(processes)
    values = {
        **summary.summarize(scores, answers),
        "scores": scores.overall,
        "conventions": summary.by_other_rules(other_rules, answers),
        "sequences": {
            name: {
                **{"state": states[name], "frames": len(result.times_s), "fps": fps(result)},
                **{"process": owners.get(name), **scores.sequences.get(name, {})},
            }
            for name, result in found.items()
        },
        "speed": {**_speed(list(found.values())), "compile_seconds": compile_seconds},
    }
    return Report(
        benchmark.name,
        made_by.get("tracker"),
        not_scored=benchmark.not_scored,
        whole=benchmark.sequences,
        notes=summary.notes(benchmark, answers),
        failed={outcome.name: outcome.reason for outcome in outcomes if outcome.state == "failed"},
        counts={state: counts[state] for state in ("done", "skipped", "failed")},
        made_by=dict(made_by),
        config=None if config is None else dict(config),
        weights_sha256=made_by.get("weights_sha256"),
        commit=environment.commit(),
        versions=environment.versions(),
        hardware=environment.hardware(),
        command=command,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        processes=[_process(record) for record in processes],
        **without_nan(values),
    )


def read_report(path: Path) -> Report:
    """Read a `report.json`.

    Raises:
      UserError: it is missing, or not the report of an evaluation.
    """
    if not path.is_file():
        raise UserError(
            f"no {path.name} in {path.parent}: expected the --output of `ostrack eval` or `ostrack compare`"
        )
    return from_json(io.read_json(path, _MOST_BYTES), path)


def from_json(values: Mapping[str, Any], source: Path) -> Report:
    """The report of these values, read from ``source``; keys may be missing, but for the benchmark's and tracker's.

    Raises:
      UserError: a value is of another kind than a report's.
    """
    kinds = get_type_hints(Report)
    known = {key: values[key] for key in KEYS if values.get(key) is not None}
    problems = [f"{key} is missing" for key in ("benchmark", "tracker") if key not in known]
    problems += [problem for key, value in known.items() for problem in _misfits(value, kinds[key], key)]
    if not problems:
        lengths = {"intervals": dict.fromkeys(MEANING, 2)}
        lengths["curves"] = {key: len(axis.thresholds) for key, axis in CURVES.items()}
        problems = [
            f"{name}.{key} is {len(numbers)} numbers, expected {lengths[name][key]}"
            for name in lengths
            for key, numbers in known.get(name, {}).items()
            if numbers is not None and len(numbers) != lengths[name].get(key, len(numbers))
        ]
    if problems:
        raise UserError(f"{source} is not the report of an evaluation: {problems[0]}")
    more = {key: value for key, value in values.items() if key not in KEYS}
    return Report(**known, directory=source.parent, name=known["tracker"], more=more)


def _misfits(value: Any, kind: Any, name: str) -> Iterator[str]:
    """What in a value of JSON is not of an annotated ``kind``; `_NUMBERS` are numbers wherever they are."""
    if kind is Any and name.rpartition(".")[2] in _NUMBERS:
        kind = float | None
    parts, kind = get_args(kind), get_origin(kind) or kind
    if kind is UnionType:
        if value is not None:
            yield from _misfits(value, parts[0], name)
    elif kind is float:
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            yield f"{name} is {str(value)[:40]}, expected a number"
    elif kind is not Any and not isinstance(value, kind):
        yield f"{name} is {type(value).__name__}, expected {kind.__name__}"
    elif kind in (dict, list):
        for key, item in value.items() if kind is dict else enumerate(value):
            yield from _misfits(item, parts[-1], f"{name}.{key}")


def trained_on(config: Mapping[str, Any] | None) -> list[str] | None:
    """The readers of a config's training sets, sorted; None without a config."""
    data = config.get("data") if config else None
    if not isinstance(data, dict):
        return None
    sets = [part for part in data.values() if isinstance(part, dict) and part.get("use") == "train"]
    return sorted({str(part.get("reader")) for part in sets})


def not_one_shot(config: Mapping[str, Any] | None) -> str:
    """Why results on GOT-10k's test set are not by its rules, which allow its own training part alone; else empty."""
    sets = trained_on(config)
    if sets is None:
        return "one-shot or not: training sets unknown"
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


def _speed(found: Sequence[SequenceResult]) -> dict[str, Any]:
    first = float(np.median([result.times_s[0] for result in found])) if found else None
    return {"fps": fps(*found), "first_frame_seconds": first}


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
