"""What if: the same results by rules that other papers use. Enters: `SequencePrediction`s of a run. Leaves: `Scores`.

Six conventions of this project's own, the published analysis but for two choices that change a benchmark's numbers:
what a frame without target counts for all three curves and the mean overlap (a miss, whose overlap is 0; a hit, whose
overlap is 1; or not at all), and whether the mean is over sequences or over all frames in one pool. None is a
benchmark's official score.
"""

from __future__ import annotations

from collections.abc import Iterable

from ostrack_jax.evaluation.metrics.analysis import Rules, score
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction


def absent_missed(answers: Iterable[SequencePrediction]) -> Scores:
    """What if frames without target were misses everywhere; mean over sequences."""
    return score(answers, _rules(False))


def absent_hit(answers: Iterable[SequencePrediction]) -> Scores:
    """What if frames without target were hits everywhere; mean over sequences."""
    return score(answers, _rules(True))


def absent_left_out(answers: Iterable[SequencePrediction]) -> Scores:
    """What if frames without target did not count; mean over sequences."""
    return score(answers, _rules(False, left_out=True))


def absent_missed_pooled(answers: Iterable[SequencePrediction]) -> Scores:
    """What if frames without target were misses everywhere; all frames in one pool."""
    return score(answers, _rules(False, pooled=True))


def absent_hit_pooled(answers: Iterable[SequencePrediction]) -> Scores:
    """What if frames without target were hits everywhere; all frames in one pool."""
    return score(answers, _rules(True, pooled=True))


def absent_left_out_pooled(answers: Iterable[SequencePrediction]) -> Scores:
    """What if frames without target did not count; all frames in one pool."""
    return score(answers, _rules(False, left_out=True, pooled=True))


def _rules(hit: bool, left_out: bool = False, pooled: bool = False) -> Rules:
    """The same verdict for every number; a truth that is not annotated is a target that is not there."""
    return Rules(
        success=hit,
        precision=hit,
        norm_precision=hit,
        left_out=left_out,
        unknown_truth=True,
        miou=True,
        miou_absent=None if left_out else hit,
        pooled=pooled,
    )
