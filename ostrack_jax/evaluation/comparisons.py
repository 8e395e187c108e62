"""Comparisons to be shown. Enters: `comparison.json` of `ostrack compare`. Leaves: its trackers' reports, tables."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from ostrack_jax.evaluation.benchmarks import BENCHMARKS
from ostrack_jax.evaluation.report import HEADINGS
from ostrack_jax.training.report_runs import number_of
from ostrack_jax.visualization.html import Table

_MOST_ROWS, _MOST_TEXT = 500, 400


def reports_of(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a comparison says of each tracker, in the form of `ostrack eval`'s report."""
    trackers = told.get("trackers")
    if not isinstance(trackers, dict):
        return []
    shared = {key: told[key] for key in ("commit", "versions", "command", "finished", "rules") if key in told}
    protocol = BENCHMARKS.get(_text(told.get("benchmark")))
    shared["whole"] = None if protocol is None else protocol.sequences
    return [
        {**shared, **row, "benchmark": told.get("benchmark"), "tracker": name, "speed": {"fps": row.get("fps")}}
        for name, row in trackers.items()
        if isinstance(row, dict)
    ]


def tables_of(told: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """Its notes, pairs of trackers, the same results by other rules: each with its title, none that is empty."""
    said = told.get("notes")
    notes = [[_text(note)] for note in islice(said if isinstance(said, list) else [], _MOST_ROWS)]
    tables = [
        ("What keeps these numbers from being the benchmark's own", Table([""], notes, [])),
        ("Pairs: the first less the second, in points", _pairs(told)),
        ("The same results by other rules", other_rules(told.get("conventions"))),
    ]
    return [(title, table) for title, table in tables if table.rows]


def _pairs(told: Mapping[str, Any]) -> Table:
    pairs = told.get("pairs")
    rows = []
    for pair in islice(pairs if isinstance(pairs, list) else [], _MOST_ROWS):
        if isinstance(pair, dict) and pair.get("key") in HEADINGS:
            ends = pair.get("interval")
            low, high = ends if isinstance(ends, list) and len(ends) == 2 else (None, None)
            counts = [_count(pair.get(key)) for key in ("won", "lost", "tied")]
            between = "" if _points(low) == "-" else f"{_points(low)} to {_points(high)}"
            names = [_text(pair.get("a")), _text(pair.get("b")), HEADINGS[pair["key"]]]
            rows.append([*names, _points(pair.get("difference")), *counts, between])
    heading = ["first", "second", "score", "difference", "won", "lost", "tied", "95 % interval"]
    if not any(row[-1] for row in rows):  # too few sequences
        heading, rows = heading[:-1], [row[:-1] for row in rows]
    return Table(heading, rows, [])


def other_rules(rules: Any) -> Table:
    """A row for each rule and tracker, of `conventions` as a comparison has them: what it gives, or why it refuses."""
    rows, keys = [], list(HEADINGS)
    for name, rule in islice(rules.items() if isinstance(rules, dict) else (), _MOST_ROWS):
        trackers = rule.get("trackers") if isinstance(rule, dict) else None
        for tracker, found in trackers.items() if isinstance(trackers, dict) else ():
            scores = found.get("scores") if isinstance(found, dict) else None
            numbers = [number_of(scores.get(key)) if isinstance(scores, dict) else None for key in keys]
            cells = ["-" if number is None else f"{100 * number:.1f}" for number in numbers]
            refused = found.get("refused") if isinstance(found, dict) else None
            why = f" Refused: {_text(refused)}" if refused else ""
            rows.append([_text(name), _text(tracker), *cells, _text(rule.get("meaning")) + why])
    heading = ["rules", "tracker", *HEADINGS.values(), "what they do"]
    known = [i for i in range(len(heading)) if any(row[i] != "-" for row in rows)]
    return Table([heading[i] for i in known], [[row[i] for i in known] for row in rows], [])


def _text(value: Any) -> str:
    return value[:_MOST_TEXT] if isinstance(value, str) else "-"


def _count(value: Any) -> str:
    number = number_of(value)
    return "-" if number is None else f"{number:.0f}"


def _points(value: Any) -> str:
    number = number_of(value)
    return "-" if number is None else f"{100 * number:+.1f}"
