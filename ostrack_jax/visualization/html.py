"""Pieces of a page that needs nothing else: no server, no network. Enters: texts, PNG pictures. Leaves: HTML.

Pictures lie in the page as data; every text is escaped here; the page forbids itself to load anything.
"""

from __future__ import annotations

import base64
import html
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LONG = 60  # letters, above which a cell of a table of figures has several lines
_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --words: #1f2328; --quiet: #59636e; --line: #d9dee3 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15181c; --words: #e6e8eb; --quiet: #9aa4af; --line: #2d333a }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 90rem; background: var(--ground); color: var(--words);
  font: 16px/1.5 system-ui, sans-serif }
h1, h2, h3 { overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: .5rem 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .75rem }
.curves { display: grid; gap: 1rem; margin: 1.5rem 0; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)) }
figure { margin: 0 } figure img { display: block; width: 100%; height: auto; border-radius: 6px }
figcaption { color: var(--quiet); font-size: .85rem; overflow-wrap: anywhere }
.wide { overflow-x: auto } .pictures { display: grid; gap: 1rem } .pictures img { min-width: 44rem; max-width: 84rem }
table { border-collapse: collapse; font-size: .9rem }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td { overflow-wrap: anywhere; min-width: 5rem } th { font-weight: 600; white-space: nowrap }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.chip { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .5rem }
.shown { display: grid; gap: .5rem; margin: 0 0 1.5rem; max-width: 60rem }
.shown figure { min-width: 30rem }
@media (max-width: 32rem) {
  h1 { font-size: 1.2rem }
  .shown::before { content: "wider than the screen: scroll sideways"; position: sticky; left: 0; width: 17rem;
    color: var(--quiet); font-size: .8rem }
}
.figures td { white-space: nowrap; min-width: 0 }
.figures td.long, .figures td:last-child:not(.number) { white-space: normal; min-width: 14rem }
.figures td.long { min-width: 22rem }
tr.theirs td { color: var(--quiet); font-style: italic }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem }
details { margin: .5rem 0 } summary { cursor: pointer; font-weight: 600 } p.quiet { color: var(--quiet) }
"""


@dataclass(frozen=True)
class Table:
    """Text in rows; ``marks`` says of each row whose it is: `ours`, `theirs`."""

    heading: list[str]
    rows: list[list[str]]
    marks: list[str]


def document(title: str, sections: Iterable[str]) -> str:
    """The whole page; ``sections`` are HTML."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def themed(light: bytes, dark: bytes, alt: str) -> str:
    """A PNG picture for a light page and one for a dark page, both of one size."""
    width, height = struct.unpack(">II", light[16:24])
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{data(dark)}">'
    image = f'<img src="{data(light)}" width="{width}" height="{height}" alt="{html.escape(alt)}">'
    return f"<figure><picture>{source}{image}</picture></figure>"


def data(picture: bytes, kind: str = "png") -> str:
    """A picture's file as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Texts in rows."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def numbers(shown: Table) -> str:
    """A table whose columns of numbers stand right, its rows' marks as classes."""
    right = [bool(shown.rows) and all(_is_number(row[i]) for row in shown.rows) for i in range(len(shown.heading))]

    def cells(row: Sequence[str], tag: str) -> str:
        classes = (
            " class=number" if at_right else " class=long" if tag == "td" and len(cell) > _LONG else ""
            for at_right, cell in zip(right, row, strict=True)
        )
        return "".join(f"<{tag}{name}>{html.escape(cell)}</{tag}>" for cell, name in zip(row, classes, strict=True))

    lines = [f"<tr>{cells(shown.heading, 'th')}</tr>"]
    for i, row in enumerate(shown.rows):
        mark = f' class="{shown.marks[i]}"' if i < len(shown.marks) else ""
        lines.append(f"<tr{mark}>{cells(row, 'td')}</tr>")
    return f'<div class="wide"><table class="figures">{"".join(lines)}</table></div>'


def _is_number(cell: str) -> bool:
    parts = cell.removesuffix(" *").split(" ± ")  # a figure, perhaps with its tolerance
    return cell == "-" or all(part.lstrip("+-").replace(".", "", 1).isdecimal() for part in parts)
