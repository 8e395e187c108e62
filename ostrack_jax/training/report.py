"""The report of training runs: curves, the newest images, settings and versions, as one HTML file and one PNG."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from rich.progress import track

from ostrack_jax import __version__
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_json, write_atomically
from ostrack_jax.training.logging import IMAGES, read_events
from ostrack_jax.visualization import plots
from ostrack_jax.visualization.html import Page, name_directories
from ostrack_jax.visualization.plots import COLOURS, Line, Panel
from ostrack_jax.visualization.table import Table, flatten

PAGE, IMAGE = "report.html", "curves.png"
_IMAGES = 2  # of a run that is shown alone; of several the newest
_PNG = b"\x89PNG\r\n\x1a\n"
_COLUMNS = ("run", "steps", "epochs", "loss", "IoU", "validation IoU", "best", "pairs/s", "waiting")


class Curve(NamedTuple):
    """One number of a run."""

    steps: Float64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class Run:
    """One training run as it is shown.

    Attributes:
      name: distinct among the runs shown together.
      curves: by ``kind/name``, as ``train/loss``; none is empty.
      settings: of its config, by dotted name, as text; empty without one.
      starts: what it was made with, a dict each time it was started.
      images: names and PNG bytes, the newest first.
    """

    name: str
    curves: dict[str, Curve]
    settings: dict[str, str]
    starts: list[dict[str, str]]
    images: list[tuple[str, bytes]]

    def number(self, setting: str) -> int | None:
        """A setting that is a positive integer, else None."""
        text = self.settings.get(setting, "")
        return int(text) if text.isdecimal() and len(text) < 16 and int(text) else None


def _both(name: str) -> dict[str, str]:
    return {f"train/{name}": "training", f"validation/{name}": "validation"}


PANELS = (
    Panel("Loss (weighted sum)", _both("loss"), "log"),
    Panel("IoU", _both("iou")),
    Panel("GIoU loss", _both("giou")),
    Panel("L1 loss", _both("l1"), "log"),
    Panel("Focal loss", _both("focal"), "log"),
    Panel("Gradient norm, before clipping", {"train/grad_norm": "training"}, "log"),
    Panel("Learning rate", {"train/lr": "head", "train/lr_backbone": "backbone"}, smooth=False),
    Panel("Keep ratio", {"train/keep_ratio": "training"}, smooth=False),
    Panel("Pairs a second", {"train/pairs_per_second": "training"}),
    Panel("Time spent waiting for data", {"train/wait": "training"}, "percent"),
    Panel("MFU: model FLOPs of the devices' peak", {"train/mfu": "training"}, "percent"),
)


def read_runs(workdirs: Sequence[Path]) -> list[Run]:
    """The runs of ``workdirs``.

    Raises:
      UserError: one is not a directory, has no log or an invalid one, or nothing was logged yet; one is given twice.
    """
    named = name_directories(workdirs, "the workdir of a training run")
    return [_read(workdir, name) for workdir, name in named.items()]


def _read(workdir: Path, name: str) -> Run:
    events = read_events(workdir)
    curves = _curves(events)
    if not curves:
        raise UserError(f"{workdir}: its log holds no numbers yet")
    config = workdir / "config.json"
    settings = dict(flatten(read_json(config))) if config.is_file() else {}
    starts = [dict(flatten(event)) for event in events if event["kind"] == "run"]
    images = []
    for path in sorted((workdir / IMAGES).glob("*.png"), reverse=True):
        # A run from elsewhere may have a link to some other file of this machine here.
        if len(images) < _IMAGES and path.is_file() and not path.is_symlink() and path.read_bytes().startswith(_PNG):
            images.append((path.stem, path.read_bytes()))
    return Run(name, curves, settings, starts, images)


def _curves(events: list[dict[str, Any]]) -> dict[str, Curve]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for event in events:
        for key, value in event.items():
            number = type(value) in (int, float) and abs(value) < 1e300  # neither NaN nor infinite
            if event["kind"] in ("train", "validation") and key != "step" and number:
                steps, values = found.setdefault(f"{event['kind']}/{key}", ([], []))
                steps.append(float(event["step"]))
                values.append(float(value))
    return {name: Curve(np.array(steps), np.array(values)) for name, (steps, values) in found.items()}


def common_axis(runs: Sequence[Run]) -> tuple[str, list[float]]:
    """The horizontal axis: its label, and the divisor of each run's steps.

    Epochs, where all runs' have as many pairs; else millions of pairs seen; else steps, where a run has no config.
    """
    sizes = [(run.number("train.batch"), run.number("train.pairs_per_epoch")) for run in runs]
    known = [(batch, pairs) for batch, pairs in sizes if batch and pairs and pairs >= batch]
    if len(known) < len(sizes):
        return "step", [1.0] * len(sizes)
    if len({pairs for _, pairs in known}) == 1:
        return "epoch", [float(pairs // batch) for batch, pairs in known]
    return "million pairs", [1e6 / batch for batch, _ in known]


def panels_of(runs: Sequence[Run]) -> list[Panel]:
    """The panels that any of the runs has numbers for: solid lines are training's, dashed ones validation's.

    Raises:
      UserError: more runs than there are colours.
    """
    colours, (label, scales) = plots.colours_of([run.name for run in runs], "runs"), common_axis(runs)
    panels = []
    for panel in PANELS:
        lines = []
        for (run, divisor), (i, name) in itertools.product(zip(runs, scales, strict=True), enumerate(panel.names)):
            if (curve := run.curves.get(name)) is not None:
                colour = colours[run.name] if len(runs) > 1 else COLOURS[i]
                lines.append(Line(panel.names[name], colour, curve.steps / divisor, curve.values, second=i > 0))
        if lines:
            panels.append(replace(panel, x_label=label, lines=lines))
    return panels


def write(output: Path, runs: Sequence[Run]) -> tuple[Path, Path]:
    """Write ``report.html`` and ``curves.png`` into ``output``; their paths.

    Raises:
      UserError: matplotlib is missing, or more runs than there are colours.
    """
    several, panels = len(runs) > 1, panels_of(runs)
    colours = plots.colours_of([run.name for run in runs], "runs")
    page = Page("Training: " + ", ".join(run.name for run in runs))
    page.table(Table("", _COLUMNS, [_standing(run) for run in runs], styles=list(colours.values()) if several else ()))
    page.heading("Curves")
    styles = "; a colour a run; solid lines are training's, dashed ones validation's" if several else ""
    page.paragraph(f"By {common_axis(runs)[0]}{styles}.")
    with page.group("curves"):
        for panel in track(panels, "drawing curves", transient=True):
            page.plot(panel.title, panel.title, plots.panel, panel)
    if any(run.images for run in runs):
        page.heading("Images")
        page.paragraph(
            "Validation pairs: true boxes blue, predicted amber; the score map; the candidates each stage eliminated."
        )
    with page.group("images"):
        for run in runs:
            for name, content in run.images[: 1 if several else None]:
                after = "after " + re.sub(r"_0*(?=\d)", " ", name)
                page.png(name, content, f"{run.name}, {after}" if several else after)
    _add_settings(page, runs)
    if any(run.starts for run in runs):
        page.heading("Made with")
    for run in runs:
        for i, facts in enumerate(run.starts):
            start = f"resumed at step {facts.get('step', '?')}" if i else "started"
            rows = [[key, value] for key, value in facts.items() if key != "kind"]
            page.table(Table(f"{run.name}, {start}", ["", ""], rows), folded=True)
    page.paragraph(f"Written by ostrack-jax {__version__}: ostrack report train.")
    write_atomically(output / IMAGE, plots.png(plots.LIGHT, plots.panels, panels, colours))
    write_atomically(output / PAGE, page.html().encode("utf-8", "backslashreplace"))
    return output / PAGE, output / IMAGE


def _standing(run: Run) -> list[str]:
    """The cells of `_COLUMNS`: a run's progress and newest numbers."""
    step = int(max(curve.steps[-1] for curve in run.curves.values()))
    batch, pairs, epochs = (run.number(f"train.{name}") for name in ("batch", "pairs_per_epoch", "epochs"))
    done = f"{step / (pairs // batch):.4g} of {epochs or '?'}" if batch and pairs and pairs >= batch else "-"
    last = [run.curves.get(name) for name in ("train/loss", "train/iou", "validation/iou")]
    rate, waiting, validated = (
        run.curves.get(name) for name in ("train/pairs_per_second", "train/wait", "validation/iou")
    )
    best = int(validated.values.argmax()) if validated else 0
    return [
        *(run.name, f"{step:,}", done),
        *("-" if curve is None else f"{curve.values[-1]:.3f}" for curve in last),
        f"{validated.values[best]:.3f} at step {int(validated.steps[best]):,}" if validated else "-",
        f"{float(np.median(rate.values)):.0f}" if rate else "-",
        f"{float(np.median(waiting.values)):.1%}" if waiting else "-",
    ]


def _add_settings(page: Page, runs: Sequence[Run]) -> None:
    """All settings; those that differ between the runs on their own, first."""
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    rows = [[key, *(run.settings.get(key, "-") for run in runs)] for key in keys]
    if rows:
        columns = ["setting", *(run.name for run in runs)]
        page.heading("Settings")
        page.table(Table("What differs:", columns, [row for row in rows if len(set(row[1:])) > 1]))
        page.table(Table("All settings", columns, rows), folded=True)
