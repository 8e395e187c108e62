"""A comparison on the terminal. Enters: what `comparison.compare` leaves. Leaves: tables, numbers in percent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ostrack_jax.evaluation import rules_view
from ostrack_jax.evaluation.metrics.scores import HEADINGS, percent

_MOST_ROWS = 24  # of classes: all are in the JSON


def show(told: Mapping[str, Any], console: Console) -> None:
    """Print the numbers, the pairs, attributes, classes, other rules, what was left out and why."""
    key = told["keys"][0]
    console.print(_scores(told))
    if any(ends for tracker in told["trackers"].values() for ends in tracker["intervals"].values()):
        console.print(_intervals(told))
    if any(tracker["runs"] > 1 for tracker in told["trackers"].values()):
        console.print(_spreads(told))
    if any(pair["key"] == key and pair["difference"] is not None for pair in told["pairs"]):
        console.print(_pairs(told, key))
    for groups, heading in (("attributes", "attribute"), ("categories", "class")):
        table = _groups(told, groups, heading, key)
        if table is not None:
            console.print(table)
    rules_view.show(told["conventions"], console)
    for note in told["notes"]:
        console.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)
    left_out = told["left_out"]
    if left_out:
        named = "; ".join(f"{name} ({', '.join(lacking)})" for name, lacking in list(left_out.items())[:4])
        more = ", ..." if len(left_out) > 4 else ""
        console.print(f"[yellow]{len(left_out)} sequences left out[/yellow], not all have them: {escape(named)}{more}")
    for name, tracker in told["trackers"].items():
        if tracker["lengths"]:
            some = ", ".join(f"{s} ({a} for {b} frames)" for s, (a, b) in list(tracker["lengths"].items())[:3])
            console.print(f"{escape(name)}: {len(tracker['lengths'])} results of another length: {escape(some)}")


def _scores(told: Mapping[str, Any]) -> Table:
    count = len(told["sequences"])
    table = _table(f"{told['benchmark']}, {count} sequence{'s' * (count > 1)}, in percent", "tracker")
    for key in told["keys"]:
        table.add_column(HEADINGS[key], justify="right", no_wrap=True)
    table.add_column("frames/s", justify="right", no_wrap=True)
    for name, tracker in told["trackers"].items():
        cells = [percent(tracker["scores"][key]) for key in told["keys"]]
        fps = tracker["fps"]
        table.add_row(escape(name), *cells, "-" if fps is None else f"{fps:.1f}")
    return table


def _intervals(told: Mapping[str, Any]) -> Table:
    """In a table of its own: beside the numbers they would leave no room for names on a terminal of 80 columns."""
    table = _table("95 % intervals, by drawing sequences", "tracker")
    for key in told["keys"]:
        table.add_column(HEADINGS[key], justify="right", no_wrap=True)
    for name, tracker in told["trackers"].items():
        ends = [tracker["intervals"][key] for key in told["keys"]]
        table.add_row(escape(name), *("-" if two is None else f"{_rough(two[0])}..{_rough(two[1])}" for two in ends))
    return table


def _spreads(told: Mapping[str, Any]) -> Table:
    table = _table("standard deviation over runs", "tracker")
    for heading in ("runs", *(HEADINGS[key] for key in told["keys"])):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, tracker in told["trackers"].items():
        cells = (percent(tracker["spread"].get(key)) for key in told["keys"])
        table.add_row(escape(name), str(tracker["runs"]), *cells)
    return table


def _pairs(told: Mapping[str, Any], key: str) -> Table:
    table = _table(f"pairs by {HEADINGS[key]}", "first, second")
    for heading in ("first - second", "won", "lost", "tied"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in told["pairs"]:
        if pair["key"] == key:
            difference = _with_interval(pair["difference"], pair["interval"], "+.2f")
            counts = (str(pair[count]) for count in ("won", "lost", "tied"))
            table.add_row(escape(f"{pair['a']}, {pair['b']}"), difference, *counts)
    return table


def _groups(told: Mapping[str, Any], groups: str, heading: str, key: str) -> Table | None:
    """By attribute or class; the hardest of the first tracker on top. None where the benchmark has none."""
    first, *_ = trackers = list(told["trackers"].values())
    rows = [name for name, row in first[groups].items() if row[key] is not None]
    if not rows:
        return None
    rows.sort(key=lambda name: first[groups][name][key])
    table = _table(f"{HEADINGS[key]} by {heading}", heading)
    for column in ("sequences", *map(escape, told["trackers"])):
        table.add_column(column, justify="right", no_wrap=True)
    for name in rows[:_MOST_ROWS]:
        table.add_row(
            escape(name), str(first[groups][name]["sequences"]), *(percent(t[groups][name][key]) for t in trackers)
        )
    if len(rows) > _MOST_ROWS:
        table.caption = f"the {_MOST_ROWS} hardest of {len(rows)}"
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold", min_width=8)  # a name is never squeezed out
    return table


def _rough(value: float | None, form: str = ".1f") -> str:
    """An end of an interval in percent; it is drawn at random, which its second decimal depends on."""
    return percent(value, form)


def _with_interval(value: float | None, interval: list[float] | None, form: str) -> str:
    if interval is None:
        return percent(value, form)
    low, high = (_rough(end, "+.1f") for end in interval)
    return f"{percent(value, form)} \\[{low}, {high}]"
