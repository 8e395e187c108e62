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

from ostrack_jax.errors import UserError
from ostrack_jax.visualization import plots
from ostrack_jax.visualization.draw import Image
from ostrack_jax.visualization.table import Table, escape_markdown
from ostrack_jax.visualization.tiles import png

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the page forbids itself to load anything
_STYLE = Path(__file__).with_name("page.css")


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
        self.png(name, png(image), caption, _address(jpeg.tobytes(), "jpeg"))

    def png(self, name: str, content: bytes, caption: str, address: str = "") -> None:
        """Add an image that is a PNG file; ``address``: what the page shows in its place."""
        text = html.escape(caption)
        image = f'<div class="wide"><img src="{address or _address(content)}" alt="{text}"></div>'
        self._sections.append(f"<figure>{image}<figcaption>{text}</figcaption></figure>")
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
        head += (
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE.read_text()}</style>'
        )
        body = "\n".join(self._sections)
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'

    def markdown(self) -> str:
        """The same as Markdown, its `images` next to it."""
        return "\n".join(self._lines)

    def _add_file(self, name: str, content: bytes, alt: str) -> None:
        safe = re.sub(r"[^\w.-]+", "_", name)[:120]
        while f"{safe}.png" in self.images:
            safe += "_"
        self.images[f"{safe}.png"] = content
        self._lines += [f"![{escape_markdown(alt)}]({safe}.png)", ""]


def name_directories(paths: Sequence[Path], what: str) -> dict[Path, str]:
    """Each directory, resolved, with its last parts, as many as it takes to distinguish all.

    Raises:
      UserError: one is not there, or given twice; ``what`` describes what was expected.
    """
    for path in paths:
        if not path.is_dir():
            raise UserError(f"no directory {path}: expected {what}")
    resolved, names = [path.resolve() for path in paths], {}
    if len(set(resolved)) < len(resolved):
        raise UserError("a directory is given twice: expected different ones")
    for count in range(1, max(len(path.parts) for path in resolved) + 1):
        names = {path: "/".join(path.parts[-count:]) for path in resolved}
        if len(set(names.values())) == len(names):
            break
    return names


def _address(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
