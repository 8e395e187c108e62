"""Plots of plain numbers as PNG files, by matplotlib without a display; each for a light or a dark page.

Each function returns a figure of matplotlib; `png` draws it in the colours of a theme.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ostrack_jax.errors import UserError

COLOURS = ("#3b82f6", "#f08c00", "#12a150", "#d6409f", "#8b5cf6", "#0e9db2", "#a16207", "#e5484d")
DPI = 160
MOST_BARS = 200
_MOST_ANGLES, _MOST_INSIDE = 24, 3  # of a radar plot; lines whose legend fits inside the axes
_WIDE = 300  # slowest to fastest, above which only whole powers of ten are written along the axis
_SIZE = (5.0, 3.125)  # inches
_SMOOTH_FROM = 120  # points of a training curve; with fewer, each is seen
_DOTTED = 30  # points of a training curve that are marked each
_COLUMNS = 3  # panels of training curves next to each other
_STYLE = Path(__file__).with_suffix(".mplstyle")


class Theme(NamedTuple):
    """Colours that fit a page's ground."""

    ground: str
    words: str
    grid: str


LIGHT = Theme("#ffffff", "#1f2328", "#e4e7eb")
DARK = Theme("#15181c", "#e6e8eb", "#2d333a")


class Line(NamedTuple):
    """A line, a row of bars or a mark, with its entry in the legend.

    Attributes:
      x: numbers, or the names of which ``y`` are the numbers.
      second: of a second kind: dashed, or a hollow mark.
    """

    label: str
    colour: str
    x: Sequence[Any] | Float[np.ndarray, " n"]
    y: Sequence[float] | Float[np.ndarray, " n"]
    second: bool = False


@dataclass(frozen=True)
class Panel:
    """One plot of curves.

    Attributes:
      title: above it; ``x_label`` below.
      scale: of the values: log, percent, share (percent from 0 to 100) or empty.
      smooth: whether a long first line is averaged over its neighbours, the values as logged faint behind.
      lines: several of one label, where colours mean runs.
      names: of its numbers in a log, with their labels.
    """

    title: str
    names: Mapping[str, str] = field(default_factory=dict)
    scale: str = ""
    smooth: bool = True
    x_label: str = ""
    lines: Sequence[Line] = ()


def matplotlib() -> Any:
    """Matplotlib by its objects, without pyplot: no global state, no display.

    Raises:
      UserError: it is not installed.
    """
    try:
        import matplotlib.figure
        import matplotlib.lines
        import matplotlib.ticker
    except ImportError as e:
        raise UserError("drawing curves needs matplotlib: pip install 'ostrack-jax[report]'") from e
    return matplotlib


def png(theme: Theme, draw: Callable[..., Any], *data: Any) -> bytes:
    """The figure that ``draw`` makes of ``data`` in a theme's colours, as a PNG file; the same bytes each time."""
    out = io.BytesIO()
    colours = dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme.ground)
    colours |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), theme.words)
    colours |= {"legend.labelcolor": theme.words, "axes.edgecolor": theme.grid, "grid.color": theme.grid}
    with matplotlib().rc_context(colours, _STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # letters that the font lacks are boxes
        draw(*data).savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def printable(text: str, most: int = 48) -> str:
    """A name as a plot can show it: printable, short, and not hidden, as labels are that begin with an underscore."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: most + 1])
    plain = plain if len(plain) <= most else f"{plain[: most - 2]}.."
    return f" {plain}" if plain.startswith("_") else plain


def colours_of(names: Sequence[str], what: str) -> dict[str, str]:
    """A colour for each name.

    Raises:
      UserError: more names than there are colours; ``what`` names their kind.
    """
    if len(names) > len(COLOURS):
        raise UserError(f"{len(names)} {what} in one plot: expected at most {len(COLOURS)}")
    return dict(zip(names, COLOURS, strict=False))


def bars(names: Sequence[str], lines: Sequence[Line], title: str) -> Any:
    """A row for each of ``names``, the last on top: a bar of a single line, a dot each of several."""
    several = len(lines) > 1
    figure = _figure(_SIZE[0], 0.8 + 0.2 * len(names) + 0.2 * math.ceil(len(lines) / 2) * several)
    axes = figure.add_subplot(title=title, xlabel="percent")
    rows = {name: row for row, name in enumerate(names)}
    for line in lines:
        known = {rows[name]: value for name, value in zip(line.x, line.y, strict=True) if name in rows}
        if several:
            axes.plot(list(known.values()), list(known), "o", color=line.colour, markersize=6, label=line.label)
        else:
            axes.barh(list(known), list(known.values()), color=line.colour, height=0.7)
    axes.set_yticks(range(len(names)), [printable(name, 28) for name in names], fontsize=8)
    axes.set(xlim=(0, 100), ylim=(-0.6, len(names) - 0.4))
    if several:
        figure.legend(loc="outside upper left", ncols=2, fontsize=8)
    return figure


def radar(counts: Mapping[str, int], lines: Sequence[Line], title: str) -> Any:
    """Each line by attribute; of very many attributes the most common ones by ``counts``."""
    names = sorted(sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_ANGLES])
    angles = np.linspace(0, 2 * math.pi, len(names), endpoint=False)
    figure = _figure(_SIZE[0], 4.6)
    axes: Any = figure.add_subplot(projection="polar")
    for line in lines:
        percent = dict(zip(line.x, line.y, strict=True))
        values = [percent.get(name, float("nan")) for name in names]
        axes.plot([*angles, angles[0]], [*values, values[0]], color=line.colour, label=line.label)
        axes.fill(angles, values, color=line.colour, alpha=0.08)
    axes.set_title(title, pad=22)
    axes.set_xticks(angles, [f"{printable(name, 22)} ({counts[name]})" for name in names], fontsize=8)
    axes.set_ylim(0, 100)
    axes.set_yticks([20, 40, 60, 80], ["20", "40", "60", "80"], fontsize=7)
    axes.spines[:].set_visible(False)
    if len(lines) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def speed(lines: Sequence[Line], score: str) -> Any:
    """Score over frames a second as in the paper's figure 1, a mark each: measured here filled, the paper's hollow."""
    figure = _figure(_SIZE[0], _SIZE[1] + 0.2 * len(lines))
    axes = figure.add_subplot(title=f"{score} over speed", xlabel="frames a second (logarithmic)", xscale="log")
    for line in lines:
        inside = axes.get_facecolor() if line.second else line.colour
        style = {"color": line.colour, "markerfacecolor": inside, "markersize": 9, "label": line.label}
        axes.plot(line.x, line.y, "D" if line.second else "o", **style)
    rates = [line.x[0] for line in lines]
    _number_logarithmic(axes.xaxis, () if max(rates) > _WIDE * min(rates) else (2.0, 5.0), "{x:.7g}")
    axes.margins(0.2, 0.2)
    figure.legend(loc="outside lower left", fontsize=8)
    return figure


def over_time(overlaps: Float[np.ndarray, " t"], scores: Float[np.ndarray, " t"], title: str) -> Any:
    """A sequence frame by frame: the overlap with the truth, and the tracker's own score where it has one."""
    figure = _figure(7.9, 1.9)
    limits = {"xlim": (0, max(len(overlaps) - 1, 1)), "ylim": (0, 1.02)}
    axes = figure.add_subplot(title=printable(title, 80), xlabel="frame", **limits)
    axes.plot(overlaps, color=COLOURS[0], linewidth=1.5, label="overlap")
    if np.isfinite(scores).any():
        axes.plot(scores, color=COLOURS[1], linewidth=1.2, label="score")
    axes.legend(fontsize=8, ncols=2, loc="lower left")
    return figure


def panel(one: Panel) -> Any:
    """A panel alone, 800 x 500 pixels; the legend of many lines is below it."""
    labels = {line.label for line in one.lines}
    crowded = len(labels) > _MOST_INSIDE
    figure = _figure(_SIZE[0], _SIZE[1] + (0.1 + 0.2 * len(labels)) * crowded)
    _draw_panel(figure.add_subplot(), one, legend=not crowded)
    if crowded:
        figure.legend(loc="outside lower left", fontsize=8)
    return figure


def panels(several: Sequence[Panel], colours: Mapping[str, str]) -> Any:
    """All panels in one image, with the names of the runs."""
    rows = -(-len(several) // _COLUMNS)
    figure = _figure(_SIZE[0] * _COLUMNS, _SIZE[1] * rows + 0.5)
    for i, one in enumerate(several):
        _draw_panel(figure.add_subplot(rows, _COLUMNS, i + 1), one)
    marks = [matplotlib().lines.Line2D([], [], color=colour, linewidth=3) for colour in colours.values()]
    figure.legend(marks, list(colours), loc="outside upper left", ncols=4, fontsize=10)
    return figure


def smoothed(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The mean of the points around each, a fortieth of all."""
    width = max(len(values) // 40, 1)
    window = np.ones(2 * (width // 2) + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _draw_panel(axes: Any, panel: Panel, legend: bool = True) -> None:
    drawn = {}
    for line in panel.lines:
        values = np.asarray(line.y)
        if panel.smooth and not line.second and len(values) >= _SMOOTH_FROM:
            axes.plot(line.x, values, color=line.colour, alpha=0.2, linewidth=0.8)
            values = smoothed(values)
        style = {"linestyle": (0, (4, 2)) if line.second else "-", "color": line.colour, "label": line.label}
        marker = "o" if len(values) == 1 or (line.second and len(values) <= _DOTTED) else None
        drawn[line.label] = axes.plot(line.x, values, marker=marker, markersize=4, **style)[0]
    if panel.scale == "share":
        axes.set(xlim=(panel.lines[0].x[0], panel.lines[0].x[-1]), ylim=(0, 1))
    if panel.scale in ("percent", "share"):
        axes.yaxis.set_major_formatter(matplotlib().ticker.PercentFormatter(1.0))
    elif panel.scale == "log" and all((np.asarray(line.y) > 0).all() for line in panel.lines):
        axes.set_yscale("log")
        _number_logarithmic(axes.yaxis, (1.5, 2.0, 3.0, 5.0, 7.0), "{x:g}")
    else:
        axes.ticklabel_format(axis="y", scilimits=(-2, 5))
    if legend and (len(drawn) > 1 or panel.scale == "share"):
        handles = axes.legend(drawn.values(), drawn).legend_handles
        for handle in handles if len(panel.lines) > len(drawn) else ():
            handle.set_color(matplotlib().rcParams["text.color"])
    axes.set(title=panel.title, xlabel=panel.x_label)


def _figure(width: float, height: float) -> Any:
    return matplotlib().figure.Figure((width, height), dpi=DPI, layout="constrained")


def _number_logarithmic(axis: Any, between: Sequence[float], form: str) -> None:
    """Write powers of ten, and their multiples ``between`` them, along an axis as plain numbers."""
    axis.set_minor_locator(matplotlib().ticker.LogLocator(subs=between))
    axis.set_major_formatter(form)
    axis.set_minor_formatter(form)
