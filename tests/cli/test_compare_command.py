"""`ostrack compare` as a user meets it."""

from __future__ import annotations

import json
import re

import pytest

from ostrack_jax.cli.main import main


@pytest.fixture
def folders(tmp_path):
    for tracker, off in (("truth", 0), ("a", 2), ("b", 9)):
        (tmp_path / tracker).mkdir()
        for name in ("Biker", "Bird1"):
            (tmp_path / tracker / f"{name}.txt").write_text(f"{50 + off},50,20,20\n" * 5)
    return tmp_path


@pytest.fixture
def compare(folders, capsys, monkeypatch):
    monkeypatch.chdir(folders)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words):
        status = main(["compare", *words, "--output", "out"])
        return (status, *capsys.readouterr())

    return call


def test_two_trackers_against_truth_without_pictures(compare, folders):
    status, out, _ = compare("mine=a", "b", "--benchmark", "otb100", "--truth", "truth", "--convention", "otb_toolkit")
    assert status == 0
    assert re.search(r"mine +b +AUC", out)
    told = json.loads((folders / "out/comparison.json").read_text())
    assert list(told["trackers"]) == ["mine", "b"]
    assert told["sequences"]["Biker"]["category"] == "person head"
    assert list(told["conventions"]) == ["otb_toolkit"]
    status, _, _ = compare("a", "--benchmark", "otb100", "--truth", "truth", "--sequences", "Bird1")
    assert status == 0
    assert list(json.loads((folders / "out/comparison.json").read_text())["sequences"]) == ["Bird1"]


def test_classes_are_those_of_the_benchmarks_part(compare, folders):
    for tracker in ("truth", "a"):
        (folders / tracker / "car16.txt").write_text("50,50,20,20\n" * 5)
    words = ("a", "--truth", "truth", "--sequences", "car16")
    assert compare("--benchmark", "uav20l", *words)[0] == 0
    assert json.loads((folders / "out/comparison.json").read_text())["trackers"]["a"]["categories"]["car"]
    status, _, err = compare("--benchmark", "uav123", *words)
    assert (status, "truth holds sequences of otb100 (Biker, Bird1)" in err) == (2, True), "UAV123 has car16_1"


def test_truth_of_several_sets_in_one_folder(compare, folders):
    """OTB's Car2 is no sequence of UAV123, whose car2 lies beside it under its prefix, in truth and results alike."""
    for name, left in (("Car2", 10), ("uav_car2", 90)):
        for tracker in ("truth", "a"):
            (folders / tracker / f"{name}.txt").write_text(f"{left},50,20,20\n" * 5)
    others = {"uav123": "3 of the 4 sequences in truth are not part of uav123, and not scored: Biker, Bird1, Car2"}
    others["otb100"] = "1 of the 4 sequences in truth are not part of otb100, and not scored: uav_car2"
    for benchmark, names in (("uav123", ["car2"]), ("otb100", ["Biker", "Bird1", "Car2"])):
        status, out, err = compare("a", "--benchmark", benchmark, "--truth", "truth")
        assert status == 0, err
        assert f"note: {others[benchmark]}\n" in out
        told = json.loads((folders / "out/comparison.json").read_text())
        assert list(told["sequences"]) == names
        assert told["trackers"]["a"]["sequences"][names[-1]]["success_auc"] == pytest.approx(20 / 21)
    assert told["sequences"]["Car2"]["category"] == "car"


def test_ones_own_folder_is_scored_without_images(compare, folders):
    """By the rules that need no frame size; where none are left, that is said."""
    status, out, _ = compare("a", "b", "--benchmark", "folder", "--truth", "truth")
    assert status == 0
    told = json.loads((folders / "out/comparison.json").read_text())
    assert (told["benchmark"], told["keys"]) == ("folder", ["success_auc", "precision"])
    assert told["trackers"]["a"]["sequences"]["Biker"]["precision"] == 1
    assert "folder, 2 sequences" in out
    assert "note: AO, SR0.5 and SR0.75 are left out: GOT-10k's rules need the frame's size" in out
    for name in ("Biker", "Bird1"):
        (folders / "own" / name).mkdir(parents=True)
        (folders / "truth" / f"{name}.txt").rename(folders / "own" / name / "boxes.txt")
    assert compare("a", "--benchmark", "folder", "--truth", "own")[0] == 0
    assert json.loads((folders / "out/comparison.json").read_text())["trackers"]["a"]["sequences"].keys() == {
        *("Biker", "Bird1")
    }
    status, _, err = compare("a", "--benchmark", "got10k_val", "--truth", "own")
    assert status == 2
    assert err == (
        "ostrack compare: error: got10k_val is scored by GOT-10k's rules, which clip boxes to the frame: expected "
        "--data_dir with the images, not --truth\n"
    )


def test_the_benchmark_may_be_that_of_our_results(compare, folders):
    (folders / "a/run.json").write_text('{"benchmark": "otb100"}')
    assert compare("a", "b", "--truth", "truth")[0] == 0
    (folders / "b/run.json").write_text('{"benchmark": "lasot"}')
    status, _, err = compare("a", "b", "--truth", "truth")
    assert (status, err) == (2, "ostrack compare: error: the results are of lasot and otb100: expected --benchmark\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "expected FOLDER"),
        (("a", "--truth", "truth"), "the results do not name their benchmark: expected --benchmark"),
        (("a", "x=b", "x=a"), "two trackers would be named x: expected NAME=FOLDER"),
        (("a", "--benchmark", "otb100", "--truth", "truth", "--sequences="), "no sequences: expected names of otb100"),
        (("gone",), "no directory of results 'gone'"),
        (("a", "--benchmark", "otb10"), "did you mean 'otb100'"),
        (("a", "--benchmark", "otb100", "--truth", "truth", "--data_dir", "truth"), "expected one of them"),
        (("a", "--benchmark", "otb100", "--truth", "out"), "out"),
        (("a", "--benchmark", "otb100", "--truth", "truth", "--convention", "publshed"), "did you mean 'published'"),
        (("a", "--benchmark", "otb100", "--truth", "truth", "--attributes", "gone"), "gone"),
    ],
)
def test_mistakes_end_in_one_line(compare, words, told):
    status, _, err = compare(*words)
    assert status == 2
    assert err.startswith("ostrack compare: error: ")
    assert err.count("\n") == 1
    assert told in err
