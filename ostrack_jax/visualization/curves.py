"""The curves of training runs. Enters: `Run`s. Leaves: PNG pictures, one a panel or all panels in one.

A colour a run; solid lines are training's, dashed ones with dots validation's. Long curves are smoothed, with what was
logged faint behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from ostrack_jax.errors import UserError
from ostrack_jax.training.report_runs import Run
from ostrack_jax.visualization import canvas
from ostrack_jax.visualization.canvas import COLOURS, LIGHT, Theme

_SMOOTH_FROM = 120  # points; with fewer, each is seen
_COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """One plot: a title and the numbers drawn in it (``kind/name`` -> what the line is)."""

    title: str
    lines: dict[str, str]
    log: bool = False  # the values' axis
    percent: bool = False
    noisy: bool = True  # smoothed where it is long


def _both(name: str) -> dict[str, str]:
    return {f"train/{name}": "training", f"validation/{name}": "validation"}


PANELS = (
    Panel("Loss (weighted sum)", _both("loss"), log=True),
    Panel("IoU", _both("iou")),
    Panel("GIoU loss", _both("giou")),
    Panel("L1 loss", _both("l1"), log=True),
    Panel("Focal loss", _both("focal"), log=True),
    Panel("Gradient norm, before clipping", {"train/grad_norm": "training"}, log=True),
    Panel("Learning rate", {"train/lr": "head", "train/lr_backbone": "backbone"}, noisy=False),
    Panel("Keep ratio", {"train/keep_ratio": "training"}, noisy=False),
    Panel("Pairs a second", {"train/pairs_per_second": "training"}),
    Panel("Time spent waiting for data", {"train/wait": "training"}, percent=True),
    Panel("MFU: model FLOPs of the devices' peak", {"train/mfu": "training"}, percent=True),
)


def panels_of(runs: Sequence[Run]) -> list[Panel]:
    """The panels that any of the runs has numbers for."""
    return [panel for panel in PANELS if any(line in run.curves for run in runs for line in panel.lines)]


def colours_of(runs: Sequence[Run]) -> dict[str, str]:
    """A colour for each run, by its name.

    Raises:
      UserError: more runs than colours one can tell apart.
    """
    if len(runs) > len(COLOURS):
        raise UserError(f"{len(runs)} runs in one plot: expected at most {len(COLOURS)}")
    return {run.name: colour for run, colour in zip(runs, COLOURS, strict=False)}


def panel_png(panel: Panel, runs: Sequence[Run], theme: Theme) -> bytes:
    """One panel, 800 x 500 pixels."""
    figure = canvas.figure((5.0, 3.125), theme)
    _draw(figure.add_subplot(), panel, runs, theme)
    return canvas.png(figure)


def all_png(runs: Sequence[Run], theme: Theme = LIGHT) -> bytes:
    """All panels in one picture, with the runs' names where there are several."""
    panels, colours = panels_of(runs), colours_of(runs)
    rows = -(-len(panels) // _COLUMNS)
    figure = canvas.figure((5.0 * _COLUMNS, 3.125 * rows + 0.5), theme)
    for i, panel in enumerate(panels):
        _draw(figure.add_subplot(rows, _COLUMNS, i + 1), panel, runs, theme)
    marks = [canvas.line([], [], colour) for colour in colours.values()]
    labels = list(colours)
    figure.legend(marks, labels, loc="outside upper left", ncols=4, frameon=False, labelcolor=theme.words)
    return canvas.png(figure)


def horizontal(runs: Sequence[Run]) -> tuple[str, list[float]]:
    """The common axis: its label, and what each run's steps are divided by.

    Epochs, where all runs' have as many pairs; else millions of pairs seen; else steps, where a run has no config.
    """
    sizes = [(run.number("train.batch"), run.number("train.pairs_per_epoch")) for run in runs]
    known = [(batch, pairs) for batch, pairs in sizes if batch and pairs and pairs >= batch]
    if len(known) < len(sizes):
        return "step", [1.0] * len(sizes)
    if len({pairs for _, pairs in known}) == 1:
        return "epoch", [float(pairs // batch) for batch, pairs in known]
    return "million pairs", [1e6 / batch for batch, _ in known]


def smoothed(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """The mean of the points around each, a fortieth of all."""
    width = max(len(values) // 40, 1)
    window = np.ones(2 * (width // 2) + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _draw(axes: Any, panel: Panel, runs: Sequence[Run], theme: Theme) -> None:
    label, scales = horizontal(runs)
    several = len(runs) > 1
    colours, drawn = colours_of(runs), {}
    for run, scale in zip(runs, scales, strict=True):
        for second, (name, what) in enumerate(panel.lines.items()):
            if name not in run.curves:
                continue
            curve = run.curves[name]
            colour = colours[run.name] if several else COLOURS[second]
            x, y = curve.steps / scale, curve.values
            style = {"color": colour, "linestyle": (0, (4, 2)) if second else "-", "linewidth": 1.8}
            if panel.noisy and not second and len(y) >= _SMOOTH_FROM:
                axes.plot(x, y, color=colour, alpha=0.2, linewidth=0.8)
                y = smoothed(y)
            marker = "o" if name.startswith("validation/") or len(y) == 1 else None
            drawn[what] = axes.plot(x, y, marker=marker, markersize=4, **style)[0]
    _scale(axes.yaxis, panel, [run.curves[name].values for run in runs for name in panel.lines if name in run.curves])
    if len(panel.lines) > 1:
        legend = axes.legend(drawn.values(), drawn, frameon=False, labelcolor=theme.words, fontsize=9)
        for handle in legend.legend_handles if several else ():
            handle.set_color(theme.words)
    canvas.dress(axes, panel.title, label, theme)


def _scale(axis: Any, panel: Panel, values: Sequence[Float64[np.ndarray, " _"]]) -> None:
    """How the values' axis counts, and its numbers are written."""
    ticker = canvas.matplotlib().ticker
    if panel.percent:
        axis.set_major_formatter(ticker.PercentFormatter(1.0))
    elif panel.log and all((some > 0).all() for some in values):
        axis.axes.set_yscale("log")
        axis.set_minor_locator(ticker.LogLocator(subs=(1.5, 2, 3, 5, 7)))
        for write in (axis.set_major_formatter, axis.set_minor_formatter):
            write(ticker.StrMethodFormatter("{x:g}"))
    else:
        axis.axes.ticklabel_format(axis="y", scilimits=(-2, 5))
