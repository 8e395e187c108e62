"""`ostrack eval` as a user meets it: scores on the terminal, files in the folder, one line for each mistake."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from ostrack_jax.cli.main import main
from ostrack_jax.tracking.baselines import StillTracker
from tests import layouts

BENCHMARK = ("--benchmark", "otb")


@pytest.fixture
def otb(tmp_path):
    """Two short sequences of a target that moves, in OTB's layout."""
    rng = np.random.default_rng(0)
    for name, step in (("Slow", 0), ("Fast", 6)):
        place = tmp_path / "otb" / name / "img"
        place.mkdir(parents=True)
        boxes = []
        for t in range(4):
            frame = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
            cv2.imwrite(str(place / f"{t + 1:04d}.png"), frame)
            boxes.append(f"{10 + step * t}\t20\t12\t16")
        (place.parent / "groundtruth_rect.txt").write_text("\n".join(boxes) + "\n")
    return tmp_path / "otb"


@pytest.fixture
def evaluate(otb, tmp_path, capsys):
    def call(*words):
        status = main(["eval", *BENCHMARK, "--data_dir", str(otb), "--output", str(tmp_path / "out"), *words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_truth_of_the_first_frame_alone_is_noted(otb, tmp_path, capsys):
    """There is nothing to score: dashes, the reason, and no table of dashes alone."""
    for name in ("Slow", "Fast"):
        shutil.copytree(otb / name / "img", tmp_path / "mine" / name)
        (tmp_path / "mine" / name / "boxes.txt").write_text("10,20,12,16\n")
    data = ("--data_dir", str(tmp_path / "mine"))
    note = "note: 2 of 2 sequences (Fast, Slow) have a true box in the first frame alone: their scores mean nothing\n"
    for run in ("a", "b"):
        words = ("--benchmark", "folder", "--tracker", "still", "--output", str(tmp_path / run))
        assert main(["eval", *words, *data]) == 0
        assert note in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), *data, "--output", str(tmp_path / "ab")]) == 0
    out = capsys.readouterr().out
    assert note in out
    assert "pairs" not in out
    assert "interval" not in out


def test_true_boxes_of_another_form_are_noted(evaluate, otb, tmp_path):
    (otb / "Fast/groundtruth_rect.txt").write_text("0.2,0.3,0.25,0.25\n" * 4)
    status, out, err = evaluate("--tracker", "still")
    assert status == 0, err
    (note,) = json.loads((tmp_path / "out/report.json").read_text())["notes"]
    assert note.startswith(
        "the true boxes of 1 of 2 sequences (Fast) are fractions of the frame, 0 to 1: expected pixels"
    )
    assert f"note: {note}\n" in out


@pytest.mark.parametrize("name", sorted(set(layouts.BENCHMARKS) - {"uav20l", "folder", "otb"}))
def test_every_benchmark_by_its_name(tmp_path, capsys, name):
    folder, output = layouts.BENCHMARKS[name](tmp_path / "set"), tmp_path / "out"
    words = ("--tracker", "still", "--benchmark", name, "--data_dir", str(folder), "--output", str(output))
    assert main(["eval", *words]) == 0, capsys.readouterr().err
    told = json.loads((output / "report.json").read_text())
    assert told["failed"] == {}
    if name in ("trackingnet", "got10k_test"):
        assert told["scores"] == {}
        assert "not scored: the ground truth is not public" in capsys.readouterr().out
    elif name != "nfs240":  # whose target moves: it does not move elsewhere
        assert all(value > 0.95 for value in told["scores"].values()), told["scores"]


@pytest.mark.parametrize(
    ("name", "file", "named"),
    [
        ("lasot", "cat/cat-1/out_of_view.txt", "full_occlusion.txt, out_of_view.txt"),
        ("lasot_ext", "atv/atv-1/full_occlusion.txt", "full_occlusion.txt, out_of_view.txt"),
        ("got10k_val", "val/a/cover.label", "cover.label"),
    ],
)
def test_lists_of_absent_frames_that_lack_are_told(tmp_path, capsys, name, file, named):
    def score(output):
        words = ("--tracker", "still", "--benchmark", name, "--data_dir", str(folder), "--output", str(output))
        assert main(["eval", *words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out, json.loads((output / "report.json").read_text())["notes"]

    folder = tmp_path / "set"
    if name == "got10k_val":
        layouts.got10k(folder / "val", labels=True)
    else:
        layouts.BENCHMARKS[name](folder)
    out, notes = score(tmp_path / "whole")
    assert len(notes) == 1
    assert f"note: {notes[0]}\n" in out
    assert "of the benchmark's" in notes[0]
    (folder / file).unlink()
    out, (_, lacking) = score(tmp_path / "lacking")
    assert lacking == (
        f"1 sequences without all lists of absent frames ({named}), which the benchmark's own numbers rest on"
    )
    assert f"note: {lacking}\n" in out


def one_line(done, *words):
    status, _, err = done
    assert status == 2, err
    assert err.startswith("ostrack eval: error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_a_baseline_is_scored_and_its_files_lie_there(evaluate, tmp_path):
    status, out, _ = evaluate("--tracker", "still")
    assert status == 0
    assert "still on otb" in out
    assert "2 done, 0 skipped" in out
    report = json.loads((tmp_path / "out/report.json").read_text())
    # overlaps of `Fast`: 1, 1/3, 0, 0
    assert report["sequences"]["Fast"]["success_auc"] == pytest.approx((20 + 7) / 21 / 4)
    assert report["sequences"]["Slow"]["success_auc"] == pytest.approx(20 / 21)
    assert (tmp_path / "out/Slow.txt").read_text() == "10.0000,20.0000,12.0000,16.0000\n" * 4
    assert "2 skipped" in evaluate("--tracker", "still")[1]


def test_attributes_from_the_files_of_the_set(evaluate, tmp_path):
    folder = tmp_path / "attributes"
    folder.mkdir()
    (folder / "Fast.txt").write_text("0,0,0,0,0,0,1,0,0,0,1\n")
    (folder / "slow.txt").write_text("0,0,0,0,0,0,0,0,0,0,1\n")
    status, _, err = evaluate("--tracker", "still", "--attributes", str(folder))
    assert status == 0, err
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert list(report["attributes"]) == ["fast motion", "low resolution"]
    assert report["attributes"]["fast motion"]["success_auc"] == report["sequences"]["Fast"]["success_auc"]
    assert report["attributes"]["low resolution"]["sequences"] == 2
    (folder / "Fast.txt").write_text("0,1\n")
    status, out, _ = evaluate("--tracker", "still", "--attributes", str(folder))
    assert status == 1
    assert "failed Fast: " in out
    assert "Fast.txt: expected 11 times 0 or 1" in out
    one_line(evaluate("--tracker", "still", "--attributes", str(tmp_path / "otb")), "no attributes of these sequences")
    one_line(evaluate("--tracker", "still", "--attributes", str(tmp_path / "gone")), "gone")


def test_some_sequences_alone(evaluate, tmp_path):
    status, out, _ = evaluate("--tracker", "still", "--sequences", "Fast")
    assert status == 0
    assert "1 done" in out
    assert not (tmp_path / "out/Slow.txt").exists()
    one_line(evaluate("--tracker", "still", "--sequences", "Fast,Slwo"), "'Slwo'", "did you mean 'Slow'")
    one_line(evaluate("--tracker", "still", "--sequences", ""), "--sequences")


def test_a_failed_sequence_makes_the_status_1(evaluate, otb, tmp_path):
    (otb / "Fast/img/0003.png").write_bytes(b"no picture")
    status, out, _ = evaluate("--tracker", "still")
    assert status == 1
    assert "1 done, 0 skipped (*, their results were there), 1 failed" in out
    assert "0003.png" in out
    assert list(json.loads((tmp_path / "out/report.json").read_text())["failed"]) == ["Fast"]


def test_mistakes_are_one_line(evaluate, tmp_path):
    one_line(evaluate("--tracker", "stil"), "unknown tracker 'stil'", "'still'")
    one_line(evaluate("--tracker", "still", "--benchmark", "obt"), "unknown benchmark 'obt'", "'otb'")
    one_line(evaluate("--tracker", "opencv:nano"), "--tracker_files")
    one_line(evaluate(), "--checkpoint", "--tracker", "neither")
    one_line(evaluate("--tracker", "still", "--checkpoint", "x"), "both")
    one_line(evaluate("--tracker", "still", "--config", "tiny"), "--config goes with --checkpoint")
    one_line(evaluate("--checkpoint", str(tmp_path / "nothing")), "no checkpoint at")
    (tmp_path / "file").write_text("")
    one_line(evaluate("--tracker", "still", "--output", str(tmp_path / "file")), "is a file")
    assert not (tmp_path / "out").exists()


def test_a_process_that_says_nothing_sensible_is_told_before_the_work(evaluate, tmp_path):
    (tmp_path / "out/processes").mkdir(parents=True)
    (tmp_path / "out/processes/x.json").write_text("{")
    one_line(evaluate("--tracker", "still"), "x.json is not valid JSON")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["processes"]


def test_another_trackers_results_are_not_mixed_in(evaluate):
    assert evaluate("--tracker", "still")[0] == 0
    one_line(evaluate("--tracker", "opencv:mil"), "holds results of another run", "tracker still there")


@pytest.mark.slow
def test_a_checkpoint_is_scored_and_its_weights_are_named(evaluate, small_weights, tmp_path):
    folder, sha = small_weights
    status, out, err = evaluate("--checkpoint", str(folder))
    assert status == 0, err
    assert "small on otb" in out
    assert "compiled, or loaded from the cache, in" in " ".join(out.split())
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["weights_sha256"] == sha
    assert report["config"]["model"]["width"] == 16
    assert report["speed"]["compile_seconds"] > 0
    assert report["hardware"]["jax_devices"]
    assert len((tmp_path / "out/Fast_score.txt").read_text().splitlines()) == 4
    assert "2 skipped" in evaluate("--checkpoint", str(folder))[1]
    # the published config asks for another network
    one_line(evaluate("--checkpoint", str(folder), "--config", "tiny"), "do not fit the config")


def test_the_same_results_by_other_rules(evaluate, tmp_path):
    status, out, _ = evaluate("--tracker", "still", "--convention", "published,absent_missed")
    assert status == 0
    assert "the same results by other rules" in out
    assert "absent_missed: Hypothetical" in out
    report = json.loads((tmp_path / "out/report.json").read_text())
    rules = report["conventions"]
    # as the toolkit's, but for overlaps of 1 + 2e-16 that are above the last threshold
    assert rules["published"]["scores"]["success_auc"] >= report["scores"]["success_auc"]
    assert rules["published"]["scores"]["precision"] == report["scores"]["precision"]
    assert len(report["curves"]["success"]) == 21
    assert report["intervals"]["success_auc"] is None  # of two sequences
    one_line(evaluate("--tracker", "still", "--convention", "publshed"), "did you mean 'published'")


def test_results_of_two_runs_are_compared(evaluate, otb, tmp_path, capsys):
    assert evaluate("--tracker", "still")[0] == 0
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/slow.txt").write_text("10\t20\t12\t16\n" * 4)
    words = ("--data_dir", str(otb), "--output", str(tmp_path / "compared"))
    assert main(["compare", str(tmp_path / "out"), f"perfect={tmp_path / 'raw'}", *words]) == 0
    assert "1 sequences left out, not all have them: Fast (perfect)" in capsys.readouterr().out
    told = json.loads((tmp_path / "compared/comparison.json").read_text())
    assert (told["benchmark"], list(told["sequences"])) == ("otb", ["Slow"])
    assert told["trackers"]["perfect"]["scores"] == told["trackers"]["out"]["scores"]


def test_a_folder_is_scored_as_shown_or_as_stored_and_never_in_both(tmp_path, capsys, monkeypatch):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(3):
        (photos / f"{i}.jpg").write_bytes(layouts.tagged("jpg", 6, np.zeros((32, 48, 3), np.uint8)))
    (photos / "boxes.txt").write_text("4,20,10,10\n" * 3)
    started, init = [], StillTracker.init

    def record(self, frame, box_xywh):
        started.append(frame.shape[:2])
        init(self, frame, box_xywh)

    monkeypatch.setattr(StillTracker, "init", record)
    words = ["eval", "--tracker", "still", "--benchmark", "folder", "--data_dir", str(tmp_path / "photos"), "--output"]
    assert main([*words, str(tmp_path / "a")]) == 0
    assert main([*words, str(tmp_path / "b"), "--orientation", "stored"]) == 0
    assert started == [(48, 32), (32, 48)]
    assert main([*words, str(tmp_path / "b")]) == 2
    capsys.readouterr()
    assert main(["eval", "--tracker", "still", *BENCHMARK, "--orientation", "shown", "--output", str(tmp_path)]) == 2
    assert "the otb data is read as stored" in capsys.readouterr().err
