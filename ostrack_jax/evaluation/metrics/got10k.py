"""The GOT-10k toolkit's conventions (package `got10k` 0.1.3).

Both count the frames that `SequencePrediction.counted` allows; they differ in the first frame, in clipping, and in
what the mean is over.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.metrics import measures
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction, SequenceScores, gather


def got10k_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """AO, SR0.5 and SR0.75 as `ExperimentGOT10k.report`: covered frames from the second on, pooled over all sequences.

    Both boxes are clipped to the frame; success is an overlap strictly above the threshold; pooling means that long
    sequences weigh more. Of several runs the toolkit pools the frames of all, which is their mean
    (`metrics.scores.average`).

    Raises:
      UserError: a result of another length than the truth (the toolkit stops there too), a frame of unknown size,
        NaN in a box of a frame that counts.
    """
    rows = {}
    for answer in answers:
        size = answer.size_wh
        if size is None:
            raise UserError(f"sequence {answer.name}: GOT-10k's rules clip to the frame, whose size is not known here")
        _check_length(answer)
        result, truth = (measures.clip_to_frame(boxes, size) for boxes in (answer.result_xywh, answer.truth_xywh))
        overlaps = measures.overlap(result, truth)[1:][answer.counted[1:]]
        if np.isnan(overlaps).any():  # the toolkit's own AO of the whole run is NaN then
            raise UserError(f"sequence {answer.name}: NaN in a box of the result or of the ground truth")
        sr50, sr75 = measures.success_curve(overlaps, np.array([0.5, 0.75]))
        average = float(overlaps.mean()) if len(overlaps) else float("nan")
        rows[answer.name] = SequenceScores(
            {"ao": average, "sr50": float(sr50), "sr75": float(sr75)},
            {"success_pooled": measures.success_curve(overlaps, measures.FINE_OVERLAPS)},
            weight=float(len(overlaps)),
        )
    return gather(rows, ("ao", "sr50", "sr75"), ("success_pooled",))


def otb_scores(answers: Iterable[SequencePrediction]) -> Scores:
    """Success AUC and precision as `ExperimentOTB.report`: nothing clipped, the mean over sequences.

    All frames of the OTB benchmarks count, of others those that `SequencePrediction.counted` allows; the first, where
    it counts, with the box it started with. Where no other counts (a truth of the first box alone), nothing does. AUC
    is the mean of the success curve at 21 thresholds (strictly above), precision the share with a centre error of at
    most 20 pixels.

    Raises:
      UserError: a result of another length than the truth (the toolkit stops there too).
    """
    rows = {}
    for answer in answers:
        _check_length(answer)
        result, truth = answer.result_xywh.copy(), answer.truth_xywh
        result[:1] = truth[:1]
        counted = answer.counted & answer.counted[1:].any()
        result, truth = result[counted], truth[counted]
        success = measures.success_curve(measures.overlap(result, truth))
        precision = measures.precision_curve(measures.centre_error_px(result, truth))
        numbers = {"success_auc": float(success.mean()), "precision": float(precision[measures.PRECISION_AT_PX])}
        rows[answer.name] = SequenceScores(numbers, {"success": success, "precision": precision})
    return gather(rows, ("success_auc", "precision"), ("success", "precision"))


def _check_length(answer: SequencePrediction) -> None:
    found, wanted = len(answer.result_xywh), len(answer.truth_xywh)
    if found != wanted:
        raise UserError(f"sequence {answer.name}: {found} boxes in the result, expected {wanted}, one a frame")
