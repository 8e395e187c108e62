"""What a run's scores are told as, beyond the overall numbers.

Keys of `summarize`, all shares in 0..1 with the keys of `metrics.MEANING`:

- `intervals`: of each overall number, [low, high] by bootstrap over sequences (`intervals`), null with fewer
  than `intervals.LEAST_SEQUENCES`;
- `curves`: by their keys of `metrics.CURVES`, one value for each threshold of it;
- `attributes`, `categories`: by name, `sequences` (how many) and the numbers over those alone.

`notes` says what keeps them from being the benchmark's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ostrack_jax.data.annotations import valid
from ostrack_jax.data.box_forms import SHIFTED, Oddity, find_oddity
from ostrack_jax.data.readers.lasot import LABELS
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics import conventions, intervals
from ostrack_jax.evaluation.metrics.scores import CURVES, Scores, SequencePrediction, average

_NAMED = 5  # sequences that a note names
# The files that say which frames the scores leave out or count as absent, by reader.
_LISTS = {"got10k": ("cover.label",), "lasot": LABELS, "lasot_ext": LABELS}


def summarize(scores: Scores, answers: list[SequencePrediction]) -> dict[str, Any]:
    """See the head of this file; NaN is left as it is."""
    return {
        "intervals": {key: ends and list(ends) for key, ends in intervals.bootstrap(scores).items()},
        "curves": {key: curve.tolist() for key, curve in scores.curves.items()},
        "attributes": _table(scores, by_attribute(answers)),
        "categories": _table(scores, by_category(answers)),
    }


def notes(protocol: Benchmark, answers: list[SequencePrediction]) -> list[str]:
    """What keeps these answers' scores from being the benchmark's own, a line each: what lacks or is odd."""
    told = []
    if protocol.sequences is not None and len(answers) != protocol.sequences:
        told.append(only(len(answers), protocol.sequences))
    lists = _LISTS.get(protocol.reader, ())
    unlisted = sum(answer.present is None or any(name in answer.missing for name in lists) for answer in answers)
    if lists and unlisted and not protocol.not_scored:
        named = f"all lists of absent frames ({', '.join(lists)})"
        told.append(f"{unlisted} sequences without {named}, which the benchmark's own numbers rest on")
    if flawed := [answer.name for answer in answers if answer.flaws]:
        more = ", ..." if len(flawed) > _NAMED else ""
        told.append(
            f"sequences that are not whole, scored on the frames that are there: {len(flawed)} "
            f"({', '.join(flawed[:_NAMED])}{more}); `ostrack data check` says what is wrong"
        )
    unscored = [answer.name for answer in answers if not valid(answer.truth_xywh[1:]).any()]
    if unscored and not protocol.not_scored:
        named = some(unscored, len(answers), "sequences")
        told.append(f"{named} have a true box in the first frame alone: their scores say nothing")
    odd = [(find_oddity(answer.truth_xywh, answer.size_wh), answer.name) for answer in answers]
    return [*told, *odd_boxes("the true boxes", odd, "sequences")]


def odd_boxes(whose: str, found: list[tuple[Oddity | None, str]], of: str) -> list[str]:
    """Notes on what is odd about boxes: a line for each oddity, with the names it was ``found`` by."""
    told = []
    for oddity in dict.fromkeys(oddity for oddity, _ in found if oddity is not None):
        names = [name for each, name in found if each == oddity]
        if oddity == SHIFTED and len(names) <= len(found) / 2:
            continue  # of a few it is chance
        told.append(f"{whose} of {some(names, len(found), of)} {oddity.text}: {oddity.fix}")
    return told


def some(names: list[str], count: int, of: str) -> str:
    """How many of ``count`` these are, with the first names."""
    more = ", ..." if len(names) > _NAMED else ""
    return f"{len(names)} of {count} {of} ({', '.join(names[:_NAMED])}{more})"


def only(count: int, whole: int) -> str:
    """The note that not all of a benchmark's sequences were scored."""
    return f"{count} of the benchmark's {whole} sequences"


def by_attribute(answers: Iterable[SequencePrediction]) -> dict[str, list[str]]:
    """Names of sequences by attribute, in the alphabet's order."""
    return _groups((attribute, answer.name) for answer in answers for attribute in answer.attributes)


def by_category(answers: Iterable[SequencePrediction]) -> dict[str, list[str]]:
    """Names of sequences by the target's class, in the alphabet's order."""
    return _groups((answer.category, answer.name) for answer in answers if answer.category)


def thresholds(scores: Scores) -> dict[str, Any]:
    """What the curves run over: by key `values`, `label`, and the `score` that is taken from it."""
    axes = {key: CURVES[key] for key in scores.curves}
    return {
        k: {"values": axis.thresholds.tolist(), "label": axis.label, "score": axis.score} for k, axis in axes.items()
    }


def by_other_rules(names: Iterable[str], *runs: list[SequencePrediction]) -> dict[str, Any]:
    """The same answers by these conventions: by name `meaning` and `scores`, or `refused`, the reason in a line.

    Of several ``runs`` the scores are their mean.
    """
    told: dict[str, Any] = {}
    for name, convention in conventions.choose(list(names)).items():
        told[name] = {"meaning": conventions.meaning(name)}
        try:
            told[name]["scores"] = average([convention(answers) for answers in runs]).overall
        except UserError as e:
            told[name]["refused"] = str(e)
    return told


def _groups(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group, name in pairs:
        found.setdefault(group, []).append(name)
    return dict(sorted(found.items()))


def _table(scores: Scores, groups: dict[str, list[str]]) -> dict[str, Any]:
    return {group: {"sequences": len(names), **scores.mean(names)} for group, names in groups.items() if names}
