"""The published analysis: equal to its stored output in every odd case; what the other rules make of the same."""

from __future__ import annotations

import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.metrics import analysis as published
from ostrack_jax.evaluation.metrics import conventions
from ostrack_jax.evaluation.metrics.scores import CURVES, MEANING, SequencePrediction

CASES = {
    "plain": published.published_scores,
    "invalid_groundtruth": published.published_scores,
    "invalid_groundtruth_excluded": published.excluding_scores,
    "uav_nan": published.uav_scores,
    "lasot_absent": published.lasot_scores,
    "result_longer": published.published_scores,
    "result_shorter": published.published_scores,
    "zero_size_result": published.published_scores,
}


def of(z, case, name="a"):
    key = f"{case}/visible"
    present = z[key].astype(bool) if key in z else None
    truth = z[f"{case}/groundtruth"]
    return SequencePrediction(name, z[f"{case}/result"], truth, np.ones(len(truth), bool), present=present)


def moving(frames=10, name="a", **more):
    """A truth that stands still, a result that is right but for the last two frames."""
    truth = np.tile([50.0, 50, 20, 10], (frames, 1))
    result = truth.copy()
    result[-2:, 0] += 100
    return SequencePrediction(name, result, truth, np.ones(frames, bool), **more)


@pytest.mark.parametrize("case", CASES)
def test_curves_and_scores_equal_the_reference(golden, case):
    z = golden("metrics")
    scores = CASES[case]([of(z, case)])
    theirs = {"success": "success_curve", "precision": "precision_curve", "norm_precision": "norm_precision_curve"}
    for key, name in theirs.items():
        np.testing.assert_allclose(scores.sequence_curves["a"][key], z[f"{case}/{name}"], atol=1e-6, rtol=0)
        np.testing.assert_allclose(scores.curves[key], z[f"{case}/{name}"], atol=1e-6, rtol=0)
    assert z["score_names"].tolist() == ["AUC", "OP50", "OP75", "Precision", "NormPrecision"]
    assert list(scores.overall) == list(published.NUMBERS)
    np.testing.assert_allclose(100 * np.array(list(scores.overall.values())), z[f"{case}/scores"], atol=1e-4, rtol=0)


def test_overall_is_the_mean_over_sequences(golden):
    z = golden("metrics")
    cases = ("plain", "result_longer", "invalid_groundtruth")
    scores = published.published_scores([of(z, case, case) for case in cases])
    mean = np.mean([z[f"{case}/scores"] for case in cases], axis=0)
    np.testing.assert_allclose(100 * np.array(list(scores.overall.values())), mean, atol=1e-4, rtol=0)
    curve = np.mean([z[f"{case}/norm_precision_curve"] for case in cases], axis=0)
    np.testing.assert_allclose(scores.curves["norm_precision"], curve, atol=1e-6, rtol=0)


def test_mean_overlap_is_of_the_frames_with_a_target():
    answer = moving()
    answer.truth_xywh[5] = 0
    assert published.itb_scores([answer]).overall["miou"] == pytest.approx(7 / 9)
    assert "miou" not in published.published_scores([answer]).overall


def test_what_is_no_box_is_refused():
    for value in (np.nan, -1.0):
        answer = moving()
        answer.result_xywh[4, 2] = value
        with pytest.raises(
            UserError, match=r"sequence a: the result's box of frame 4 is \[50.0, 50.0, (nan|-1.0), 10.0\]"
        ):
            published.published_scores([answer])
    answer = moving()
    answer.truth_xywh[3] = np.nan
    with pytest.raises(UserError, match="ground truth of frame 3 is NaN"):
        published.published_scores([answer])
    published.uav_scores([answer])


def test_only_lasot_refuses_a_result_that_ends_early():
    whole = moving()
    short = SequencePrediction("a", whole.result_xywh[:6], whole.truth_xywh, whole.counted)
    with pytest.raises(UserError, match="6 boxes in the result, expected 10"):
        published.lasot_scores([short])
    assert published.published_scores([short]).overall["precision"] == pytest.approx(0.6)
    longer = SequencePrediction("a", whole.result_xywh, whole.truth_xywh[:6], whole.counted[:6])
    assert published.lasot_scores([longer]).overall["precision"] == 1


def test_the_release_and_its_what_ifs_for_absent_frames():
    """Ten frames: eight right, two wrong; three of the right ones are absent by the set's list."""
    present = np.ones(10, bool)
    present[2:5] = False
    answer = moving(present=present)

    def precisions(convention):
        numbers = convention([answer]).overall
        return [round(numbers[key], 4) for key in ("precision", "norm_precision", "op50")]

    assert precisions(published.published_scores) == [0.5, 0.8, 0.5]
    assert precisions(published.uav_scores) == [0.8, 0.8, 0.5]
    assert precisions(published.lasot_scores) == [0.5, 0.5, 0.5]
    assert precisions(published.excluding_scores) == [0.7143, 1.1429, 0.7143]
    assert precisions(published.absent_missed) == [0.5, 0.5, 0.5]
    assert precisions(published.absent_left_out) == [0.7143, 0.7143, 0.7143]


def test_mean_overlap_obeys_the_same_rule_for_absent_frames():
    """The same ten frames, whose overlap is 1 or 0; the mean is of all or of those with a target."""
    present = np.ones(10, bool)
    present[2:5] = False
    ten = moving(present=present)

    def mious(*conventions):
        return [round(convention([ten]).overall["miou"], 4) for convention in conventions]

    assert mious(published.absent_missed, published.absent_left_out, published.itb_scores) == [0.5, 0.7143, 0.7143]
    gone = moving(5, "gone", present=np.zeros(5, bool))
    assert published.absent_missed([gone]).overall["miou"] == 0
    assert np.isnan(published.absent_left_out([gone]).overall["miou"])


def test_a_sequence_without_target_has_no_number_and_no_weight():
    nothing = moving(5, "nothing", present=np.zeros(5, bool))
    scores = published.absent_left_out([nothing, moving()])
    assert np.isnan(scores.sequences["nothing"]["precision"])
    assert scores.overall["precision"] == pytest.approx(0.8)
    assert np.isnan(scores.mean(["nothing"])["precision"])
    assert np.isnan(scores.mean_curves(["nothing"])["precision"]).all()


def test_every_convention_has_a_name_and_says_what_it_does(golden):
    z = golden("metrics")
    for name, convention in conventions.CONVENTIONS.items():
        assert conventions.choose(["all"])[name] is conventions.choose([name])[name] is convention
        assert len(conventions.meaning(name)) > 20
        plain = of(z, "plain")
        scores = convention([SequencePrediction("a", plain.result_xywh, plain.truth_xywh, plain.counted, (320, 240))])
        assert set(scores.overall) <= set(MEANING)
        assert set(scores.curves) <= set(CURVES)
        for key, curve in scores.curves.items():
            assert len(curve) == len(CURVES[key].thresholds)
            assert CURVES[key].score in scores.overall
    with pytest.raises(UserError, match="unknown convention 'publshed': did you mean 'published'"):
        conventions.choose(["publshed"])
    assert list(conventions.choose(["uav", "lasot", "uav"])) == ["uav", "lasot"]
    assert list(conventions.choose(["uav", "all"])) == list(conventions.CONVENTIONS)
