"""Plots of plain numbers as PNG files, by matplotlib without a display; each for a light or a dark page.

Each function returns a figure of matplotlib; `png` draws it in the colours of a theme.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ostrack_jax.errors import UserError

COLOURS = ("#3b82f6", "#f08c00", "#12a150", "#d6409f", "#8b5cf6", "#0e9db2", "#a16207", "#e5484d")
DPI = 160
MOST_BARS = 200
_MOST_ANGLES, _MOST_INSIDE = 24, 3  # of a radar plot; lines whose legend fits inside the axes
_WIDE = 300  # slowest to fastest, above which only whole powers of ten are written along the axis
_SIZE = (5.0, 3.4)  # inches
_SMOOTH_FROM = 120  # points of a training curve; with fewer, each is seen
_COLUMNS = 3  # panels of training curves next to each other


@dataclass(frozen=True)
class Theme:
    """Colours that fit a page's ground."""

    ground: str
    words: str
    grid: str


LIGHT = Theme("#ffffff", "#1f2328", "#e4e7eb")
DARK = Theme("#15181c", "#e6e8eb", "#2d333a")


class Line(NamedTuple):
    """A curve with its entry in the legend."""

    label: str
    colour: str
    x: Sequence[float] | Float[np.ndarray, " n"]
    y: Sequence[float] | Float[np.ndarray, " n"]


class Series(NamedTuple):
    """Percent by name: of sequences, of attributes."""

    label: str
    colour: str
    values: Mapping[str, float]


class Point(NamedTuple):
    """A mark of the speed plot: score in percent over frames a second."""

    label: str
    fps: float
    percent: float
    colour: str
    here: bool  # measured here, else the paper's


class TrainingLine(NamedTuple):
    """A curve of a training run: ``second`` lines of a panel are dashed, ``marked`` ones have a dot at each value."""

    label: str
    colour: str
    steps: Float[np.ndarray, " n"]
    values: Float[np.ndarray, " n"]
    second: bool = False
    marked: bool = False


@dataclass(frozen=True)
class Panel:
    """One plot of training curves.

    Attributes:
      title: above it; ``x_label`` below.
      lines: of all runs.
      scale: of the values: log, percent or empty.
      smooth: whether a long first line is averaged over its neighbours, the values as logged faint behind.
      several: whether colours mean runs; the legend then is of line styles alone.
    """

    title: str
    x_label: str
    lines: Sequence[TrainingLine]
    scale: str = ""
    smooth: bool = True
    several: bool = False


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
    out, rc = io.BytesIO(), matplotlib().rc
    with matplotlib().rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # letters that the font lacks are boxes
        rc("text", color=theme.words, parse_math=False)  # a name with two $ is a name, not a formula
        rc("figure", facecolor=theme.ground)
        rc("axes", facecolor=theme.ground, edgecolor=theme.grid, labelcolor=theme.words, labelsize=10)
        rc("axes", titlesize=12, titlelocation="left", grid=True, axisbelow=True)
        rc("axes.spines", top=False, right=False)
        rc("axes.grid", which="both")
        rc("grid", color=theme.grid)
        rc(("xtick", "ytick"), color=theme.words, labelsize=10)
        rc(("xtick.major", "xtick.minor", "ytick.major", "ytick.minor"), size=0)
        rc("lines", linewidth=1.8)
        rc("legend", frameon=False, labelcolor=theme.words, fontsize=9)
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


def curve(lines: Sequence[Line], title: str, x_label: str) -> Any:
    """Curves of shares over thresholds."""
    crowded = len(lines) > _MOST_INSIDE
    figure = _figure(_SIZE[0], _SIZE[1] + (0.1 + 0.2 * len(lines)) * crowded)
    axes = figure.add_subplot(title=title, xlabel=x_label)
    for label, colour, x, y in lines:
        axes.plot(x, y, color=colour, label=label)
    axes.set(xlim=(lines[0].x[0], lines[0].x[-1]), ylim=(0, 1))
    axes.yaxis.set_major_formatter(matplotlib().ticker.PercentFormatter(1.0))
    if crowded:
        figure.legend(loc="outside lower left", fontsize=8)
    else:
        axes.legend()
    return figure


def bars(names: Sequence[str], series: Sequence[Series], title: str) -> Any:
    """A row for each of ``names``, the last on top: a bar of a single series, a dot each of several."""
    several = len(series) > 1
    figure = _figure(_SIZE[0], 0.8 + 0.2 * len(names) + 0.2 * math.ceil(len(series) / 2) * several)
    axes = figure.add_subplot(title=title, xlabel="percent")
    for label, colour, values in series:
        rows = [row for row, name in enumerate(names) if name in values]
        lengths = [values[names[row]] for row in rows]
        if several:
            axes.plot(lengths, rows, "o", color=colour, markersize=6, label=label)
        else:
            axes.barh(rows, lengths, color=colour, height=0.7)
    axes.set_yticks(range(len(names)), [printable(name, 28) for name in names], fontsize=8)
    axes.set(xlim=(0, 100), ylim=(-0.6, len(names) - 0.4))
    if several:
        figure.legend(loc="outside upper left", ncols=2, fontsize=8)
    return figure


def radar(counts: Mapping[str, int], series: Sequence[Series], title: str) -> Any:
    """Each series by attribute; of very many attributes the most common ones by ``counts``."""
    names = sorted(sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_ANGLES])
    angles = np.linspace(0, 2 * math.pi, len(names), endpoint=False)
    figure = _figure(_SIZE[0], 4.6)
    axes: Any = figure.add_subplot(projection="polar")
    for label, colour, percent in series:
        values = [percent.get(name, float("nan")) for name in names]
        axes.plot([*angles, angles[0]], [*values, values[0]], color=colour, label=label)
        axes.fill(angles, values, color=colour, alpha=0.08)
    axes.set_title(title, pad=22)
    axes.set_xticks(angles, [f"{printable(name, 22)} ({counts[name]})" for name in names], fontsize=8)
    axes.set_ylim(0, 100)
    axes.set_yticks([20, 40, 60, 80], ["20", "40", "60", "80"], fontsize=7)
    axes.spines[:].set_visible(False)
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def speed(points: Sequence[Point], score: str) -> Any:
    """Score over frames a second as in the paper's figure 1: measured here filled, the paper's own hollow."""
    figure = _figure(_SIZE[0], _SIZE[1] + 0.2 * len(points))
    axes = figure.add_subplot(title=f"{score} over speed", xlabel="frames a second (logarithmic)", xscale="log")
    for label, fps, percent, colour, here in points:
        inside = colour if here else axes.get_facecolor()
        axes.plot(fps, percent, "o" if here else "D", color=colour, markerfacecolor=inside, markersize=9, label=label)
    wide = max(point.fps for point in points) > _WIDE * min(point.fps for point in points)
    _number_logarithmic(axes.xaxis, () if wide else (2.0, 5.0), "{x:.7g}")
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


def training_panel(panel: Panel) -> Any:
    """One panel of training curves, 800 x 500 pixels."""
    figure = _figure(5.0, 3.125)
    _draw_panel(figure.add_subplot(), panel)
    return figure


def training_panels(panels: Sequence[Panel], colours: Mapping[str, str]) -> Any:
    """All panels in one image, with the names of the runs."""
    rows = -(-len(panels) // _COLUMNS)
    figure = _figure(5.0 * _COLUMNS, 3.125 * rows + 0.5)
    for i, panel in enumerate(panels):
        _draw_panel(figure.add_subplot(rows, _COLUMNS, i + 1), panel)
    marks = [matplotlib().lines.Line2D([], [], color=colour, linewidth=3) for colour in colours.values()]
    figure.legend(marks, list(colours), loc="outside upper left", ncols=4, fontsize=10)
    return figure


def smoothed(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The mean of the points around each, a fortieth of all."""
    width = max(len(values) // 40, 1)
    window = np.ones(2 * (width // 2) + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _draw_panel(axes: Any, panel: Panel) -> None:
    drawn = {}
    for label, colour, steps, values, second, marked in panel.lines:
        if panel.smooth and not second and len(values) >= _SMOOTH_FROM:
            axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
            values = smoothed(values)
        marker = "o" if marked or len(values) == 1 else None
        style = (0, (4, 2)) if second else "-"
        drawn[label] = axes.plot(steps, values, color=colour, linestyle=style, marker=marker, markersize=4)[0]
    if panel.scale == "percent":
        axes.yaxis.set_major_formatter(matplotlib().ticker.PercentFormatter(1.0))
    elif panel.scale == "log" and all((line.values > 0).all() for line in panel.lines):
        axes.set_yscale("log")
        _number_logarithmic(axes.yaxis, (1.5, 2.0, 3.0, 5.0, 7.0), "{x:g}")
    else:
        axes.ticklabel_format(axis="y", scilimits=(-2, 5))
    if len(drawn) > 1:
        legend = axes.legend(drawn.values(), drawn)
        for handle in legend.legend_handles if panel.several else ():
            handle.set_color(matplotlib().rcParams["text.color"])
    axes.set(title=panel.title, xlabel=panel.x_label)


def _figure(width: float, height: float) -> Any:
    return matplotlib().figure.Figure((width, height), dpi=DPI, layout="constrained")


def _number_logarithmic(axis: Any, between: Sequence[float], form: str) -> None:
    """Write powers of ten, and their multiples ``between`` them, along an axis as plain numbers."""
    axis.set_minor_locator(matplotlib().ticker.LogLocator(subs=between))
    axis.set_major_formatter(form)
    axis.set_minor_formatter(form)
