"""The tables of evaluations and comparisons: on the terminal, and on the page of `ostrack report eval`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from ostrack_jax.errors import listed
from ostrack_jax.evaluation import expected
from ostrack_jax.evaluation.compare import Comparison
from ostrack_jax.evaluation.metrics.scores import HEADINGS, MEANING, percent
from ostrack_jax.evaluation.report import OURS, Report
from ostrack_jax.visualization.table import Table, flatten

_HARDEST = 24  # classes that the terminal lists: all are in the JSON
_SHORT = 12  # letters of a commit in a table
_FACTS = ("benchmark", "tracker", "made_by", "weights_sha256", "commit", "versions", "hardware", "command", "finished")
_SHOWN = ("name", "benchmark", "tracker", "scores", "intervals", "curves", "attributes", "categories", "sequences")
_SHOWN += ("fps", "failed", "note", "config")


def print_report(report: Report, console: Console) -> None:
    """Print the table of sequences with the overall scores below, the speed, and what failed and why."""
    keys = [key for key in HEADINGS if key in report.scores]
    rows = [
        [f"{name} *" if row["state"] == "skipped" else name, str(row["frames"]), *_scores(row, keys), _fps(row["fps"])]
        for name, row in report.sequences.items()
    ]
    frames = sum(row["frames"] for row in report.sequences.values())
    rows.append(["all", str(frames), *_scores(report.scores, keys), _fps(report.fps)])
    title = f"{report.tracker} on {report.benchmark}, in percent"
    columns = ["sequence", "frames", *(HEADINGS[key] for key in keys), "frames/s"]
    Table(title, columns, rows, styles=[*[""] * len(report.sequences), "total"]).print(console)
    if report.not_scored:
        console.print(report.not_scored, soft_wrap=True)
    _print_notes(report.notes, console)
    rules_table([report]).print(console)
    counts, compiled = report.counts, report.speed["compile_seconds"]
    console.print(
        f"{counts['done']} done, {counts['skipped']} skipped (*, their results were there), {counts['failed']} failed"
        + (f"; compiled, or loaded from the cache, in {compiled:.1f} s" if compiled is not None else "")
    )
    for name, reason in report.failed.items():
        console.print(f"[red]failed[/red] {escape(name)}: {escape(reason)}", soft_wrap=True)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the numbers, the pairs, attributes, classes, other rules, what was left out and why."""
    keys, group, count = comparison.keys, comparison.reports, len(comparison.sequences)
    headings = [HEADINGS[key] for key in keys]
    title = f"{comparison.benchmark.name}, {count} sequence{'s' * (count > 1)}, in percent"
    rows = [[one.name, *_scores(one.scores, keys), _fps(one.fps)] for one in group]
    Table(title, ["tracker", *headings, "frames/s"], rows).print(console)
    # A table of its own: next to the numbers it would leave no space for names on a terminal of 80 columns.
    ends = [[one.name, *(_interval(one, key, "..") or "-" for key in keys)] for one in group if one.intervals]
    rows = ends if any(cell != "-" for row in ends for cell in row[1:]) else []
    Table("95 % intervals, by drawing sequences", ["tracker", *headings], rows).print(console)
    several = any(one.runs > 1 for one in group)
    rows = [[one.name, str(one.runs), *_scores(one.spread, keys)] for one in group if several]
    Table("standard deviation over runs", ["tracker", "runs", *headings], rows).print(console)
    pairs_table(group, keys[:1]).print(console)
    for what in ("attributes", "categories"):
        groups_table(group, what, _HARDEST).print(console)
    rules_table(group).print(console)
    _print_notes(group[0].notes, console)
    if comparison.left_out:
        named = listed([f"{name} ({', '.join(missing)})" for name, missing in comparison.left_out.items()], 4)
        console.print(
            f"[yellow]{len(comparison.left_out)} sequences left out[/yellow], not all have them: {escape(named)}"
        )
    for one in group:
        if one.lengths:
            some = listed([f"{name} ({found} for {wanted} frames)" for name, (found, wanted) in one.lengths.items()], 3)
            console.print(f"{escape(one.name)}: {len(one.lengths)} results of another length: {escape(some)}")


def headline(group: Sequence[Report]) -> Table:
    """A row a tracker and, below, the paper's rows for the benchmark; each is marked with its origin."""
    everyone = [*group, *expected.of_benchmark(group[0].benchmark)]
    keys = [key for key in HEADINGS if any(one.scores.get(key) is not None for one in everyone)]
    rows, styles = [], []
    for one in everyone:
        scores, speed = _scores(one.scores, keys, ".1f"), _fps(one.fps)
        last = [str(len(one.sequences)), expected.verdict(one), one.note]
        if one.tolerance:
            scores = [cell if cell == "-" else f"{cell} ± {100 * one.tolerance:.1f}" for cell in scores]
            speed, last = speed if one.fps is None else f"{speed} *", ["-", "", ""]
        styles.append("theirs" if one.tolerance else "ours")
        rows.append([one.name, one.whose, *scores, _interval(one, one.main, " to "), speed, *last])
    main = HEADINGS[next((one.main for one in group if one.main), "ao")]
    columns = ["tracker", "whose", *(HEADINGS[key] for key in keys), f"{main}, 95 % interval", "frames/s", "sequences"]
    return Table("", [*columns, "expected", "note"], rows, styles=styles).without_empty_columns()


def remarks(group: Sequence[Report]) -> list[str]:
    """What keeps scores from being the benchmark's own and is not in a `note`: each once, with its trackers."""
    names: dict[str, list[str]] = {}
    for one in group:
        for text in one.notes:
            if not (one.part and text.endswith(f"of the benchmark's {one.whole} sequences")):
                names.setdefault(text, []).append(one.name)
    return [f"{', '.join(whose)}: {text}." for text, whose in names.items()]


def sequences_table(group: Sequence[Report]) -> Table:
    """A row a sequence: the scores of each tracker."""
    keys = [key for key in HEADINGS if any(one.scores.get(key) is not None for one in group)]
    columns = [f"{one.name}: {HEADINGS[k]}" if len(group) > 1 else HEADINGS[k] for one in group for k in keys]
    names = dict.fromkeys(name for one in group for name in one.sequences)
    rows = [
        [name, *(cell for one in group for cell in _scores(one.sequences.get(name, {}), keys, ".1f"))] for name in names
    ]
    return Table("Every sequence, in numbers", ["sequence", *columns], rows if keys else [])


def groups_table(group: Sequence[Report], what: str, most: int | None = None) -> Table:
    """The main score by `attributes` or `categories`, the hardest of the first tracker on top, ``most`` of them."""
    key, groups = group[0].main, [getattr(one, what) for one in group]
    names = sorted(set().union(*groups), key=lambda name: (groups[0].get(name, {}).get(key) or 0.0, name))
    rows = []
    for name in names[:most]:
        found = [each.get(name, {}) for each in groups]
        if any(row.get(key) is not None for row in found):
            count = max(row.get("sequences", 0) for row in found)
            rows.append([name, str(count), *(percent(row.get(key)) for row in found)])
    notes = [f"the {most} hardest of {len(names)}"] if most and len(names) > most else []
    word = {"attributes": "attribute", "categories": "class"}[what]
    return Table(f"{HEADINGS.get(key, '')} by {word}", [word, "sequences", *(one.name for one in group)], rows, notes)


def pairs_table(group: Sequence[Report], keys: Iterable[str] = HEADINGS) -> Table:
    """The trackers of comparisons two by two, by the scores ``keys``."""
    wanted, rows = set(keys), []
    for pair in (pair for one in group for pair in one.pairs):
        if pair["key"] in wanted and pair["difference"] is not None:
            low, high = pair["interval"] or (None, None)
            ends = "" if low is None else f"{percent(low, '+.1f')} to {percent(high, '+.1f')}"
            counts = (str(pair[count]) for count in ("won", "lost", "tied"))
            difference = percent(pair["difference"], "+.2f")
            rows.append([pair["a"], pair["b"], HEADINGS[pair["key"]], difference, ends, *counts])
    columns = ["first", "second", "score", "difference", "95 % interval", "won", "lost", "tied"]
    return Table("pairs: the first less the second, in points", columns, rows).without_empty_columns()


def rules_table(group: Sequence[Report]) -> Table:
    """The same results by other conventions: a row for each and each tracker, below them what each does or refuses."""
    rows, notes = [], []
    for name in dict.fromkeys(name for one in group for name in one.conventions):
        found = {one.name: one.conventions[name] for one in group if name in one.conventions}
        for tracker, rule in found.items():
            rows.append([name, tracker if len(group) > 1 else "-", *_scores(rule.get("scores", {}), HEADINGS)])
        refused = sorted({rule["refused"] for rule in found.values() if "refused" in rule})
        meaning = next(iter(found.values()))["meaning"]
        notes.append(f"{name}: {meaning}" + "".join(f" Refused: {reason}" for reason in refused))
    columns = ["rules", "tracker", *HEADINGS.values()]
    return Table("the same results by other rules, in percent", columns, rows, notes).without_empty_columns("-")


def processes_table(group: Sequence[Report], title: str) -> Table:
    """A row for each process that made results: time, machine, versions."""
    keys = {"sequences": "sequences", "started": "started (UTC)"}
    keys |= {key: key for key in ("host", "hardware", "commit", "jax", "command")}
    rows = [[one.name, *(str(maker[key]) for key in keys)] for one in group for maker in makers(one)]
    for row in rows:
        row[2], row[5] = row[2].removesuffix("+00:00"), _short(row[5])
    return Table(title, ["tracker", *keys.values()], rows)


def makers(report: Report) -> list[dict[str, Any]]:
    """The processes that finished any sequence, with "-" for unknown facts.

    The one that wrote the report may have tracked little or nothing of it: it may have resumed where others ended.
    """
    found = []
    for record in report.processes:
        count = record.get("finished_sequences") or 0
        if count >= 1:
            hardware = record.get("hardware") or {}
            kinds = Counter(hardware.get("jax_devices") or ())
            devices = [f"{n} x {kind}" if n > 1 else kind for kind, n in kinds.items() if kind != "cpu"]
            cores = f", {hardware['cores']} cores" if hardware.get("cores") else ""
            texts = {key: record.get(key) or "-" for key in ("started", "host", "commit", "command")}
            jax = (record.get("versions") or {}).get("jax") or "-"
            hardware = "; ".join([f"{hardware.get('cpu') or '-'}{cores}", *devices])
            found.append({"sequences": int(count), **texts, "hardware": hardware, "jax": jax})
    return found


def facts(report: Report) -> dict[str, str]:
    """Weights and settings, and of the process that wrote the report versions, hardware, commit and command."""
    values = {key: getattr(report, key) for key in _FACTS} | report.more
    return dict(flatten({key: value for key, value in values.items() if value not in (None, "", {}, [])}))


def facts_table(group: Sequence[Report], title: str) -> Table:
    """The `facts` of several reports next to one another."""
    found = [facts(one) for one in group]
    keys = dict.fromkeys(key for one in found for key in one)
    return Table(
        title, ["", *(one.name for one in group)], [[key, *(one.get(key, "-") for one in found)] for key in keys]
    )


def as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """All numbers of the page, for programs."""
    rows = [
        {key: getattr(one, key) for key in _SHOWN}
        | {"whose": "ours" if one.whose == OURS else "server", "remarks": one.notes}
        | {"makers": makers(one), "made_with": facts(one)}
        for one in reports
    ]
    theirs = [
        {"config": one.name, "benchmark": benchmark, "whose": "theirs" if one.whose == expected.PAPER else "ours"}
        | {"scores": one.scores, "tolerance": one.tolerance, "fps": one.fps}
        for benchmark in dict.fromkeys(one.benchmark for one in reports)
        for one in expected.of_benchmark(benchmark)
    ]
    return {"evaluations": rows, "expected": theirs, "meaning": MEANING}


def _print_notes(notes: Iterable[str], console: Console) -> None:
    for note in notes:
        console.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)


def _scores(row: Mapping[str, Any], keys: Iterable[str], form: str = ".2f") -> list[str]:
    return [percent(row.get(key), form) for key in keys]


def _fps(fps: float | None) -> str:
    return "-" if fps is None else f"{fps:.1f}"


def _interval(report: Report, key: str, between: str) -> str:
    """In percent with one decimal: the ends are drawn at random, which the second depends on. Empty without one."""
    low, high = report.intervals.get(key) or (None, None)
    return "" if low is None else f"{percent(low, '.1f')}{between}{percent(high, '.1f')}"


def _short(commit: str) -> str:
    """The first letters of a commit, which are enough to find it, and whether files differed."""
    return commit[:_SHORT] + ("-dirty" if commit.endswith("-dirty") and len(commit) > _SHORT else "")
