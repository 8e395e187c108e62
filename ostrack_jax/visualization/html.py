"""A self-contained page: HTML with its images inside, and the same as Markdown."""

from __future__ import annotations

import base64
import contextlib
import html
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from ostrack_jax.visualization import plots
from ostrack_jax.visualization.draw import Image
from ostrack_jax.visualization.table import Table, escape_markdown
from ostrack_jax.visualization.tiles import png

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the page forbids itself to load anything
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
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem }
.curves { display: grid; gap: 1rem; margin: 1.5rem 0; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)) }
figure { margin: 0 } figure img { display: block; width: 100%; height: auto; border-radius: 6px }
figcaption { color: var(--quiet); font-size: .85rem; overflow-wrap: anywhere }
.wide { overflow-x: auto } .images { display: grid; gap: 1rem } .images img { min-width: 44rem; max-width: 84rem }
table { border-collapse: collapse; font-size: .9rem }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
th { font-weight: 600; white-space: nowrap } td { overflow-wrap: anywhere; white-space: nowrap }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td:last-child:not(.number) { white-space: normal; min-width: 14rem } td.long { white-space: normal; min-width: 22rem }
tr.theirs td { color: var(--quiet); font-style: italic } tr.total td { font-weight: 600 }
.chip { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .5rem }
.shown { display: grid; gap: .5rem; margin: 0 0 1.5rem; max-width: 60rem }
.shown figure { min-width: 30rem }
@media (max-width: 32rem) {
  h1 { font-size: 1.2rem }
  .shown::before { content: "wider than the screen: scroll sideways"; position: sticky; left: 0; width: 17rem;
    color: var(--quiet); font-size: .8rem }
}
details { margin: .5rem 0 } summary { cursor: pointer; font-weight: 600 } p.quiet { color: var(--quiet) }
"""


class Page:
    """A page as it grows; every text is escaped here.

    Attributes:
      images: PNG files that the Markdown shows, by name.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._sections: list[str] = []
        self._lines: list[str] = []
        self.images: dict[str, bytes] = {}
        self.heading(title, 1)

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading."""
        self._sections.append(f"<h{level}>{html.escape(text)}</h{level}>")
        self._lines += ["", f"{'#' * level} {escape_markdown(text)}", ""]

    def paragraph(self, text: str) -> None:
        """Add a line of text."""
        self._sections.append(f'<p class="quiet">{html.escape(text)}</p>')
        self._lines += [escape_markdown(text), ""]

    def table(self, table: Table, folded: bool = False) -> None:
        """Add a table under its title; a ``folded`` one shows its title alone until it is opened. None without rows."""
        if not table.rows:
            return
        title, shown = html.escape(table.title), table.html()
        heading = f"<h3>{title}</h3>" if title else ""
        self._sections.append(f"<details><summary>{title}</summary>{shown}</details>" if folded else heading + shown)
        self._lines += [*([f"{escape_markdown(table.title)}:", ""] if title else []), *table.markdown(), ""]

    def plot(self, name: str, alt: str, draw: Callable[..., Any], *data: Any) -> None:
        """Add the figure that ``draw`` makes of ``data``, light and dark; ``name`` is the light one's file."""
        light, dark = (plots.png(theme, draw, *data) for theme in (plots.LIGHT, plots.DARK))
        width, height = struct.unpack(">II", light[16:24])
        source = f'<source media="(prefers-color-scheme: dark)" srcset="{_address(dark)}">'
        image = f'<img src="{_address(light)}" width="{width}" height="{height}" alt="{html.escape(alt)}">'
        self._sections.append(f"<figure><picture>{source}{image}</picture></figure>")
        self._add_file(name, light, alt)

    def photograph(self, name: str, image: Image, caption: str) -> None:
        """Add an image of frames: JPEG on the page, which is small, PNG as a file."""
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        self._figure(_address(jpeg.tobytes(), "jpeg"), caption)
        self._add_file(name, png(image), caption)

    def png(self, name: str, content: bytes, caption: str) -> None:
        """Add an image that is a PNG file already."""
        self._figure(_address(content), caption)
        self._add_file(name, content, caption)

    @contextlib.contextmanager
    def group(self, style: str) -> Iterator[None]:
        """Lay out the content added inside by the class ``style``: `curves`, `images` or `shown wide`."""
        self._sections.append(f'<div class="{style}">')
        yield
        self._sections.append("</div>")

    def html(self) -> str:
        """The page as one file."""
        head = f'<meta charset="utf-8"><title>{html.escape(self._title)}</title>\n'
        head += f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        head += f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        body = "\n".join(self._sections)
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'

    def markdown(self) -> str:
        """The same as Markdown, its `images` next to it."""
        return "\n".join(self._lines)

    def _figure(self, address: str, caption: str) -> None:
        text = html.escape(caption)
        image = f'<div class="wide"><img src="{address}" alt="{text}"></div>'
        self._sections.append(f"<figure>{image}<figcaption>{text}</figcaption></figure>")

    def _add_file(self, name: str, content: bytes, alt: str) -> None:
        safe = re.sub(r"[^\w.-]+", "_", name)[:120]
        while f"{safe}.png" in self.images:
            safe += "_"
        self.images[f"{safe}.png"] = content
        self._lines += [f"![{escape_markdown(alt)}]({safe}.png)", ""]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Each path's last parts, as many as it takes to distinguish all."""
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        short = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(short)) == len(short):
            break
    return short


def _address(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
