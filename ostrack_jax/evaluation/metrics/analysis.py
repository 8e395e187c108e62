"""The published analysis: pytracking's, which the OSTrack release scores with.

Rules that all its benchmarks share, in their order: from frame 1 on a result with a zero side repeats the box before;
the result is cut to the truth's length, or filled up with zeros; frame 0 becomes the ground truth. A frame's target is
absent where the truth has no positive size, or by the set's list. Shares are of all frames, success strictly
above 21 overlaps, precision at most 20 pixels, normalised precision at most 0.2 with the centres' difference divided by
the truth's width and height; the mean is over sequences.

How a frame without target counts differs between sets: see `Rules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ostrack_jax.data.annotations import valid
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.metrics import measures
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction, SequenceScores, gather

NUMBERS = ("success_auc", "op50", "op75", "precision", "norm_precision")
CURVES = ("success", "precision", "norm_precision")


@dataclass(frozen=True)
class Rules:
    """How a frame without target counts, and what else differs between sets.

    Attributes:
      success: whether such a frame is a hit at every threshold, for the success curve; ``precision`` and
        ``norm_precision`` for theirs.
      listed_norm_precision: the same for normalised precision of frames on the set's list; None: as the others.
      left_out: the share is of the frames whose target is there; hits among the others are kept all the same, so that
        a curve can pass 1 (the analysis's `exclude_invalid_frames`).
      unknown_truth: NaN in the ground truth is a target that is not there, not an error.
      short: a result that ends early is filled up with zeros; else it is an error.
      miou: give the mean overlap as well; ``miou_misses``: of all frames, with an overlap of 0 where there is no
        target; else of those whose target is there.
    """

    success: bool = False
    precision: bool = False
    norm_precision: bool = True
    listed_norm_precision: bool | None = None
    left_out: bool = False
    unknown_truth: bool = False
    short: bool = True
    miou: bool = False
    miou_misses: bool = False


def published_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """The published analysis: a frame without target is a miss, but a hit of normalised precision (OTB, NFS, ...).

    So it also scores LaSOT_ext, whose absent frames come from the set's list.

    Raises:
      UserError: a NaN or a negative size in a result, a NaN in the ground truth.
    """
    return score(answers, Rules())


def uav_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """The published analysis on UAV123: frames without target are hits of both precisions, NaN truth is allowed."""
    return score(answers, Rules(precision=True, unknown_truth=True))


def tc128_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """The published analysis on TC-128: NaN truth, at which the analysis itself stops, is a frame without target."""
    return score(answers, Rules(unknown_truth=True))


def lasot_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """The published analysis on LaSOT: frames absent by its list are misses; a result that ends early is an error.

    A frame that the list calls present but whose box has no size remains a hit of normalised precision.
    """
    return score(answers, Rules(listed_norm_precision=False, short=False))


def excluding_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """The published analysis with `exclude_invalid_frames`, which changes the divisor alone: curves can pass 1."""
    return score(answers, Rules(left_out=True))


def itb_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """The published analysis with mIoU, its `avg_overlap_all`: the mean over sequences of the mean overlap.

    Of frames with a target, the first included. That the paper's mIoU on ITB is this number is likely, not confirmed.
    """
    return score(answers, Rules(miou=True))


def absent_missed(answers: Iterable[SequencePrediction]) -> Scores:
    """Hypothetical: frames without target are misses everywhere; not a benchmark's official score."""
    return score(answers, Rules(norm_precision=False, unknown_truth=True, miou=True, miou_misses=True))


def absent_left_out(answers: Iterable[SequencePrediction]) -> Scores:
    """Hypothetical: frames without target do not count; not a benchmark's official score."""
    return score(answers, Rules(norm_precision=False, left_out=True, unknown_truth=True, miou=True))


def score(answers: Iterable[SequencePrediction], rules: Rules) -> Scores:
    """Score by any rules; the named functions above are this with theirs."""
    rows = {answer.name: _row(answer, rules) for answer in answers}
    return gather(rows, (*NUMBERS, "miou") if rules.miou else NUMBERS, CURVES)


def prepare(answer: SequencePrediction, rules: Rules) -> Float[np.ndarray, "t 4"]:
    """The result as it is compared: one box a frame of the truth, as this module's docstring describes.

    Raises:
      UserError: see `published_scores`; or a result that ends early where the rules do not allow it.
    """
    truth = answer.truth_xywh
    result = answer.result_xywh[: len(truth)].copy()
    where = f"sequence {answer.name}"
    wrong = np.isnan(answer.result_xywh).any(axis=1) | (answer.result_xywh[:, 2:] < 0).any(axis=1)
    if wrong.any():
        i = int(wrong.argmax())
        found = answer.result_xywh[i].tolist()
        raise UserError(f"{where}: the result's box of frame {i} is {found}, expected numbers and no negative size")
    unknown = np.asarray(np.isnan(truth).any(axis=1))
    if unknown.any() and not rules.unknown_truth:
        i = int(unknown.argmax())
        raise UserError(f"{where}: the ground truth of frame {i} is NaN, which this convention refuses")
    if len(result) < len(truth) and not rules.short:
        raise UserError(f"{where}: {len(result)} boxes in the result, expected {len(truth)}, one a frame")
    empty = (result[:, 2:] == 0).any(axis=1) & ~unknown[: len(result)]
    for i in np.flatnonzero(empty):
        if i > 0:
            result[i] = result[i - 1]
    result = np.concatenate([result, np.zeros((len(truth) - len(result), 4))])
    result[:1] = truth[:1]
    return result


def overlap(result_xywh: Float[np.ndarray, "t 4"], truth_xywh: Float[np.ndarray, "t 4"]) -> Float[np.ndarray, " t"]:
    """Intersection over union in the analysis's own order of operations, to the last bit.

    It takes one pixel off the right and lower edges and adds it again, and clips nothing: a box compared with itself
    can have an overlap of 1 + 2e-16, which is strictly above the last threshold.
    """
    ends = (boxes[:, :2] + boxes[:, 2:] - 1 for boxes in (result_xywh, truth_xywh))
    sides = np.minimum(*ends) - np.maximum(result_xywh[:, :2], truth_xywh[:, :2]) + 1
    intersection = np.maximum(sides, 0).prod(axis=1)
    return intersection / (result_xywh[:, 2:].prod(axis=1) + truth_xywh[:, 2:].prod(axis=1) - intersection)


def _row(answer: SequencePrediction, rules: Rules) -> SequenceScores:
    truth, result = answer.truth_xywh, prepare(answer, rules)
    there = valid(truth)
    norm_precision = np.full(len(truth), rules.norm_precision)
    if answer.present is not None:
        there &= answer.present
        if rules.listed_norm_precision is not None:
            norm_precision[np.logical_not(answer.present)] = rules.listed_norm_precision
    frames = int(there.sum()) if rules.left_out else len(truth)
    overlaps = overlap(result[there], truth[there])
    difference = measures.centre_difference_px(result[there], truth[there])
    distance, relative = (np.sqrt((d**2).sum(axis=1)) for d in (difference, difference / truth[there, 2:]))
    gone = len(truth) - int(there.sum())
    curves = {
        "success": _shares(overlaps[:, None] > measures.OVERLAPS, np.full(gone, rules.success), frames),
        "precision": _shares(distance[:, None] <= measures.DISTANCES_PX, np.full(gone, rules.precision), frames),
        "norm_precision": _shares(relative[:, None] <= measures.RELATIVE_DISTANCES, norm_precision[~there], frames),
    }
    numbers = {
        "success_auc": float(curves["success"].mean()),
        "op50": float(curves["success"][measures.OVERLAP_50]),
        "op75": float(curves["success"][measures.OVERLAP_75]),
        "precision": float(curves["precision"][measures.PRECISION_AT_PX]),
        "norm_precision": float(curves["norm_precision"][measures.NORM_PRECISION_AT]),
    }
    if rules.miou:
        counted = np.append(overlaps, np.zeros(gone)) if rules.miou_misses else overlaps
        numbers["miou"] = float(counted.mean()) if len(counted) else float("nan")
    return SequenceScores(numbers, curves)


def _shares(
    hits: Bool[np.ndarray, "t n"], elsewhere: Bool[np.ndarray, " absent"], frames: int
) -> Float[np.ndarray, " n"]:
    """Share of ``frames`` that hit; ``elsewhere``: whether each frame without target counts as a hit."""
    return (hits.sum(axis=0) + elsewhere.sum()) / frames if frames else np.full(hits.shape[1], np.nan)
