"""Published scores by config and benchmark, from `expected.json`.

Published figures are in percent as the paper prints them; `tests/evaluation/test_expected.py` holds them against the
configs' docstrings and the paper's tables. Frames a second are the paper's: the network alone, on an RTX 2080 Ti.

Keys of an entry: `config`, its name; `by`, who measured it: `paper`, or `here` for this project's own; `source`, the
tables of the paper, or the page; `tolerance`; `scores`, by benchmark and key of `metrics.MEANING`; `fps`, frames a
second, where stated. The tolerance, in points of percent, is how far a training of one's own may end from the figure
and still count as the same: a judgement, not a measurement. The released weights, scored again, should come much
closer.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from ostrack_jax.evaluation.metrics.scores import HEADINGS
from ostrack_jax.evaluation.report import Report

HARDWARE = "RTX 2080 Ti, the network alone"  # of the paper's frames a second
PAPER, HERE = "the paper's", "expected of the config"  # whose a figure is


@functools.cache
def figures() -> tuple[dict[str, Any], ...]:
    """Return all entries."""
    return tuple(json.loads(Path(__file__).with_suffix(".json").read_text()))


def of_benchmark(benchmark: str) -> list[Report]:
    """Return the figures for this benchmark, each as the report that it stands for."""
    return [
        Report(
            benchmark,
            entry["config"],
            {key: round(percent / 100, 6) for key, percent in entry["scores"][benchmark].items()},
            speed={"fps": entry.get("fps")},
            name=entry["config"],
            whose=PAPER if entry["by"] == "paper" else HERE,
            tolerance=entry["tolerance"] / 100,
        )
        for entry in figures()
        if entry["scores"].get(benchmark)
    ]


def verdict(report: Report) -> str:
    """Each score next to what the config should reach; empty if none is stated, or for a part of a benchmark."""
    found = []
    for stated in of_benchmark(report.benchmark):
        for key in HEADINGS if stated.tracker == report.tracker and not report.part else ():
            score, figure = report.scores.get(key), stated.scores.get(key)
            if score is not None and figure is not None:
                words = "as expected"
                if abs(score - figure) > stated.tolerance + 1e-9:
                    words = f"{100 * abs(score - figure):.1f} {'below' if score < figure else 'above'}"
                found.append(f"{HEADINGS[key]} {words} ({100 * figure:.1f} ± {100 * stated.tolerance:.1f})")
    return "; ".join(found)
