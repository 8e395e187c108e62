"""What every plot is drawn on. Enters: a theme. Leaves: matplotlib's objects dressed alike, PNG pictures."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

from ostrack_jax.errors import UserError

COLOURS = ("#3b82f6", "#f08c00", "#12a150", "#d6409f", "#8b5cf6", "#0e9db2", "#a16207", "#e5484d")
DPI = 160


@dataclass(frozen=True)
class Theme:
    """Colours that a page's ground asks for."""

    ground: str
    words: str
    grid: str


LIGHT = Theme("#ffffff", "#1f2328", "#e4e7eb")
DARK = Theme("#15181c", "#e6e8eb", "#2d333a")


def matplotlib() -> Any:
    """By its objects, without pyplot: no state of its own, no display.

    Raises:
      UserError: it is not installed.
    """
    try:
        import matplotlib.figure
        import matplotlib.lines
        import matplotlib.ticker
    except ImportError as e:
        raise UserError("drawing curves needs matplotlib: pip install 'ostrack-jax[report]'") from e
    matplotlib.rcParams["text.parse_math"] = False  # a name with two $ is a name, not a formula
    return matplotlib


def words(text: str, most: int = 48) -> str:
    """A name as a plot can show it: printable, short, and not hidden, as labels are that begin with an underscore."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: most + 1])
    plain = plain if len(plain) <= most else f"{plain[: most - 2]}.."
    return f" {plain}" if plain.startswith("_") else plain


def line(x: list[float], y: list[float], colour: str) -> Any:
    """A mark for a legend."""
    return matplotlib().lines.Line2D(x, y, color=colour, linewidth=3)


def figure(inches: tuple[float, float], theme: Theme) -> Any:
    """An empty figure of so many inches at `DPI`."""
    return matplotlib().figure.Figure(inches, dpi=DPI, facecolor=theme.ground, layout="constrained")


def png(drawn: Any) -> bytes:
    """A figure as a PNG file, the same bytes each time."""
    out = io.BytesIO()
    with warnings.catch_warnings():  # a name may have letters that the font lacks: they are boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        drawn.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def dress(axes: Any, title: str, label: str, theme: Theme) -> None:
    """Title, the horizontal axis's label, colours, a grid behind."""
    axes.set_title(title, color=theme.words, fontsize=12, loc="left")
    axes.set_xlabel(label, color=theme.words, fontsize=10)
    axes.set_facecolor(theme.ground)
    axes.grid(color=theme.grid, linewidth=0.8, which="both")
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.words, labelsize=10, which="both", length=0)
    axes.yaxis.get_offset_text().set_color(theme.words)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.grid)
