"""The page of training runs. Enters: `Run`s. Leaves: one HTML file that needs nothing else: no server, no network.

Pictures lie in it as data; every text that came from a workdir is escaped; the page forbids itself to load anything.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from ostrack_jax import __version__
from ostrack_jax.io import write_atomically
from ostrack_jax.training.report_runs import Curve, Run
from ostrack_jax.visualization import canvas, curves
from ostrack_jax.visualization import html as markup

PAGE, PICTURE = "report.html", "curves.png"
_COLUMNS = ("run", "steps", "epochs", "loss", "IoU", "validation IoU", "best", "pairs/s", "waiting")


def write(output: Path, runs: Sequence[Run]) -> tuple[Path, Path]:
    """Write ``report.html`` and ``curves.png`` into ``output``; their paths.

    Raises:
      UserError: matplotlib is missing, or more runs than can be told apart.
    """
    panels = curves.panels_of(runs)
    drawn = [_panel(panel, runs) for panel in track(panels, "drawing curves", transient=True)]
    picture, page = output / PICTURE, output / PAGE
    write_atomically(picture, curves.all_png(runs))
    write_atomically(page, _page(runs, drawn).encode("utf-8", "backslashreplace"))
    return page, picture


def _page(runs: Sequence[Run], drawn: Iterable[str]) -> str:
    title = "Training: " + ", ".join(run.name for run in runs)
    several = len(runs) > 1
    axis, styles = curves.horizontal(runs)[0], "solid lines are training's, dashed ones validation's"
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        _overview(runs),
        f'<h2>Curves</h2><p class="quiet">By {axis}{f"; a colour a run; {styles}" if several else ""}.</p>',
        f'<div class="curves">{"".join(drawn)}</div>',
        _pictures(runs),
        _settings(runs),
        _made_with(runs),
        f'<p class="quiet">Written by ostrack-jax {html.escape(__version__)}: ostrack report train.</p>',
    ]
    return markup.document(title, sections)


def _panel(panel: curves.Panel, runs: Sequence[Run]) -> str:
    """One panel for a light and for a dark page."""
    light, dark = (curves.panel_png(panel, runs, theme) for theme in (canvas.LIGHT, canvas.DARK))
    return markup.themed(light, dark, panel.title)


def _overview(runs: Sequence[Run]) -> str:
    """A row a run: how far it is and where it stands."""
    colours = curves.colours_of(runs) if len(runs) > 1 else {}
    top = "".join(f"<th{' class=number' if i else ''}>{cell}</th>" for i, cell in enumerate(_COLUMNS))
    lines = [f"<tr>{top}</tr>"]
    for run in runs:
        colour = colours.get(run.name)
        chip = f'<span class="chip" style="background:{colour}"></span>' if colour else ""
        name, *cells = map(html.escape, _standing(run))
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        lines.append(f"<tr><td>{chip}{name}</td>{numbers}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _standing(run: Run) -> tuple[str, ...]:
    """The cells of `_COLUMNS`."""
    step = int(max(curve.steps[-1] for curve in run.curves.values()))
    batch, pairs, epochs = (run.number(f"train.{name}") for name in ("batch", "pairs_per_epoch", "epochs"))
    done = "-"
    if batch and pairs and pairs >= batch:
        done = f"{step / (pairs // batch):.4g} of {epochs or '?'}"
    rate, waiting, validated = (
        run.curves.get(name) for name in ("train/pairs_per_second", "train/wait", "validation/iou")
    )
    best = int(validated.values.argmax()) if validated else 0
    return (
        *(run.name, f"{step:,}", done),
        *(_last(run.curves.get(name)) for name in ("train/loss", "train/iou", "validation/iou")),
        f"{validated.values[best]:.3f} at step {int(validated.steps[best]):,}" if validated else "-",
        f"{float(np.median(rate.values)):.0f}" if rate else "-",
        f"{float(np.median(waiting.values)):.1%}" if waiting else "-",
    )


def _last(curve: Curve | None) -> str:
    return "-" if curve is None else f"{curve.values[-1]:.3f}"


def _pictures(runs: Sequence[Run]) -> str:
    several, figures = len(runs) > 1, []
    for run in runs:
        for name, png in run.pictures[: -2 if several else None : -1]:  # the newest first; of several runs that alone
            words = re.sub(r"_0*(?=\d)", " ", name)
            caption = html.escape(f"{run.name}, after {words}" if several else f"after {words}")
            picture = f'<div class="wide"><img src="{markup.data(png)}" alt="{caption}"></div>'
            figures.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    words = "Validation pairs: true boxes blue, predicted amber; the score map; the candidates each stage eliminated."
    shown = f'<p class="quiet">{words}</p><div class="pictures">{"".join(figures)}</div>'
    return f"<h2>Pictures</h2>{shown}" if figures else ""


def _settings(runs: Sequence[Run]) -> str:
    """All settings; those that differ between the runs on their own, first."""
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    differ = [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]
    heading = ["setting", *(run.name for run in runs)]
    every = [[key, *(run.settings.get(key, "-") for run in runs)] for key in keys]
    some = [row for row in every if row[0] in differ]
    first = f"<p>What differs:</p>{markup.table(heading, some)}" if some else ""
    rest = f"<details><summary>All settings</summary>{markup.table(heading, every)}</details>"
    return f"<h2>Settings</h2>{first}{rest}" if keys else ""


def _made_with(runs: Sequence[Run]) -> str:
    """Versions, hardware, commit and command of each start of each run."""
    parts = []
    for run in runs:
        for i, facts in enumerate(run.facts):
            start = "started" if not i else f"resumed at step {facts.get('step', '?')}"
            rows = [[key, value] for key, value in facts.items() if key != "kind"]
            summary = html.escape(f"{run.name}, {start}")
            parts.append(f"<details><summary>{summary}</summary>{markup.table(['', ''], rows)}</details>")
    return "<h2>Made with</h2>" + "".join(parts) if parts else ""
