"""The page of training runs. Enters: `Run`s. Leaves: one HTML file that needs nothing else: no server, no network.

Pictures lie in it as data; every text that came from a workdir is escaped; the page forbids itself to load anything.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from ostrack_jax import __version__
from ostrack_jax.checkpoint import write_atomically
from ostrack_jax.reports import curves
from ostrack_jax.reports.runs import Curve, Run

PAGE, PICTURE = "report.html", "curves.png"
_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --words: #1f2328; --quiet: #59636e; --line: #d9dee3 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15181c; --words: #e6e8eb; --quiet: #9aa4af; --line: #2d333a }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 90rem; background: var(--ground); color: var(--words);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: .5rem 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .75rem }
.curves { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)) }
figure { margin: 0 } figure img { display: block; width: 100%; height: auto; border-radius: 6px }
figcaption { color: var(--quiet); font-size: .85rem; overflow-wrap: anywhere }
.wide { overflow-x: auto } .pictures { display: grid; gap: 1rem } .pictures img { min-width: 44rem; max-width: 84rem }
table { border-collapse: collapse; font-size: .9rem }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td { overflow-wrap: anywhere; min-width: 5rem } th { font-weight: 600; white-space: nowrap }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.chip { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .5rem }
details { margin: .5rem 0 } summary { cursor: pointer; font-weight: 600 } p.quiet { color: var(--quiet) }
"""
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
    write_atomically(page, _page(runs, drawn).encode())
    return page, picture


def _page(runs: Sequence[Run], drawn: Iterable[str]) -> str:
    title = html.escape("Training: " + ", ".join(run.name for run in runs))
    several = len(runs) > 1
    axis, styles = curves.horizontal(runs)[0], "solid lines are training's, dashed ones validation's"
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    sections = [
        f"<h1>{title}</h1>",
        _overview(runs),
        f'<h2>Curves</h2><p class="quiet">By {axis}{f"; a colour a run; {styles}" if several else ""}.</p>',
        f'<div class="curves">{"".join(drawn)}</div>',
        _pictures(runs),
        _settings(runs),
        _made_with(runs),
        f'<p class="quiet">Written by ostrack-jax {html.escape(__version__)}: ostrack report train.</p>',
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def _panel(panel: curves.Panel, runs: Sequence[Run]) -> str:
    """One panel for a light and for a dark page."""
    light, dark = (_data(curves.panel_png(panel, runs, theme)) for theme in (curves.LIGHT, curves.DARK))
    title = html.escape(panel.title)
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
    return f'<figure><picture>{source}<img src="{light}" width="800" height="500" alt="{title}"></picture></figure>'


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


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
            picture = f'<div class="wide"><img src="{_data(png)}" alt="{caption}"></div>'
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
    first = f"<p>What differs:</p>{_table(heading, some)}" if some else ""
    rest = f"<details><summary>All settings</summary>{_table(heading, every)}</details>"
    return f"<h2>Settings</h2>{first}{rest}" if keys else ""


def _made_with(runs: Sequence[Run]) -> str:
    """Versions, hardware, commit and command of each start of each run."""
    parts = []
    for run in runs:
        for i, facts in enumerate(run.facts):
            start = "started" if not i else f"resumed at step {facts.get('step', '?')}"
            rows = [[key, value] for key, value in facts.items() if key != "kind"]
            summary = html.escape(f"{run.name}, {start}")
            parts.append(f"<details><summary>{summary}</summary>{_table(['', ''], rows)}</details>")
    return "<h2>Made with</h2>" + "".join(parts) if parts else ""


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'
