"""Plots of evaluations. Enters: `Evaluation`s on one benchmark, or answers over time. Leaves: PNG pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.evaluations import Evaluation
from ostrack_jax.evaluation.metrics.scores import CURVES
from ostrack_jax.evaluation.report import HEADINGS
from ostrack_jax.visualization import canvas
from ostrack_jax.visualization.canvas import COLOURS, Theme

TITLES = {
    "success_pooled": "Success (pooled frames)",
    "success": "Success",
    "precision": "Precision",
    "norm_precision": "Normalised precision",
}
MOST_BARS, _MOST_ANGLES, _BESIDE_CURVES = 200, 24, 3
_WIDE = 300  # slowest to fastest, above which only whole powers of ten are written along the axis
_SIZE = (5.0, 3.4)


class Point(NamedTuple):
    """A mark of the speed plot: score in percent over frames a second."""

    label: str
    fps: float
    percent: float
    colour: str
    here: bool  # measured here, else the paper's


def label_of(one: Evaluation) -> str:
    """Its name in a legend; a part of a benchmark says so, as its numbers are not the benchmark's."""
    return canvas.words(one.name) + (f" ({one.part})" if one.part else "")


def colours_of(group: Sequence[Evaluation]) -> dict[str, str]:
    """A colour for each evaluation, by its name.

    Raises:
      UserError: more than one can tell apart.
    """
    if len(group) > len(COLOURS):
        raise UserError(f"{len(group)} trackers in one plot: expected at most {len(COLOURS)}")
    return {one.name: colour for one, colour in zip(group, COLOURS, strict=False)}


def curve(group: Sequence[Evaluation], key: str, theme: Theme) -> bytes:
    """One curve of each evaluation, the number taken from it in the legend."""
    axis, colours = CURVES[key], colours_of(group)
    crowded = len(group) > _BESIDE_CURVES
    figure = canvas.figure((_SIZE[0], _SIZE[1] + (0.1 + 0.2 * len(group)) * crowded), theme)
    axes = figure.add_subplot()
    for one in group:
        if key in one.curves:
            number = one.scores.get(axis.score)
            label = label_of(one) + ("" if number is None else f"  {100 * number:.1f}")
            axes.plot(axis.thresholds, one.curves[key], color=colours[one.name], linewidth=1.8, label=label)
    canvas.dress(axes, TITLES[key], axis.label, theme)
    axes.set_ylim(0, 1)
    axes.set_xlim(axis.thresholds[0], axis.thresholds[-1])
    axes.yaxis.set_major_formatter(canvas.matplotlib().ticker.PercentFormatter(1.0))
    if crowded:
        figure.legend(loc="outside lower left", frameon=False, labelcolor=theme.words, fontsize=8)
    else:
        axes.legend(frameon=False, labelcolor=theme.words, fontsize=9)
    return canvas.png(figure)


def shown_sequences(group: Sequence[Evaluation], key: str) -> list[str]:
    """The sequences that any has a number for, the worst mean first; of very many the worst and the best."""
    numbers: dict[str, list[float]] = {}
    for one in group:
        for name, row in one.sequences.items():
            if key in row:
                numbers.setdefault(name, []).append(row[key])
    ordered = sorted(numbers, key=lambda name: (float(np.mean(numbers[name])), name))
    return ordered if len(ordered) <= MOST_BARS else ordered[: MOST_BARS // 2] + ordered[-MOST_BARS // 2 :]


def bars(group: Sequence[Evaluation], key: str, theme: Theme) -> bytes:
    """A row a sequence, the best on top: a bar for one evaluation, a dot each for several."""
    shown, colours = shown_sequences(group, key), colours_of(group)
    legend = 0.2 * math.ceil(len(group) / 2) if len(group) > 1 else 0.0  # inches
    figure = canvas.figure((_SIZE[0], 0.8 + 0.2 * len(shown) + legend), theme)
    axes = figure.add_subplot()
    rows = {name: i for i, name in enumerate(shown)}
    for one in group:
        places = [(rows[name], 100 * one.sequences[name][key]) for name in shown if key in one.sequences.get(name, {})]
        at, values = [row for row, _ in places], [value for _, value in places]
        if len(group) == 1:
            axes.barh(at, values, color=colours[one.name], height=0.7)
        else:
            axes.plot(values, at, "o", color=colours[one.name], markersize=6, label=label_of(one))
    canvas.dress(axes, f"{HEADINGS[key]} of each sequence", "percent", theme)
    axes.set_yticks(range(len(shown)), [canvas.words(name, 28) for name in shown], fontsize=8)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(0, 100)
    if len(group) > 1:
        figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=theme.words, fontsize=8)
    return canvas.png(figure)


def radar(group: Sequence[Evaluation], key: str, theme: Theme) -> bytes | None:
    """The score by attribute, of very many attributes the most common ones; None where fewer than three have any."""
    counts = {name: int(row.get("sequences", 0)) for one in group for name, row in one.attributes.items() if key in row}
    if len(counts) < 3:
        return None
    names = sorted(sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_ANGLES])
    angles = np.linspace(0, 2 * math.pi, len(names), endpoint=False)
    figure = canvas.figure((_SIZE[0], 4.6), theme)
    axes: Any = figure.add_subplot(projection="polar")
    for one in group:
        values = [100 * one.attributes.get(name, {}).get(key, float("nan")) for name in names]
        closed = [*values, values[0]], [*angles, angles[0]]
        axes.plot(closed[1], closed[0], color=colours_of(group)[one.name], linewidth=1.8, label=label_of(one))
        axes.fill(angles, values, color=colours_of(group)[one.name], alpha=0.08)
    canvas.dress(axes, "", "", theme)
    axes.set_title(f"{HEADINGS[key]} by attribute (sequences)", color=theme.words, fontsize=12, loc="left", pad=22)
    axes.set_xticks(angles, [f"{canvas.words(name, 22)} ({counts[name]})" for name in names], fontsize=8)
    axes.set_ylim(0, 100)
    axes.set_yticks([20, 40, 60, 80], ["20", "40", "60", "80"], fontsize=7)
    axes.spines["polar"].set_color(theme.grid)
    if len(group) > 1:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=theme.words, fontsize=8)
    return canvas.png(figure)


def speed(points: Sequence[Point], score: str, theme: Theme) -> bytes:
    """Score over frames a second as in the paper's figure 1: measured here filled, the paper's own hollow."""
    figure = canvas.figure((_SIZE[0], _SIZE[1] + 0.2 * len(points)), theme)
    axes = figure.add_subplot()
    for label, fps, percent, colour, here in points:
        style = {"color": colour, "markerfacecolor": colour if here else theme.ground, "markersize": 9}
        axes.plot([fps], [percent], "o" if here else "D", linestyle="", label=label, **style)
    canvas.dress(axes, f"{score} over speed", "frames a second (logarithmic)", theme)
    axes.set_xscale("log")
    ticker = canvas.matplotlib().ticker
    wide = max(point.fps for point in points) > _WIDE * min(point.fps for point in points)
    axes.xaxis.set_minor_locator(ticker.LogLocator(subs=() if wide else (2, 5)))
    for write in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        write(ticker.StrMethodFormatter("{x:.7g}"))
    axes.margins(0.2, 0.2)
    figure.legend(loc="outside lower left", frameon=False, labelcolor=theme.words, fontsize=8)
    return canvas.png(figure)


def over_time(overlaps: Float[np.ndarray, " t"], scores: Float[np.ndarray, " t"], title: str, theme: Theme) -> bytes:
    """A sequence frame by frame: the overlap with the truth, and the tracker's own score where it states one."""
    figure = canvas.figure((7.9, 1.9), theme)
    axes = figure.add_subplot()
    axes.plot(overlaps, color=COLOURS[0], linewidth=1.5, label="overlap")
    if np.isfinite(scores).any():
        axes.plot(scores, color=COLOURS[1], linewidth=1.2, label="score")
    canvas.dress(axes, canvas.words(title, 80), "frame", theme)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, max(len(overlaps) - 1, 1))
    axes.legend(frameon=False, labelcolor=theme.words, fontsize=8, ncols=2, loc="lower left")
    return canvas.png(figure)
