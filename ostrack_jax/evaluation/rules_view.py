"""The same results by other rules, on the terminal. Enters: what each rule gives. Leaves: a table in percent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ostrack_jax.evaluation.metrics.scores import HEADINGS, percent


def show(rules: Mapping[str, Any], console: Console) -> None:
    """A row for each rule and, of several, tracker, then what each rule does and whom it refused.

    Args:
      rules: by name of `conventions`: `meaning`, and `trackers`: by name, `scores` or `refused`.
      console: to print on.
    """
    scored = {
        name: {t: one["scores"] for t, one in rule["trackers"].items() if "scores" in one}
        for name, rule in rules.items()
    }
    keys = [key for key in HEADINGS if any(key in scores for of in scored.values() for scores in of.values())]
    if keys:
        title = "the same results by other rules, in percent"
        gap = 2 if console.width > 90 else 1  # 80 columns hold it
        table = Table(title=title, title_justify="left", box=None, padding=(0, 0, 0, gap), pad_edge=False)
        table.add_column("rules", overflow="fold", min_width=max(map(len, scored)))
        for key in keys:
            table.add_column(HEADINGS[key], justify="right", no_wrap=True)
        for name, trackers in scored.items():
            alone = len(trackers) == 1
            if not alone and trackers:
                table.add_row(name)
            for tracker, scores in trackers.items():
                label = name if alone else f"  {escape(tracker)}"
                table.add_row(label, *(percent(scores[key]) if key in scores else "" for key in keys))
        console.print(table)
    for name, rule in rules.items():
        refused = sorted({one["refused"] for one in rule["trackers"].values() if "refused" in one})
        why = "".join(f" [yellow]Refused: {escape(reason)}[/yellow]" for reason in refused)
        console.print(f"{name}: {rule['meaning']}{why}", highlight=False, soft_wrap=True)
