"""What is told of a run. Enters: outcomes and what made them. Leaves: a table for the terminal, `report.json`.

Keys of the report: `benchmark`; `tracker`; `scores` (of all sequences that have a result, keys of `metrics.MEANING`,
shares in 0..1, null where no frame counts); `sequences` (by name: `state` done | skipped, `frames`, `fps`, its own
scores, `process` that tracked it); `intervals`, `curves`, `attributes`, `categories`: as `summary.summarize` has them;
`conventions` (other rules: `summary.by_other_rules`); `failed` (by name: the reason); `counts` (`done`, `skipped`,
`failed`); `speed` (`fps`: frames a second of a process, in `update` alone, without pictures read, first frames and
compiling; `first_frame_seconds`: the median of `init`; `compile_seconds`: executables made, or loaded from the cache of
an earlier run, null where there are none); `made_by`;
`config` (null for baselines); `not_scored` (why there are no scores: the ground truth is not public; else empty);
`whole` (sequences of the whole benchmark, null where any number is right); `notes` (what keeps the numbers from being
the benchmark's own, a line each: `summary.notes`); `weights_sha256`; `commit`; `versions`;
`hardware`; `command`; `finished` (UTC): of the process that wrote the report; `processes`: all that made results here,
in this run and before, as `evaluation.processes` keeps them, in place of their sequences how many they finished,
without what is told above.
"""

from __future__ import annotations

import datetime
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ostrack_jax import environment, io
from ostrack_jax.evaluation import rules_view, summary
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics.scores import HEADINGS, percent
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.evaluation.runner import Outcome

REPORT_FILE = "report.json"


def build(
    protocol: Benchmark,
    outcomes: list[Outcome],
    made_by: Mapping[str, Any],
    *,
    config: Mapping[str, Any] | None = None,
    compile_seconds: float | None = None,
    command: str = "",
    processes: Sequence[Mapping[str, Any]] = (),
    other_rules: Sequence[str] = (),
) -> dict[str, Any]:
    """The report of one run, as JSON can hold it.

    Args:
      protocol: of the benchmark; scores what has a result.
      outcomes: of every sequence of the run.
      made_by: as `runner.evaluate` got it: `tracker`, and `weights_sha256` where there are weights.
      config: the tracker's whole config, where it has one.
      compile_seconds: what the tracker's executables took to make or to load, where it has some.
      command: as the user typed it.
      processes: records of all that made the results.
      other_rules: names of `conventions`, to show the same results by.
    """
    whole = [outcome for outcome in outcomes if outcome.prediction is not None and outcome.result is not None]
    answers = [outcome.prediction for outcome in whole if outcome.prediction is not None]
    scores = protocol.score(answers)
    found = {outcome.name: outcome.result for outcome in whole if outcome.result is not None}
    states = {outcome.name: outcome.state for outcome in whole}
    counts = Counter(outcome.state for outcome in outcomes)
    owners = _owners(processes)
    report = {
        "benchmark": protocol.name,
        "tracker": made_by.get("tracker"),
        "scores": scores.overall,
        "not_scored": protocol.not_scored,
        "whole": protocol.sequences,
        "notes": summary.notes(protocol, answers),
        **summary.summarize(scores, answers),
        "conventions": summary.by_other_rules(other_rules, answers),
        "sequences": {
            name: {
                **{"state": states[name], "frames": len(result.times_s), "fps": fps(result)},
                **{"process": owners.get(name), **scores.sequences.get(name, {})},
            }
            for name, result in found.items()
        },
        "failed": {outcome.name: outcome.reason for outcome in outcomes if outcome.state == "failed"},
        "counts": {state: counts[state] for state in ("done", "skipped", "failed")},
        "speed": {**_speed(list(found.values())), "compile_seconds": compile_seconds},
        "made_by": dict(made_by),
        "config": config,
        "weights_sha256": made_by.get("weights_sha256"),
        "commit": environment.commit(),
        "versions": environment.versions(),
        "hardware": environment.hardware(),
        "command": command,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processes": [_process(record) for record in processes],
    }
    return without_nan(report)


def fps(*several: SequenceResult) -> float:
    """Frames a second in `update`: first frames, which start the tracker, are left out. NaN without any other."""
    seconds = sum(float(result.times_s[1:].sum()) for result in several)
    frames = sum(len(result.times_s) - 1 for result in several)
    return frames / seconds if seconds > 0 else float("nan")


def _speed(found: Sequence[SequenceResult]) -> dict[str, Any]:
    first = float(np.median([result.times_s[0] for result in found])) if found else None
    return {"fps": fps(*found), "first_frame_seconds": first}


def _owners(processes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Who made each result: who finished it last, else (one killed before it could say so) who started it."""
    return {
        name: record["process"]
        for state in ("started", "done")
        for record in processes
        for name, said in record["sequences"].items()
        if said == state
    }


def _process(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a report tells of a process's record."""
    short = {key: value for key, value in record.items() if key not in ("config", "made_by", "sequences")}
    return short | {"finished_sequences": sum(state == "done" for state in record["sequences"].values())}


def write(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write `report.json`; its path."""
    path = folder / REPORT_FILE
    io.write_text(path, json.dumps(report, indent=2, allow_nan=False) + "\n")
    return path


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the table of sequences with the overall scores below, the speed, and what failed and why."""
    keys = [key for key in HEADINGS if key in report["scores"]]
    table = Table(
        title=escape(f"{report['tracker']} on {report['benchmark']}, in percent"),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
    )
    table.add_column("sequence", overflow="fold")
    for heading in ("frames", *(HEADINGS[key] for key in keys), "frames/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in report["sequences"].items():
        note = " *" if row["state"] == "skipped" else ""
        table.add_row(escape(name) + note, str(row["frames"]), *(percent(row[k]) for k in keys), _cell(row["fps"]))
    frames = sum(row["frames"] for row in report["sequences"].values())
    table.add_section()
    overall = [percent(report["scores"][key]) for key in keys]
    table.add_row("all", str(frames), *overall, _cell(report["speed"]["fps"]), style="bold")
    console.print(table)
    if report["not_scored"]:
        console.print(report["not_scored"], soft_wrap=True)
    for note in report["notes"]:
        console.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)
    rules = {
        name: {"meaning": rule["meaning"], "trackers": {str(report["tracker"]): rule}}
        for name, rule in report["conventions"].items()
    }
    rules_view.show(rules, console)
    counts = report["counts"]
    compiled = report["speed"]["compile_seconds"]
    console.print(
        f"{counts['done']} done, {counts['skipped']} skipped (*, their results were there), {counts['failed']} failed"
        + (f"; compiled, or loaded from the cache, in {compiled:.1f} s" if compiled is not None else "")
    )
    for name, reason in report["failed"].items():
        console.print(f"[red]failed[/red] {escape(name)}: {escape(reason)}", soft_wrap=True)


def _cell(fps: float | None) -> str:
    return "-" if fps is None else f"{fps:.1f}"


def without_nan(value: Any) -> Any:
    """``value`` with None for each number that is not finite, which JSON has not."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
