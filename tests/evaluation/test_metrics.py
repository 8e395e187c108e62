"""Scores: equal to the stored reference and to the GOT-10k toolkit's package, run offline on the same files."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.metrics import got10k as toolkits
from ostrack_jax.evaluation.metrics import measures
from ostrack_jax.evaluation.metrics import scores as metrics
from ostrack_jax.evaluation.metrics.scores import SequencePrediction
from ostrack_jax.evaluation.results import SequenceResult

SIZE = (320, 240)
BOXES = arrays(np.float64, (6, 4), elements=st.floats(-400, 400).map(lambda v: round(v, 3)))


@pytest.fixture(scope="module")
def toolkit():
    """The package `got10k`, with pictures drawn nowhere."""
    pytest.importorskip("got10k", reason="the GOT-10k toolkit (extra dev)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        import got10k.experiments
        import got10k.utils.metrics
        import matplotlib

        matplotlib.use("Agg")
    return got10k


def answered(result, truth, counted=None, name="a", size=SIZE):
    return SequencePrediction(name, result, truth, np.ones(len(truth), bool) if counted is None else counted, size)


def random_sequence(seed, frames):
    """Truth that wanders out of the frame, a result that drifts from it, and covers with zeros."""
    rng = np.random.default_rng(seed)
    centre = np.cumsum(rng.normal(0, 9, (frames, 2)), axis=0) + np.array([160, 120])
    size = np.exp(rng.normal(0, 0.05, (frames, 2)).cumsum(axis=0)) * rng.uniform(20, 80, 2)
    truth = np.round(np.concatenate([centre - size / 2, size], axis=1), 4)
    result = truth + rng.normal(0, 0.12, (frames, 4)) * np.tile(size, 2)
    result[:, 2:] = np.maximum(result[:, 2:], 1)
    result[0] = truth[0]
    cover = rng.integers(0, 9, frames) * (rng.random(frames) > 0.2)
    return truth, np.round(result, 4), cover


def test_got10k_scores_equal_the_reference(golden):
    z = golden("metrics")
    answers = [
        answered(z[f"got10k_{i}/result"], z[f"got10k_{i}/groundtruth"], z[f"got10k_{i}/cover"] > 0, str(i))
        for i in range(3)
    ]
    assert all(tuple(z[f"got10k_{i}/size"]) == SIZE for i in range(3))
    scores = toolkits.got10k_scores(answers)
    np.testing.assert_allclose(list(scores.overall.values()), z["got10k_overall"], atol=1e-9)
    for i in range(3):
        np.testing.assert_allclose(list(scores.sequences[str(i)].values()), z[f"got10k_{i}/scores"], atol=1e-9)
    assert list(scores.overall) == ["ao", "sr50", "sr75"]


def test_otb_curves_equal_the_reference(golden):
    z = golden("metrics")
    truth, result = z["plain/groundtruth"], z["plain/result"].copy()
    result[0] = truth[0]
    np.testing.assert_allclose(
        measures.success_curve(measures.overlap(result, truth)), z["plain/otb_toolkit_success_curve"], atol=1e-12
    )
    np.testing.assert_allclose(
        measures.precision_curve(measures.centre_error_px(result, truth)),
        z["plain/otb_toolkit_precision_curve"],
        atol=1e-12,
    )
    scores = toolkits.otb_scores([answered(result, truth)])
    assert scores.overall["success_auc"] == pytest.approx(z["plain/otb_toolkit_success_curve"].mean(), abs=1e-12)
    assert scores.overall["precision"] == pytest.approx(z["plain/otb_toolkit_precision_curve"][20], abs=1e-12)


@pytest.fixture
def run(tmp_path):
    """Sequences by name on disk as the toolkit wants them, with our result files."""
    folder, sequences = tmp_path / "data" / "val", {}
    for i, frames in enumerate((40, 25, 90)):
        name = f"GOT-10k_Val_{i:06d}"
        truth, result, cover = random_sequence(i, frames)
        place = folder / name
        place.mkdir(parents=True)
        for t in range(frames):
            (place / f"{t + 1:08d}.jpg").touch()
        np.savetxt(place / "groundtruth.txt", truth, fmt="%.4f", delimiter=",")
        for label, values in (("cover", cover), ("absence", cover == 0), ("cut_by_image", cover < 0)):
            np.savetxt(place / f"{label}.label", values, fmt="%d")
        (place / "meta_info.ini").write_text(f"[METAINFO]\nresolution: {SIZE}\n")
        results.write(
            tmp_path / "out/GOT-10k/ours", name, "got10k", SequenceResult(result, np.full(frames, 0.01), cover / 8)
        )
        results.write(
            tmp_path / "otb/OTB2015/ours", name, "otb", SequenceResult(result, np.full(frames, 0.01), cover / 8)
        )
        sequences[name] = (truth, cover)
    (folder / "list.txt").write_text("\n".join(sequences))
    return tmp_path, sequences


@pytest.mark.filterwarnings("ignore")
def test_got10k_scores_equal_the_toolkits_report_on_the_same_files(toolkit, run):
    folder, sequences = run
    answers = []
    for name, (truth, cover) in sequences.items():
        result = results.read(folder / "out/GOT-10k/ours", name, "got10k")
        answers.append(answered(result.boxes_xywh, truth, cover > 0, name))
    ours = toolkits.got10k_scores(answers)
    experiment = toolkit.experiments.ExperimentGOT10k(
        str(folder / "data"), "val", str(folder / "out"), str(folder / "reports")
    )
    theirs = experiment.report(["ours"])["ours"]
    assert ours.overall["ao"] == pytest.approx(theirs["overall"]["ao"], abs=1e-9)
    assert ours.overall["sr50"] == pytest.approx(theirs["overall"]["sr"], abs=1e-9)
    assert ours.overall["sr75"] == pytest.approx(theirs["overall"]["succ_curve"][75], abs=1e-9)
    for name, numbers in ours.sequences.items():
        assert numbers["ao"] == pytest.approx(theirs["seq_wise"][name]["ao"], abs=1e-9)
        assert numbers["sr50"] == pytest.approx(theirs["seq_wise"][name]["sr"], abs=1e-9)
    assert 0.2 < ours.overall["ao"] < 0.9


@pytest.mark.filterwarnings("ignore")
def test_otb_scores_equal_the_toolkits_report_on_the_same_files(toolkit, run):
    folder, sequences = run
    answers, truths = [], []
    for name, (truth, _) in sequences.items():
        answers.append(answered(results.read(folder / "otb/OTB2015/ours", name, "otb").boxes_xywh, truth, name=name))
        truths.append(([], truth))
    ours = toolkits.otb_scores(answers)

    class Dataset(list):
        seq_names = tuple(sequences)

    experiment = toolkit.experiments.ExperimentOTB.__new__(toolkit.experiments.ExperimentOTB)  # building it downloads
    experiment.dataset, experiment.nbins_iou, experiment.nbins_ce = Dataset(truths), 21, 51
    experiment.result_dir, experiment.report_dir = str(folder / "otb/OTB2015"), str(folder / "reports")
    theirs = experiment.report(["ours"])["ours"]
    assert ours.overall["success_auc"] == pytest.approx(theirs["overall"]["success_score"], abs=1e-9)
    assert ours.overall["precision"] == pytest.approx(theirs["overall"]["precision_score"], abs=1e-9)
    for name, numbers in ours.sequences.items():
        assert numbers["success_auc"] == pytest.approx(theirs["seq_wise"][name]["success_score"], abs=1e-9)
        assert numbers["precision"] == pytest.approx(theirs["seq_wise"][name]["precision_score"], abs=1e-9)


@given(result=BOXES, truth=BOXES)
def test_overlap_and_distance_equal_the_toolkits_for_any_box(toolkit, result, truth):
    rect_iou, centre = toolkit.utils.metrics.rect_iou, toolkit.utils.metrics.center_error
    np.testing.assert_array_equal(measures.overlap(result, truth), rect_iou(result, truth))
    np.testing.assert_array_equal(measures.centre_error_px(result, truth), centre(result, truth))
    # the toolkit clips in place
    ours = measures.overlap(measures.clip_to_frame(result, SIZE), measures.clip_to_frame(truth, SIZE))
    np.testing.assert_array_equal(ours, rect_iou(result.copy(), truth.copy(), bound=SIZE))


def test_success_is_strict_and_precision_is_not():
    truth = np.tile([10.0, 10, 20, 20], (3, 1))
    half = truth * [1, 1, 1, 0.5]  # overlap one half
    far = truth + np.array([20, 0, 0, 0])  # 20 pixels off
    assert toolkits.got10k_scores([answered(half, truth)]).overall["sr50"] == 0
    assert toolkits.got10k_scores([answered(half, truth)]).overall["ao"] == pytest.approx(0.5)
    assert toolkits.otb_scores([answered(half, truth)]).overall["success_auc"] == pytest.approx(
        (20 + 10 + 10) / 63
    )  # first: the truth
    assert toolkits.otb_scores([answered(truth, truth)]).overall["success_auc"] == pytest.approx(20 / 21)
    assert toolkits.otb_scores([answered(far, truth)]).overall["precision"] == 1
    assert toolkits.otb_scores([answered(far + np.array([0.01, 0, 0, 0]), truth)]).overall["precision"] == 1 / 3


def test_got10k_leaves_the_first_frame_out_and_pools_frames():
    truth = np.tile([10.0, 10, 20, 20], (11, 1))
    miss = truth + 100
    miss[0] = truth[0]
    scores = toolkits.got10k_scores([answered(truth[:3], truth[:3], name="hit"), answered(miss, truth, name="miss")])
    assert scores.sequences["miss"]["ao"] == 0
    assert scores.sequences["hit"]["ao"] == pytest.approx(1)
    assert scores.overall["ao"] == pytest.approx(2 / 12)
    both = toolkits.otb_scores([answered(truth[:3], truth[:3], name="hit"), answered(miss, truth, name="miss")])
    assert both.sequences["miss"]["precision"] == pytest.approx(1 / 11)
    assert both.overall["precision"] == pytest.approx((1 + 1 / 11) / 2)


def test_nan_does_not_take_a_sequence_out_of_the_mean():
    """Its overlap would be NaN, and with it the sequence's number, whose weight in the run would be 0."""
    boxes = np.tile([10.0, 10, 20, 20], (3, 1))
    broken = boxes.copy()
    broken[1, 0] = np.nan
    for result, truth in ((broken, boxes), (boxes, broken)):
        answer = SequencePrediction("a", result, truth, np.ones(3, bool), (100, 100))
        with pytest.raises(UserError, match="sequence a: NaN in a box"):
            toolkits.got10k_scores([answer])
        answer = SequencePrediction("a", result, truth, np.array([True, False, True]), (100, 100))
        assert toolkits.got10k_scores([answer]).overall["ao"] == pytest.approx(1)


def test_frames_that_do_not_count_are_left_out():
    truth = np.tile([10.0, 10, 20, 20], (4, 1))
    result = truth.copy()
    result[3] += 100
    truth[2] = np.nan
    counted = np.array([True, True, False, False])
    assert toolkits.got10k_scores([answered(result, truth, counted)]).overall["ao"] == pytest.approx(1)
    assert toolkits.otb_scores([answered(result, truth, counted)]).overall["precision"] == 1


def test_unknown_truth_is_a_miss_where_it_counts():
    truth = np.tile([10.0, 10, 20, 20], (4, 1))
    result = truth.copy()
    truth[2] = np.nan
    assert toolkits.otb_scores([answered(result, truth)]).overall["precision"] == 0.75


@pytest.mark.parametrize("first", [False, True])
def test_without_frames_there_is_no_number(first):
    truth = np.tile([10.0, 10, 20, 20], (3, 1))
    nothing = answered(truth, truth, np.array([first, False, False]), "nothing")  # the first is given, not answered
    for convention in (toolkits.got10k_scores, toolkits.otb_scores):
        assert all(np.isnan(value) for value in convention([nothing]).overall.values())
        assert all(np.isnan(value) for value in convention([]).overall.values())
        scores = convention([nothing, answered(truth, truth, name="all")])
        assert not any(np.isnan(value) for value in scores.overall.values())
        assert all(np.isnan(value) for value in scores.sequences["nothing"].values())


def test_conventions_stand_side_by_side():
    truth = np.tile([10.0, 10, 20, 20], (3, 1))
    answers = [answered(truth, truth, name="a"), answered(truth, truth, name="b")]
    both = metrics.combine(toolkits.got10k_scores(answers), toolkits.otb_scores(answers))
    assert list(both.overall) == ["ao", "sr50", "sr75", "success_auc", "precision"]
    assert set(both.sequences) == {"a", "b"}
    assert list(both.sequences["b"]) == list(both.overall)
