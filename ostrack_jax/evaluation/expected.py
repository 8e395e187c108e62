"""Published scores by config and benchmark, from `expected.json`.

Published figures are in percent as the paper prints them; `tests/evaluation/test_expected.py` holds them against the
configs' docstrings and the paper's tables. Frames a second are the paper's: the network alone, on an RTX 2080 Ti.

The tolerance, in points of percent, is how far a training of one's own may end from the figure and still count as the
same: a judgement, not a measurement. The released weights, scored again, should come much closer.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

PAPER = "paper"
HARDWARE = "RTX 2080 Ti, the network alone"  # of the paper's frames a second


@dataclass(frozen=True)
class Expected:
    """The figures of one config.

    Attributes:
      config: its name.
      by: who measured them: `paper`, or `here` for this project's own.
      source: the tables of the paper, or the page, that they are from.
      tolerance: in points of percent.
      scores: percent by benchmark and key of `metrics.MEANING`.
      fps: frames a second; None where not stated.
    """

    config: str
    by: str
    source: str
    tolerance: float
    scores: dict[str, dict[str, float]]
    fps: float | None = None


@functools.cache
def figures() -> tuple[Expected, ...]:
    """Return all figures."""
    return tuple(Expected(**entry) for entry in json.loads(Path(__file__).with_suffix(".json").read_text()))


def of_benchmark(benchmark: str) -> list[Expected]:
    """Return those with a score on this benchmark."""
    return [entry for entry in figures() if entry.scores.get(benchmark)]


def verdict(config: str, benchmark: str, key: str, percent: float) -> str:
    """`as expected`, `below` or `above` by how many points, or empty where the config has no figure."""
    for entry in figures():
        figure = entry.scores.get(benchmark, {}).get(key) if entry.config == config else None
        if figure is not None:
            apart = percent - figure
            within = abs(apart) <= entry.tolerance
            words = "as expected" if within else f"{abs(apart):.1f} {'below' if apart < 0 else 'above'}"
            return f"{words} ({figure:.1f} ± {entry.tolerance:.1f})"
    return ""
