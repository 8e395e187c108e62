"""Benchmarks by name: which frames count, where sequences come from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import benchmarks, submit
from tests import layouts


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(UserError, match=r"unknown benchmark 'got10k-val': did you mean 'got10k_val'"):
        benchmarks.find("got10k-val")


def test_which_frames_count(sequence):
    found = dataclasses.replace(
        sequence("one", 4), visible=np.array([True, False, True, True]), cover=np.array([8, 3, 0, 1])
    )

    def counted(name, of=found):
        return benchmarks.find(name).prediction(of, of.boxes_xywh).counted.tolist()

    assert counted("got10k_val") == [True, True, False, True]
    assert counted("got10k_val", dataclasses.replace(found, cover=None)) == [True, False, True, True]
    assert counted("otb") == [True] * 4
    assert counted("folder") == counted("synthetic") == [True, False, True, True]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("got10k_val", ["ao", "sr50", "sr75"]),
        ("otb", ["success_auc", "precision"]),
        ("otb100", ["success_auc", "op50", "op75", "precision", "norm_precision"]),
        ("itb", ["success_auc", "op50", "op75", "precision", "norm_precision", "miou"]),
        ("folder", ["ao", "sr50", "sr75", "success_auc", "precision"]),
        ("synthetic", ["ao", "sr50", "sr75", "success_auc", "precision"]),
    ],
)
def test_which_scores_it_has(name, keys):
    assert list(benchmarks.find(name).score([]).overall) == keys


def test_every_benchmark_has_a_tiny_folder_in_these_tests():
    assert set(layouts.BENCHMARKS) == set(benchmarks.BENCHMARKS) - {"synthetic"}


@pytest.mark.parametrize("name", layouts.BENCHMARKS)
def test_every_benchmark_opens_its_layout(tmp_path, name):
    sequence = benchmarks.find(name).open(layouts.BENCHMARKS[name](tmp_path))[0]
    np.testing.assert_array_equal(sequence.boxes_xywh[0], [1, 2, 10, 8])
    assert len(sequence.frames) == len(sequence.boxes_xywh) == len(sequence.visible) >= 3
    assert sequence.frames[len(sequence) - 1].shape == (24, 32, 3)


@pytest.mark.parametrize("name", benchmarks.BENCHMARKS)
def test_a_benchmark_has_scores_or_a_server(name):
    benchmark = benchmarks.find(name)
    assert bool(benchmark.conventions) != bool(benchmark.server)
    assert bool(benchmark.not_scored) == bool(benchmark.server)
    assert benchmark.server in ("", *submit.RUNS)


def test_made_up_sequences_need_no_data_and_are_fixed():
    synthetic = benchmarks.find("synthetic")
    sequences = synthetic.open()
    assert len(sequences) == 20
    assert sequences[0].frames[0].shape == (180, 240, 3)
    few = synthetic.open(options={"sequences": 2, "frames": 3})
    assert (len(few), len(few[0])) == (2, 3)
    np.testing.assert_array_equal(few[1].frames[0], synthetic.open(options={"sequences": 3, "frames": 3})[1].frames[0])


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="missing"):
        benchmarks.find("otb").open(tmp_path / "missing")


def test_nan_in_tc128s_truth_is_a_miss(tmp_path):
    benchmark, root = benchmarks.find("tc128"), layouts.tc128(tmp_path)
    (root / "Ball_ce2/ball_ce2_gt.txt").write_text("1,2,10,8\nNaN,NaN,NaN,NaN\n1,2,10,8\n")
    sequence = benchmark.open(root)[0]
    scores = benchmark.score([benchmark.prediction(sequence, np.array([[1.0, 2, 10, 8]] * 3))])
    assert scores.overall["op50"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("inner", ["", "test"])
def test_a_packed_set_is_refused(tmp_path, monkeypatch, inner):
    (tmp_path / inner).mkdir(exist_ok=True)
    (tmp_path / inner / "packed.json").write_text("{}")
    with pytest.raises(UserError, match=f"{tmp_path} is a packed set, for training"):
        benchmarks.find("lasot").open(tmp_path)
    monkeypatch.setenv("OSTRACK_LASOT_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"a benchmark is scored on the lasot data as downloaded"):
        benchmarks.find("lasot").open()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "folder", "sequences", "frames"),
    [("otb100", "otb", 5, 374), ("lasot", "lasot", 1, 60), ("got10k_val", "got10k", 14, 923)],
)
def test_the_real_folders(shared_data, name, folder, sequences, frames):
    benchmark = benchmarks.find(name)
    found = benchmark.open(shared_data / folder)
    assert (len(found), sum(map(len, found))) == (sequences, frames)
    truth = benchmark.score([benchmark.prediction(sequence, sequence.boxes_xywh) for sequence in found]).overall
    still = [benchmark.prediction(sequence, np.tile(sequence.boxes_xywh[0], (len(sequence), 1))) for sequence in found]
    for key, value in benchmark.score(still).overall.items():
        assert truth[key] > 0.95 > 0.8 > value, key
    if name != "got10k_val":
        assert all(sequence.category for sequence in found)
