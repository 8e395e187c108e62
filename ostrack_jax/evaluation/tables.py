"""What a report of evaluations tells in numbers. Enters: `Evaluation`s. Leaves: tables of text, the same as JSON.

The HTML page and the Markdown file show these tables; scores are in percent there, shares in 0..1 in the JSON.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ostrack_jax.evaluation import expected, summary
from ostrack_jax.evaluation.comparisons import other_rules
from ostrack_jax.evaluation.evaluations import Evaluation
from ostrack_jax.evaluation.metrics.scores import MEANING
from ostrack_jax.evaluation.report import HEADINGS
from ostrack_jax.visualization.canvas import COLOURS, words
from ostrack_jax.visualization.html import Table
from ostrack_jax.visualization.plots import Point, colours_of, label_of

_SHORT = 12  # letters of a commit in a table
OURS, SERVED, THEIRS = "measured here", "the server's, of results made here", "the paper's"


def grouped(evaluations: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    """The evaluations by benchmark, in the order given."""
    groups: dict[str, list[Evaluation]] = {}
    for one in evaluations:
        groups.setdefault(one.benchmark, []).append(one)
    return groups


def keys_of(group: Sequence[Evaluation]) -> list[str]:
    """The scores that any of a benchmark's rows has, the paper's rows too, in the order of `HEADINGS`."""
    theirs = expected.of_benchmark(group[0].benchmark)
    known = {key for one in group for key in one.scores}
    return [key for key in HEADINGS if key in known or any(key in e.scores[group[0].benchmark] for e in theirs)]


def headline(group: Sequence[Evaluation]) -> Table:
    """A row a tracker and, below, the paper's rows for the benchmark; each says whose it is."""
    benchmark, keys = group[0].benchmark, keys_of(group)
    rows, marks = [], []
    for one in group:
        scores = [percent(one.scores.get(key)) for key in keys]
        fps = "-" if one.fps is None else f"{one.fps:.1f}"
        whose = SERVED if one.by_server else OURS
        rows.append([one.name, whose, *scores, _interval(one), fps, str(len(one.sequences)), _against(one), one.note])
        marks.append("ours")
    for entry in expected.of_benchmark(benchmark):
        figures = entry.scores[benchmark]
        scores = [f"{figures[key]:.1f} ± {entry.tolerance:.1f}" if key in figures else "-" for key in keys]
        theirs = entry.by == expected.PAPER
        whose = THEIRS if theirs else "expected of the config"
        speed = f"{entry.fps:.1f} *" if entry.fps is not None else "-"
        rows.append([entry.config, whose, *scores, "", speed, "-", "", ""])
        marks.append("theirs")
    main = next((HEADINGS[one.main] for one in group if one.main), "")
    heading = ["tracker", "whose", *(HEADINGS[key] for key in keys), f"{main}, 95 % interval", "frames/s", "sequences"]
    heading += ["expected", "note"]
    empty = {i for i in range(len(heading)) if not any(row[i] for row in rows)}  # nothing expected, nothing to note
    heading, *rows = ([cell for i, cell in enumerate(row) if i not in empty] for row in [heading, *rows])
    return Table(heading, rows, marks)


def remarks(group: Sequence[Evaluation]) -> list[str]:
    """What keeps scores from being the benchmark's own and no `note` says: each once, with whose they are."""
    said: dict[str, list[str]] = {}
    for one in group:
        for text in one.remarks:
            if not (one.whole and text == summary.only(len(one.sequences), one.whole)):
                said.setdefault(text, []).append(one.name)
    return [f"{', '.join(names)}: {text}." for text, names in said.items()]


def single(group: Sequence[Evaluation]) -> Table:
    """A row a sequence: the scores of each tracker."""
    keys = [key for key in HEADINGS if any(key in one.scores for one in group)]
    names = list(dict.fromkeys(name for one in group for name in one.sequences))
    heading = ["sequence"]
    heading += [f"{one.name}: {HEADINGS[k]}" if len(group) > 1 else HEADINGS[k] for one in group for k in keys]
    rows = [[name, *(percent(one.sequences.get(name, {}).get(k)) for one in group for k in keys)] for name in names]
    return Table(heading, rows, ["ours"] * len(rows))


def shares(group: Sequence[Evaluation], what: str) -> Table:
    """The main score by ``what``: `attributes` or `categories`; a row each, how many sequences, a column a tracker."""
    names = sorted({name for one in group for name in getattr(one, what)})
    rows = []
    for name in names:
        each = [getattr(one, what).get(name, {}) for one in group]
        count = max(int(numbers.get("sequences", 0)) for numbers in each)
        rows.append([name, str(count), *(percent(n.get(one.main)) for n, one in zip(each, group, strict=True))])
    return Table([what, "sequences", *(f"{one.name}: {HEADINGS.get(one.main, '')}" for one in group)], rows, [])


def by_other_rules(group: Sequence[Evaluation]) -> Table:
    """The same results by other conventions; a row for each and each tracker that was asked for it."""
    rules: dict[str, Any] = {}
    for one in group:
        for name, found in one.rules.items():
            if isinstance(found, dict):
                rule = rules.setdefault(name, {"meaning": found.get("meaning"), "trackers": {}})
                rule["trackers"][one.name] = found
    return other_rules(rules)


def makers(group: Sequence[Evaluation]) -> Table:
    """A row for each process that made results: when, where, with what."""
    heading = ["tracker", "sequences", "started (UTC)", "host", "hardware", "commit", "jax", "command"]
    rows = [
        [
            *(one.name, str(maker.sequences), maker.started.removesuffix("+00:00"), maker.host, maker.hardware),
            *(_short(maker.commit), maker.jax, maker.command),
        ]
        for one in group
        for maker in one.makers
    ]
    return Table(heading, rows, ["ours"] * len(rows))


def facts(group: Sequence[Evaluation]) -> Table:
    """Weights and settings, and of the process that wrote each report versions, hardware, commit, command."""
    keys = list(dict.fromkeys(key for one in group for key in one.facts))
    rows = [[key, *(one.facts.get(key, "-") for one in group)] for key in keys]
    return Table(["", *(one.name for one in group)], rows, ["ours"] * len(rows))


def speeds(group: Sequence[Evaluation]) -> tuple[str, list[Point]]:
    """The points of the speed plot and the score they show: the main one, the paper's models beside ours.

    Ours have the colours that they have in all plots, the paper's the next ones.
    """
    key = next((one.main for one in group if one.main), "") or next(iter(keys_of(group)), "")
    benchmark = group[0].benchmark
    colours = colours_of(group)
    ours = [
        Point(label_of(one), one.fps, 100 * one.scores[key], colours[one.name], True)
        for one in group
        if one.fps and key in one.scores
    ]
    entries = [entry for entry in expected.of_benchmark(benchmark) if entry.fps and key in entry.scores[benchmark]]
    more = itertools.islice(itertools.cycle(COLOURS), len(group), None)
    theirs = [
        Point(f"{words(entry.config)} (paper)", entry.fps or 0.0, entry.scores[benchmark][key], colour, False)
        for entry, colour in zip(entries, more, strict=False)
    ]
    return HEADINGS.get(key, ""), ours + theirs


def as_json(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """All numbers of the report, for programs."""
    rows = [
        {
            **{"name": one.name, "benchmark": one.benchmark, "tracker": one.tracker},
            **{"whose": "server" if one.by_server else "ours"},
            **{"scores": one.scores, "intervals": one.intervals, "curves": one.curves},
            **{"attributes": one.attributes, "categories": one.categories},
            **{"sequences": one.sequences, "fps": one.fps, "failed": one.failed, "note": one.note},
            **{"remarks": one.remarks},
            **{"makers": [asdict(maker) for maker in one.makers], "made_with": one.facts, "config": one.config},
        }
        for one in evaluations
    ]
    theirs = [
        {"config": entry.config, "benchmark": benchmark, "whose": "theirs" if entry.by == expected.PAPER else "ours"}
        | {"scores": {key: round(value / 100, 6) for key, value in entry.scores[benchmark].items()}}
        | {"tolerance": entry.tolerance / 100, "fps": entry.fps}
        for benchmark in grouped(evaluations)
        for entry in expected.of_benchmark(benchmark)
    ]
    return {"evaluations": rows, "expected": theirs, "meaning": MEANING}


def percent(share: float | None) -> str:
    """A share as percent with one decimal; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f}"


def _interval(one: Evaluation) -> str:
    low, high = one.intervals.get(one.main, (None, None))
    return "" if low is None else f"{percent(low)} to {percent(high)}"


def _against(one: Evaluation) -> str:
    """Each score beside what the config should reach; empty where nothing is stated."""
    if one.part:
        return ""  # a part of the benchmark says nothing about the figure
    scores = {key: 100 * one.scores[key] for key in HEADINGS if key in one.scores}
    verdicts = {key: expected.verdict(one.tracker, one.benchmark, key, score) for key, score in scores.items()}
    return "; ".join(f"{HEADINGS[key]} {verdict}" for key, verdict in verdicts.items() if verdict)


def _short(commit: str) -> str:
    """The first letters of a commit, which are enough to find it, and whether files differed."""
    return commit[:_SHORT] + ("-dirty" if commit.endswith("-dirty") and len(commit) > _SHORT else "")
