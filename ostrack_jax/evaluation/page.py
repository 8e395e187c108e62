"""The report of evaluations. Enters: `Evaluation`s, their best and worst sequences. Leaves: HTML, Markdown, JSON, PNGs.

One HTML file that needs nothing else; the same as `report.md` with its PNG pictures beside it, and as `report.json`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
from rich.progress import track

from ostrack_jax import __version__
from ostrack_jax.evaluation import expected
from ostrack_jax.evaluation import tables as eval_tables
from ostrack_jax.evaluation.evaluations import Evaluation
from ostrack_jax.io import write_atomically
from ostrack_jax.training.report_runs import flat
from ostrack_jax.visualization import canvas, plots
from ostrack_jax.visualization import html as markup
from ostrack_jax.visualization.draw import Picture
from ostrack_jax.visualization.html import Table
from ostrack_jax.visualization.strips import Shown
from ostrack_jax.visualization.tiles import png

HTML, MARKDOWN, JSON = "report.html", "report.md", "report.json"
_SPEED = f"* the paper's frames a second: {expected.HARDWARE}; those measured here: of the tracker's whole update."
_LEGEND = "The answered box is amber, with the tracker's score; the true one blue."


class Report:
    """The report as it grows: HTML sections, Markdown lines, PNG files by name."""

    def __init__(self) -> None:
        self.sections: list[str] = []
        self.lines: list[str] = []
        self.files: dict[str, bytes] = {}

    def heading(self, text: str, level: int = 2) -> None:
        """A heading."""
        self.sections.append(f"<h{level}>{html.escape(text)}</h{level}>")
        self.lines += ["", f"{'#' * level} {_escaped(text)}", ""]

    def words(self, text: str) -> None:
        """A paragraph."""
        self.sections.append(f'<p class="quiet">{html.escape(text)}</p>')
        self.lines += [_escaped(text), ""]

    def table(self, table: Table, summary: str = "") -> None:
        """A table; with ``summary`` folded under it on the page."""
        shown = markup.numbers(table)
        folded = f"<details><summary>{html.escape(summary)}</summary>{shown}</details>"
        self.sections.append(folded if summary else shown)
        self.lines += [*([f"{_escaped(summary)}:", ""] if summary else []), *_markdown(table), ""]

    def plot(self, name: str, light: bytes, dark: bytes, alt: str) -> None:
        """A plot for both kinds of page; the light one as a file."""
        self.sections.append(markup.themed(light, dark, alt))
        self._file(name, light, alt)

    def photograph(self, name: str, picture: Picture, alt: str) -> None:
        """A picture of frames: JPEG in the page, which is small, PNG as a file."""
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        height, width = picture.shape[:2]
        address, alt_text = markup.data(jpeg.tobytes(), "jpeg"), html.escape(alt)
        image = f'<img src="{address}" width="{width}" height="{height}" alt="{alt_text}">'
        self.sections.append(f'<figure class="photograph">{image}<figcaption>{alt_text}</figcaption></figure>')
        self._file(name, png(picture), alt)

    def row(self, opening: str) -> None:
        """HTML between figures."""
        self.sections.append(opening)

    def _file(self, name: str, content: bytes, alt: str) -> None:
        safe = re.sub(r"[^\w.-]+", "_", name)[:120]
        while f"{safe}.png" in self.files:
            safe += "_"
        self.files[f"{safe}.png"] = content
        self.lines += [f"![{_escaped(alt)}]({safe}.png)", ""]


def write(
    output: Path,
    evaluations: Sequence[Evaluation],
    shown: Mapping[str, Sequence[Shown]],
    more: Sequence[tuple[str, Table]] = (),
) -> list[Path]:
    """Write the report's files into ``output``; their paths, the page first.

    Args:
      output: made where it is not there.
      evaluations: at most as many of one benchmark as can be told apart.
      shown: sequences to show, by the evaluation's name.
      more: further tables with their titles, such as those of a comparison.

    Raises:
      UserError: matplotlib is missing, or more trackers on one benchmark than can be told apart.
    """
    title = "Evaluation: " + ", ".join(one.name for one in evaluations)
    report = Report()
    report.heading(title, 1)
    groups = eval_tables.grouped(evaluations)
    for benchmark, group in track(groups.items(), "drawing", transient=True):
        report.heading(benchmark)
        report.table(eval_tables.headline(group))
        if any("*" in cell for row in eval_tables.headline(group).rows for cell in row):
            report.words(_SPEED)
        for text in eval_tables.remarks(group):
            report.words(text)
        _plots(report, benchmark, group)
        folded = {f"By {what}": eval_tables.shares(group, what) for what in ("attributes", "categories")}
        folded["The same results by other rules"] = eval_tables.by_other_rules(group)
        for summary, table in {"Every sequence, in numbers": eval_tables.single(group), **folded}.items():
            if table.rows and len(table.heading) > 1:
                report.table(table, summary)
        _failures(report, group)
        for one in group:
            _sequences(report, one, shown.get(one.name, ()))
    for title_of, table in more:
        report.heading(title_of)
        report.table(table)
    report.heading("Made with")
    for benchmark, group in groups.items():
        made = eval_tables.makers(group)
        if made.rows:
            report.table(made, f"{benchmark}: the processes that made the results")
        report.table(eval_tables.facts(group), f"{benchmark}: weights and settings; the process that wrote the report")
        for one in group:
            if one.config:
                report.table(Table(["setting", "value"], list(map(list, flat(one.config))), []), f"{one.name}: config")
    report.words(f"Written by ostrack-jax {__version__}: ostrack report eval.")
    numbers = json.dumps(eval_tables.as_json(evaluations), indent=2, allow_nan=False) + "\n"
    texts = {HTML: markup.document(title, report.sections), MARKDOWN: "\n".join(report.lines), JSON: numbers}
    files = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    for name, content in {**files, **report.files}.items():
        write_atomically(output / name, content)
    return [output / name for name in (HTML, MARKDOWN, JSON)]


def _plots(report: Report, benchmark: str, group: list[Evaluation]) -> None:
    """Curves, speed, attributes and bars of one benchmark."""
    themes = (canvas.LIGHT, canvas.DARK)
    report.row('<div class="curves">')
    for key, title in plots.TITLES.items():
        if any(key in one.curves for one in group):
            report.plot(f"{benchmark}_{key}", *(plots.curve(group, key, theme) for theme in themes), alt=title)
    score, points = eval_tables.speeds(group)
    if len(points) > 1:
        pictures = [plots.speed(points, score, theme) for theme in themes]
        report.plot(f"{benchmark}_speed", *pictures, alt=f"{score} over frames a second")
    main = next((one.main for one in group if one.main), "")
    if main:
        drawn = [plots.radar(group, main, theme) for theme in themes]
        if drawn[0] is not None and drawn[1] is not None:
            report.plot(f"{benchmark}_attributes", drawn[0], drawn[1], alt="scores by attribute")
        shown = plots.shown_sequences(group, main)
        if shown:
            pictures = [plots.bars(group, main, theme) for theme in themes]
            report.plot(f"{benchmark}_sequences", *pictures, alt="scores of single sequences")
        if len(shown) == plots.MOST_BARS:
            report.words(f"Of the sequences the {plots.MOST_BARS // 2} worst and best are drawn.")
    report.row("</div>")


def _failures(report: Report, group: list[Evaluation]) -> None:
    rows = [[one.name, name, reason] for one in group for name, reason in one.failed.items()]
    if rows:
        report.words("Sequences that failed and have no result:")
        report.table(Table(["tracker", "sequence", "reason"], rows, []))


def _sequences(report: Report, one: Evaluation, shown: Sequence[Shown]) -> None:
    if not shown:
        return
    which = "best and worst sequences" if len(shown) < len(one.sequences) else "sequences"
    report.heading(f"{one.name}: {which}", 3)
    report.words(_LEGEND)
    for each in shown:
        rank = f" ({each.rank})" if each.rank else ""
        title = f"{each.sequence}{rank}: {plots.HEADINGS[one.main]} {each.number:.1f}"
        name = f"{one.benchmark}_{one.name}_{each.sequence}"
        report.row('<section class="shown wide">')
        report.photograph(f"{name}_frames", each.strip, title)
        themes = (canvas.LIGHT, canvas.DARK)
        pictures = [plots.over_time(each.overlaps, each.scores, each.sequence, theme) for theme in themes]
        report.plot(f"{name}_time", *pictures, alt=f"{each.sequence}: overlap and score by frame")
        if each.stages is not None:
            report.photograph(f"{name}_stages", each.stages, f"{each.sequence}: candidates left after each stage")
        report.row("</section>")


def _markdown(table: Table) -> list[str]:
    lines = [table.heading, ["---"] * len(table.heading), *table.rows]
    return ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in lines]


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", " ".join(text.split()))
