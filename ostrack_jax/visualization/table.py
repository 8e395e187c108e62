"""A table of text, shown on a terminal, as HTML or as Markdown."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import rich.table
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape

_LONG = 60  # letters, above which a cell of the page wraps into lines


@dataclass(frozen=True)
class Table:
    """Text in rows. A column that holds nothing but numbers is aligned to the right; the first never is.

    Attributes:
      title: empty for none.
      columns: their headings.
      rows: as many cells each as there are columns.
      notes: lines below the table.
      styles: of each row: `theirs` (quiet), `total` (the last, in bold) or a colour, shown on the page as a chip.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    styles: Sequence[str] = ()

    def without_empty_columns(self, empty: str = "") -> Table:
        """The table less the columns in which every cell is ``empty``."""
        known = [i for i in range(len(self.columns)) if any(row[i] != empty for row in self.rows)]
        return replace(self, columns=_pick(self.columns, known), rows=[_pick(row, known) for row in self.rows])

    def print(self, console: Console) -> None:
        """Show it on a terminal, where it has rows: names are folded, numbers never."""
        if not self.rows:
            return
        title = escape(self.title) if self.title else None
        widths = [max(len(row[i]) for row in [self.columns, *self.rows]) for i in range(len(self.columns))]
        gap = 1 if sum(widths) + 2 * len(widths) < console.width else 0  # narrow rather than folded
        padding = (0, gap, 0, 0)
        table = rich.table.Table(
            title=title, title_justify="left", box=SIMPLE_HEAD, padding=padding, show_edge=False, pad_edge=False
        )
        share = console.width * 3 // 10
        for i, (column, number) in enumerate(zip(self.columns, self._numeric(), strict=True)):
            whole = number or (i == 0 and widths[0] <= share)
            least = None if whole else 5 if i else share
            side = "right" if number else "left"
            table.add_column(escape(column), justify=side, no_wrap=whole, overflow="fold", min_width=least)
        for row, style in self._styled():
            if style == "total":
                table.add_section()
            table.add_row(*map(escape, row), style="bold" if style == "total" else None)
        console.print(table)
        console.print()
        for note in self.notes:
            console.print(escape(note), soft_wrap=True, highlight=False)

    def html(self) -> str:
        """A table of a page, every text escaped; its title is the page's to show."""
        numeric = self._numeric()

        def cells(row: Sequence[str], tag: str, chip: str = "") -> str:
            found = []
            for cell, number in zip(row, numeric, strict=True):
                name = " class=number" if number else " class=long" if tag == "td" and len(cell) > _LONG else ""
                found.append(f"<{tag}{name}>{chip}{html.escape(cell)}</{tag}>")
                chip = ""
            return "".join(found)

        lines = [f"<tr>{cells(self.columns, 'th')}</tr>"]
        for row, style in self._styled():
            colour = style.startswith("#")
            chip = f'<span class="chip" style="background:{style}"></span>' if colour else ""
            lines.append(f'<tr class="{"" if colour else style}">{cells(row, "td", chip)}</tr>')
        notes = "".join(f'<p class="quiet">{html.escape(note)}</p>' for note in self.notes)
        return f'<div class="wide"><table>{"".join(lines)}</table></div>{notes}'

    def markdown(self) -> list[str]:
        """Its lines, without the title."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = ["| " + " | ".join(escape_markdown(cell) for cell in row) + " |" for row in lines]
        return [*table, "", *(f"{escape_markdown(note)}\n" for note in self.notes)]

    def _styled(self) -> Iterator[tuple[Sequence[str], str]]:
        for i, row in enumerate(self.rows):
            yield row, self.styles[i] if i < len(self.styles) else ""

    def _numeric(self) -> list[bool]:
        numbers = re.compile(r"[-+±\d.,:*%\[\] ]*")
        return [
            i > 0 and bool(self.rows) and all(numbers.fullmatch(row[i]) for row in self.rows)
            for i in range(len(self.columns))
        ]


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", " ".join(text.split()))


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested objects as dotted names and texts: the rows of a table of settings."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


def _pick(cells: Sequence[str], places: Sequence[int]) -> list[str]:
    return [cells[i] for i in places]
