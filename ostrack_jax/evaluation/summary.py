"""A run's scores by attribute, category and other rules, and notes on how they differ from the benchmark's own.

All numbers are shares in 0..1 with the keys of `metrics.MEANING`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ostrack_jax.data.annotations import valid
from ostrack_jax.data.box_forms import SHIFTED, Oddity, find_oddity
from ostrack_jax.data.readers.lasot import LABELS
from ostrack_jax.errors import UserError, listed
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics import conventions, intervals
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction, average

# The files that list the frames the scores leave out or count as absent, by reader.
_LISTS = {"got10k": ("cover.label",), "lasot": LABELS, "lasot_ext": LABELS}


def summarize(scores: Scores, answers: list[SequencePrediction]) -> dict[str, Any]:
    """The entries `intervals`, `curves`, `attributes` and `categories` of a report; NaN is left as it is."""
    attributes = [(attribute, answer.name) for answer in answers for attribute in answer.attributes]
    categories = [(answer.category, answer.name) for answer in answers if answer.category]
    return {
        "intervals": {key: ends and list(ends) for key, ends in intervals.bootstrap(scores).items()},
        "curves": {key: curve.tolist() for key, curve in scores.curves.items()},
        "attributes": _means(scores, attributes),
        "categories": _means(scores, categories),
    }


def by_other_rules(names: Iterable[str], *runs: list[SequencePrediction]) -> dict[str, Any]:
    """The same predictions by these conventions: by name `meaning` and `scores`, or `refused`, the reason in a line.

    Of several ``runs`` the scores are their mean.
    """
    found: dict[str, Any] = {}
    for name, convention in conventions.choose(list(names)).items():
        found[name] = {"meaning": conventions.meaning(name)}
        try:
            found[name]["scores"] = average([convention(answers) for answers in runs]).overall
        except UserError as e:
            found[name]["refused"] = str(e)
    return found


def rules_by_tracker(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What `by_other_rules` ``found`` by tracker, by rule: `meaning` and `trackers`."""
    rules: dict[str, Any] = {}
    for tracker, by_rule in found.items():
        for name, result in by_rule.items():
            rule = rules.setdefault(name, {"meaning": result["meaning"], "trackers": {}})
            rule["trackers"][tracker] = {key: value for key, value in result.items() if key != "meaning"}
    return rules


def notes(benchmark: Benchmark, answers: list[SequencePrediction]) -> list[str]:
    """Notes on why these scores are not the benchmark's own, a line each: missing or odd data."""
    found = []
    if benchmark.sequences is not None and len(answers) != benchmark.sequences:
        found.append(part_of_benchmark(len(answers), benchmark.sequences))
    lists = _LISTS.get(benchmark.reader, ())
    unlisted = sum(answer.present is None or any(name in answer.missing for name in lists) for answer in answers)
    if lists and unlisted and not benchmark.not_scored:
        named = f"all lists of absent frames ({', '.join(lists)})"
        found.append(f"{unlisted} sequences without {named}, which the benchmark's own numbers rest on")
    if flawed := [answer.name for answer in answers if answer.flaws]:
        found.append(
            f"sequences that are not complete, scored on the frames that are there: {len(flawed)} ({listed(flawed)}); "
            "`ostrack data check` describes what is wrong"
        )
    unscored = [answer.name for answer in answers if not valid(answer.truth_xywh[1:]).any()]
    if unscored and not benchmark.not_scored:
        some = some_of(unscored, len(answers), "sequences")
        found.append(f"{some} have a true box in the first frame alone: their scores mean nothing")
    odd = [(find_oddity(answer.truth_xywh, answer.size_wh), answer.name) for answer in answers]
    return [*found, *odd_boxes("the true boxes", odd, "sequences")]


def odd_boxes(whose: str, found: list[tuple[Oddity | None, str]], of: str) -> list[str]:
    """Notes on odd boxes: a line for each oddity, with the names it was ``found`` by."""
    lines = []
    for oddity in dict.fromkeys(oddity for oddity, _ in found if oddity is not None):
        names = [name for each, name in found if each == oddity]
        if oddity == SHIFTED and len(names) <= len(found) / 2:
            continue  # of a few it is chance
        lines.append(f"{whose} of {some_of(names, len(found), of)} {oddity.text}: {oddity.fix}")
    return lines


def some_of(names: list[str], count: int, of: str) -> str:
    """How many of ``count`` these are, with the first names."""
    return f"{len(names)} of {count} {of} ({listed(names)})"


def part_of_benchmark(count: int, total: int) -> str:
    """The note that not all of a benchmark's sequences were scored."""
    return f"{count} of the benchmark's {total} sequences"


def _means(scores: Scores, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The numbers over the sequences of each group, of pairs of group and sequence."""
    groups: dict[str, list[str]] = {}
    for group, name in pairs:
        groups.setdefault(group, []).append(name)
    return {group: {"sequences": len(names), **scores.mean(names)} for group, names in sorted(groups.items())}
