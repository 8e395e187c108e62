"""The report of evaluations: one self-contained HTML file, the same as Markdown with PNG files, and as JSON.

Directories of `ostrack eval` and `ostrack compare` are read. Where a server scores, as for `got10k_test`, what it
answered may lie next to the report in `server.json`: shares in 0..1 by their keys of `metrics.scores.NUMBERS`, such as
{"ao": 0.71, "sr50": 0.804}.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from ostrack_jax import __version__
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import compare, expected
from ostrack_jax.evaluation import report_tables as tables
from ostrack_jax.evaluation.metrics.scores import CURVES, HEADINGS, MEANING
from ostrack_jax.evaluation.report import REPORT_FILE, SERVED, Report, read_report
from ostrack_jax.evaluation.report_sequences import DrawnSequence
from ostrack_jax.io import read_json, write_atomically, write_json
from ostrack_jax.visualization import plots
from ostrack_jax.visualization.html import Page, name_directories
from ostrack_jax.visualization.plots import COLOURS, Line, Panel, printable
from ostrack_jax.visualization.table import Table, flatten

SERVER_FILE = "server.json"
HTML, MARKDOWN, JSON = "report.html", "report.md", "report.json"
_CURVES = {
    "success_pooled": "Success (pooled frames)",
    "success": "Success",
    "precision": "Precision",
    "norm_precision": "Normalised precision",
}
_SPEED = f"* the paper's frames a second: {expected.HARDWARE}; those measured here: of the tracker's whole update."
_LEGEND = "The answered box is amber, with the tracker's score; the true one blue."


def read_reports(directories: Sequence[Path]) -> list[Report]:
    """The reports in ``directories``; one of `ostrack compare` holds several.

    A tracker of a comparison whose own directory is given too is one report, by the comparison's name and scores.

    Raises:
      UserError: a directory is missing, holds no report of `ostrack eval` or `ostrack compare`, or is given twice.
    """
    named = name_directories(directories, "the --output of `ostrack eval`")
    reports: list[Report] = []
    for path in named:
        compared = compare.read(path / compare.COMPARISON_FILE) if compare.is_in(path) else []
        for report in compared:
            own = Path(report.more.get("folder", "")).resolve()
            if own in named and not compare.is_in(own):
                report.directory = own
        reports += compared or [read_report(path / REPORT_FILE)]
    shown = {report.directory for report in reports if "folder" in report.more}
    reports = [report for report in reports if "folder" in report.more or report.directory not in shown]
    if len({report.tracker for report in reports}) < len(reports):
        places = [report.directory for report in reports]
        for report, place in zip(reports, places, strict=True):
            report.name = named[place] if places.count(place) == 1 else f"{named[place]}: {report.tracker}"
    for report in reports:
        if report.not_scored and (report.directory / SERVER_FILE).is_file():
            report.scores, report.whose = _server_scores(report.directory / SERVER_FILE), SERVED
    return reports


def _server_scores(path: Path) -> dict[str, Any]:
    """A server's scores, from their file; a `UserError` for anything but shares of known scores."""
    scores = read_json(path)
    numbers = [value if isinstance(value, (int, float)) else -1 for value in scores.values()]
    if not scores or not scores.keys() <= MEANING.keys() or not all(0 <= value <= 1 for value in numbers):
        raise UserError(f'{path}: expected shares in 0..1 by the names of scores, as {{"ao": 0.71, "sr50": 0.804}}')
    return scores


def write(
    output: Path,
    reports: Sequence[Report],
    drawn: Mapping[str, Sequence[DrawnSequence]],
) -> list[Path]:
    """Write the page's files into ``output``; their paths, the page first.

    Args:
      output: made where it is not there.
      reports: of one benchmark at most as many as there are colours.
      drawn: sequences to show, by the report's name.

    Raises:
      UserError: matplotlib is missing, or more trackers on one benchmark than there are colours.
    """
    page = Page("Evaluation: " + ", ".join(one.name for one in reports))
    groups: dict[str, list[Report]] = {}
    for one in reports:
        groups.setdefault(one.benchmark, []).append(one)
    for group in groups.values():
        plots.colours_of([one.name for one in group], "trackers")  # not too many
    for benchmark, group in track(groups.items(), "drawing", transient=True):
        page.heading(benchmark)
        headline = tables.headline(group)
        page.table(headline)
        if any("*" in cell for row in headline.rows for cell in row):
            page.paragraph(_SPEED)
        for text in tables.remarks(group):
            page.paragraph(text)
        _add_plots(page, benchmark, group)
        folded = [tables.sequences_table(group), *(tables.groups_table(group, w) for w in ("attributes", "categories"))]
        for table in [*folded, tables.rules_table(group)]:
            page.table(table, folded=True)
        page.table(tables.pairs_table(group))
        failures = [[one.name, name, reason] for one in group for name, reason in one.failed.items()]
        page.table(Table("Sequences that failed and have no result:", ["tracker", "sequence", "reason"], failures))
        for one in group:
            _add_sequences(page, one, drawn.get(one.name, ()))
    page.heading("Made with")
    for benchmark, group in groups.items():
        page.table(tables.processes_table(group, f"{benchmark}: the processes that made the results"), folded=True)
        title = f"{benchmark}: weights and settings; the process that wrote the report"
        page.table(tables.facts_table(group, title), folded=True)
        for one in group:
            page.table(Table(f"{one.name}: config", ["setting", "value"], list(flatten(one.config or {}))), folded=True)
    page.paragraph(f"Written by ostrack-jax {__version__}: ostrack report eval.")
    texts = {HTML: page.html(), MARKDOWN: page.markdown()}
    files = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()} | page.images
    for name, content in files.items():
        write_atomically(output / name, content)
    write_json(output / JSON, tables.as_json(reports))
    return [output / name for name in (HTML, MARKDOWN, JSON)]


def _add_plots(page: Page, benchmark: str, group: list[Report]) -> None:
    """Curves, speed, attributes and bars of one benchmark."""
    main, half = next((one.main for one in group if one.main), ""), plots.MOST_BARS // 2
    with page.group("curves"):
        for key, title in _CURVES.items():
            if lines := curve_lines(group, key):
                panel = Panel(title, scale="share", smooth=False, x_label=CURVES[key].label, lines=lines)
                page.plot(f"{benchmark}_{key}", title, plots.panel, panel)
        score, marks = speed_marks(group)
        if len(marks) > 1:
            page.plot(f"{benchmark}_speed", f"{score} over frames a second", plots.speed, marks, score)
        lines, rows = (
            _lines_by_name(group, "attributes", main),
            [row for one in group for row in one.attributes.items()],
        )
        counts = {name: int(row.get("sequences") or 0) for name, row in rows if row.get(main) is not None}
        if len(counts) >= 3:
            title = f"{HEADINGS[main]} by attribute (sequences)"
            page.plot(f"{benchmark}_attributes", "scores by attribute", plots.radar, counts, lines, title)
        lines = _lines_by_name(group, "sequences", main)
        numbers: dict[str, list[float]] = {}
        for name, value in (pair for line in lines for pair in zip(line.x, line.y, strict=True)):
            numbers.setdefault(name, []).append(value)
        names = sorted(numbers, key=lambda name: (float(np.mean(numbers[name])), name))  # the worst mean first
        if names:
            shown = names if len(names) <= plots.MOST_BARS else names[:half] + names[-half:]
            title = f"{HEADINGS[main]} of each sequence"
            page.plot(f"{benchmark}_sequences", "scores of single sequences", plots.bars, shown, lines, title)
    if len(names) > plots.MOST_BARS:
        page.paragraph(f"Of the sequences the {half} worst and best are drawn.")


def _lines_by_name(group: Sequence[Report], what: str, key: str) -> list[Line]:
    """The score ``key`` of each report's `attributes` or `sequences`, in percent; empty where nothing is scored."""
    lines = []
    for one, colour in zip(group, COLOURS, strict=False):
        values = {name: 100 * row[key] for name, row in getattr(one, what).items() if row.get(key) is not None}
        lines.append(Line(_label(one), colour, list(values), list(values.values())))
    return lines


def curve_lines(group: Sequence[Report], key: str) -> list[Line]:
    """A curve of each report, with the number taken from it in the legend."""
    axis, lines = CURVES[key], []
    for one, colour in zip(group, COLOURS, strict=False):
        curve = [value for value in one.curves.get(key, ()) if value is not None]
        if curve and len(curve) == len(axis.thresholds):
            number = one.scores.get(axis.score)
            label = _label(one) + ("" if number is None else f"  {100 * number:.1f}")
            lines.append(Line(label, colour, axis.thresholds, curve))
    return lines


def speed_marks(group: Sequence[Report]) -> tuple[str, list[Line]]:
    """The score that the speed plot shows and its marks: ours in the colours of all plots, the paper's in the next."""
    theirs = expected.of_benchmark(group[0].benchmark)
    stated = [key for key in HEADINGS if any(key in one.scores for one in theirs)]
    key = next((one.main for one in group if one.main), next(iter(stated), ""))
    marks, more = [], itertools.islice(itertools.cycle(COLOURS), len(group), None)
    for one, colour in [*zip(group, COLOURS, strict=False), *zip(theirs, more, strict=False)]:
        if one.fps and one.scores.get(key) is not None:
            second = one.tolerance > 0
            label = f"{printable(one.name)} (paper)" if second else _label(one)
            marks.append(Line(label, colour, [one.fps], [100 * one.scores[key]], second))
    return HEADINGS.get(key, ""), marks


def _label(report: Report) -> str:
    """Its name in a legend, marked if it covers a part of the benchmark, as its numbers are not the benchmark's."""
    return printable(report.name) + (f" ({report.part})" if report.part else "")


def _add_sequences(page: Page, report: Report, drawn: Sequence[DrawnSequence]) -> None:
    if not drawn:
        return
    which = "best and worst sequences" if len(drawn) < len(report.sequences) else "sequences"
    page.heading(f"{report.name}: {which}", 3)
    page.paragraph(_LEGEND)
    for one in drawn:
        rank = f" ({one.rank})" if one.rank else ""
        name = f"{report.benchmark}_{report.name}_{one.name}"
        with page.group("shown wide"):
            title = f"{one.name}{rank}: {HEADINGS[report.main]} {one.percent:.1f}"
            page.photograph(f"{name}_frames", one.frames, title)
            title = f"{one.name}: overlap and score by frame"
            page.plot(f"{name}_time", title, plots.over_time, one.overlaps, one.scores, one.name)
            if one.stages is not None:
                page.photograph(f"{name}_stages", one.stages, f"{one.name}: candidates left after each stage")
