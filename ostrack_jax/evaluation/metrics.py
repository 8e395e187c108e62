"""Scores of one-pass evaluation. Enters: answered and true boxes. Leaves: shares in 0..1. Pure numpy.

Two conventions, each as the toolkit that published it has it: `got10k_scores` and `otb_scores`. Both take every
sequence of a run and give a `Scores`; they differ in which frames count, in clipping, and in what the mean is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

OVERLAPS = np.linspace(0, 1, 21)
DISTANCES_PX = np.arange(51)
PRECISION_AT_PX = 20
OTB_KEYS = ("success_auc", "precision")

# what each number is, by its key in `Scores` and in reports
MEANING = {
    "ao": "average overlap",
    "sr50": "success rate at overlap 0.5",
    "sr75": "success rate at overlap 0.75",
    "success_auc": "area under the success curve",
    "precision": "share of frames with a centre error of at most 20 pixels",
}


@dataclass(frozen=True, eq=False)
class Answered:
    """One sequence with the answers to it: all that a score needs.

    Attributes:
      name: of the sequence.
      result_xywh: the tracker's boxes in pixels; row 0 is the ground truth it started with.
      truth_xywh: the ground truth; NaN where not annotated.
      counted: the frames a convention may count; the first is the convention's own affair.
      size_wh: width and height of the frame in pixels.
    """

    name: str
    result_xywh: Float[np.ndarray, "t 4"]
    truth_xywh: Float[np.ndarray, "t 4"]
    counted: Bool[np.ndarray, " t"]
    size_wh: tuple[int, int]


@dataclass(frozen=True)
class Scores:
    """Numbers in 0..1 by their keys of `MEANING`; NaN where no frame counts.

    Attributes:
      overall: of the run.
      sequences: of each sequence alone, by name.
    """

    overall: dict[str, float]
    sequences: dict[str, dict[str, float]]


def got10k_scores(answers: Iterable[Answered]) -> Scores:
    """AO, SR0.5 and SR0.75 by the GOT-10k toolkit's rules (`ExperimentGOT10k.report`, package `got10k` 0.1.3).

    From frame 1 on; both boxes clipped to the frame; success is an overlap strictly above the threshold; the overall
    score pools all frames of all sequences, so that long sequences weigh more.
    """
    overlaps = {}
    for answer in answers:
        size = answer.size_wh
        values = overlap(clip_to_frame(answer.result_xywh, size), clip_to_frame(answer.truth_xywh, size))
        overlaps[answer.name] = values[1:][answer.counted[1:]]
    pooled = np.concatenate([np.zeros(0), *overlaps.values()])
    return Scores(_ao_and_sr(pooled), {name: _ao_and_sr(values) for name, values in overlaps.items()})


def otb_scores(answers: Iterable[Answered]) -> Scores:
    """Success AUC and precision by the GOT-10k toolkit's OTB rules (`ExperimentOTB.report`, package `got10k` 0.1.3).

    All frames, the first with the box it started with; nothing is clipped; AUC is the mean of the success curve at 21
    thresholds (strictly above), precision the share with a centre error of at most 20 pixels; the overall score is
    the mean over sequences.
    """
    sequences = {}
    for answer in answers:
        result, truth = answer.result_xywh[answer.counted], answer.truth_xywh[answer.counted]
        success = success_curve(overlap(result, truth))
        precision = precision_curve(centre_error_px(result, truth))
        sequences[answer.name] = {
            "success_auc": float(success.mean()),
            "precision": float(precision[PRECISION_AT_PX]),
        }
    return Scores({key: _mean_known([s[key] for s in sequences.values()]) for key in OTB_KEYS}, sequences)


def combine(*several: Scores) -> Scores:
    """The numbers of several conventions for the same sequences side by side."""
    overall = {key: value for scores in several for key, value in scores.overall.items()}
    sequences: dict[str, dict[str, float]] = {}
    for scores in several:
        for name, numbers in scores.sequences.items():
            sequences.setdefault(name, {}).update(numbers)
    return Scores(overall, sequences)


def clip_to_frame(boxes_xywh: Float[np.ndarray, "t 4"], size_wh: tuple[int, int]) -> Float[np.ndarray, "t 4"]:
    """Clip as the GOT-10k toolkit does (`rect_iou` with a bound).

    Left and top go to the frame, then the size is cut there: a box that begins left of the frame is moved, not cut.
    """
    size = np.asarray(size_wh, np.float64)
    low = np.clip(boxes_xywh[:, :2], 0, size)
    return np.concatenate([low, np.clip(boxes_xywh[:, 2:], 0, size - low)], axis=1)


def overlap(a_xywh: Float[np.ndarray, "t 4"], b_xywh: Float[np.ndarray, "t 4"]) -> Float[np.ndarray, " t"]:
    """Intersection over union with exclusive edges and eps in the union, as the GOT-10k toolkit's `rect_iou`.

    NaN where a box is.
    """
    low = np.maximum(a_xywh[:, :2], b_xywh[:, :2])
    high = np.minimum(a_xywh[:, :2] + a_xywh[:, 2:], b_xywh[:, :2] + b_xywh[:, 2:])
    intersection = np.maximum(high - low, 0).prod(axis=1)
    union = a_xywh[:, 2:].prod(axis=1) + b_xywh[:, 2:].prod(axis=1) - intersection
    return np.clip(intersection / (union + np.finfo(float).eps), 0, 1)


def centre_error_px(a_xywh: Float[np.ndarray, "t 4"], b_xywh: Float[np.ndarray, "t 4"]) -> Float[np.ndarray, " t"]:
    """Distance of the centres x + (w - 1)/2, y + (h - 1)/2 in pixels, as the GOT-10k toolkit's `center_error`."""
    difference = (a_xywh[:, :2] + (a_xywh[:, 2:] - 1) / 2) - (b_xywh[:, :2] + (b_xywh[:, 2:] - 1) / 2)
    return np.sqrt((difference**2).sum(axis=1))


def success_curve(overlaps: Float[np.ndarray, " t"]) -> Float[np.ndarray, " 21"]:
    """Share of frames with an overlap strictly above each of `OVERLAPS`; a NaN is a miss. NaN without frames."""
    return _shares(overlaps[:, None] > OVERLAPS)


def precision_curve(errors_px: Float[np.ndarray, " t"]) -> Float[np.ndarray, " 51"]:
    """Share of frames with a centre error of at most each of `DISTANCES_PX`; a NaN is a miss. NaN without frames."""
    return _shares(errors_px[:, None] <= DISTANCES_PX)


def _shares(hits: Bool[np.ndarray, "t thresholds"]) -> Float[np.ndarray, " thresholds"]:
    return hits.mean(axis=0) if len(hits) else np.full(hits.shape[1], np.nan)


def _ao_and_sr(overlaps: Float[np.ndarray, " t"]) -> dict[str, float]:
    shares = _shares(overlaps[:, None] > np.array([0.5, 0.75]))
    average = float(overlaps.mean()) if len(overlaps) else float("nan")
    return {"ao": average, "sr50": float(shares[0]), "sr75": float(shares[1])}


def _mean_known(values: list[float]) -> float:
    """The mean over sequences, without those in which no frame counts."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
