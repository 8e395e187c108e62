"""The same results by other rules, on the terminal. Enters: what each rule gives. Leaves: a table in percent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ostrack_jax.evaluation.metrics import HEADINGS


def show(rules: Mapping[str, Any], console: Console) -> None:
    """A row for each rule and tracker, then what each rule does and whom it refused; nothing without rules.

    Args:
      rules: by name of `conventions`: `meaning`, and `trackers`: by name, `scores` or `refused`.
      console: to print on.
    """
    found = [(name, tracker, one) for name, rule in rules.items() for tracker, one in rule["trackers"].items()]
    scored = [(name, tracker, one["scores"]) for name, tracker, one in found if "scores" in one]
    keys = [key for key in HEADINGS if any(key in scores for _, _, scores in scored)]
    if scored:
        table = Table(title="the same results by other rules, in percent", title_justify="left", box=SIMPLE_HEAD)
        for heading in ("rules", "tracker"):
            table.add_column(heading, overflow="fold")
        for key in keys:
            table.add_column(HEADINGS[key], justify="right", no_wrap=True)
        for name, tracker, scores in scored:
            table.add_row(name, escape(tracker), *(_percent(scores[key]) if key in scores else "" for key in keys))
        console.print(table)
    for name, rule in rules.items():
        refused = sorted({one["refused"] for one in rule["trackers"].values() if "refused" in one})
        why = "".join(f" [yellow]Refused: {escape(reason)}[/yellow]" for reason in refused)
        console.print(f"{name}: {rule['meaning']}{why}", highlight=False, soft_wrap=True)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
