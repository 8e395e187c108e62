"""Results in the forms that others publish them in."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.raw_results import open_results
from ostrack_jax.evaluation.results import SequenceResult

BOXES = np.array([[1.5, 2, 30, 40], [2, 3, 31, 41]])


def write(path, separator=",", boxes=BOXES):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join(f"{value:g}" for value in row) + "\n" for row in boxes))


FORMS = {
    "pytracking": lambda folder: (write(folder / "car-1.txt", "\t"), seconds(folder / "car-1_time.txt")),
    "pytracking by set": lambda folder: (write(folder / "lasot/car-1.txt"), seconds(folder / "lasot/car-1_time.txt")),
    "got10k": lambda folder: (
        write(folder / "car-1/car-1_001.txt"),
        write(folder / "car-1/car-1_002.txt", boxes=BOXES + 1),
        (folder / "car-1/car-1_time.txt").write_text("9,9\n0.5,0.6\n"),
    ),
    "otb": lambda folder: (write(folder / "Car_1.txt", " "), seconds(folder / "times/Car_1_time.txt")),
    "lasot toolkit": lambda folder: (write(folder / "X_tracking_result/car-1.txt"), seconds(folder / "car-1_time.txt")),
    "ours, otb": lambda folder: results.write(folder, "car-1", "otb", OURS),
    "ours, got10k": lambda folder: results.write(folder, "car-1", "got10k", OURS),
}
OURS = SequenceResult(BOXES, np.array([9, 0.5]), np.ones(2))


def seconds(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("9\n0.5\n")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(tmp_path, form):
    FORMS[form](tmp_path)
    found = open_results(str(tmp_path))
    np.testing.assert_array_equal(found.runs[0].read("car-1"), BOXES)
    np.testing.assert_array_equal(found.runs[0].read_times("car-1"), [9, 0.5])
    assert found.runs[0].read("car-2") is None
    assert found.runs[0].read_times("car-2") is None


@pytest.mark.parametrize("form", ["otb", "got10k"])
def test_names_that_end_as_other_files_do(tmp_path, form):
    names = ("video_001", "video_002", "video_009", "lap_time", "final_score", "best_conf")
    for i, name in enumerate(names):
        results.write(tmp_path, name, form, SequenceResult(BOXES + i, np.array([9, i + 1.0]), np.ones(2)))
    found = open_results(str(tmp_path))
    for i, name in enumerate(names):
        np.testing.assert_array_equal(found.runs[0].read(name), BOXES + i)
        np.testing.assert_array_equal(found.runs[0].read_times(name), [9, i + 1])
    assert found.runs[0].read("lap") is None
    assert found.runs[0].read("lap_time_time") is None


def test_got10ks_repeated_runs(tmp_path):
    FORMS["got10k"](tmp_path)
    write(tmp_path / "bus-1/bus-1_001.txt")
    found = open_results(str(tmp_path))
    first, second = found.runs
    np.testing.assert_array_equal(second.read("car-1"), BOXES + 1)
    np.testing.assert_array_equal(second.read_times("car-1"), [9, 0.6])
    assert second.read("bus-1") is None
    assert (found.has("bus-1"), found.has("cat-1")) == (True, False)
    np.testing.assert_array_equal(first.read("bus-1"), BOXES)


@pytest.mark.parametrize("given", ["dimp", "dimp/dimp50", "mine=dimp/dimp50"])
def test_runs_in_numbered_folders_as_pytracking_writes_them(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        write(tmp_path / f"dimp/dimp50_{i:03d}/car-1.txt", "\t", BOXES + i)
        seconds(tmp_path / f"dimp/dimp50_{i:03d}/car-1_time.txt")
    found = open_results(given)
    assert found.name == {"dimp": "dimp", "dimp/dimp50": "dimp50"}.get(given, "mine")
    assert [run.read("car-1")[0, 0] for run in found.runs] == [1.5, 2.5, 3.5]
    assert all(run.read_times("car-1").tolist() == [9, 0.5] for run in found.runs)
    assert len(open_results("dimp/dimp50_001").runs) == 1


def test_runs_of_several_trackers_are_told_apart(tmp_path):
    for name in ("dimp50_000", "dimp50_001", "prdimp_000", "prdimp_001"):
        write(tmp_path / name / "car-1.txt")
    with pytest.raises(UserError, match=rf"holds runs of 2 trackers: expected {tmp_path}/dimp50 or {tmp_path}/prdimp"):
        open_results(str(tmp_path))
    assert len(open_results(str(tmp_path / "prdimp")).runs) == 2
    shutil.rmtree(tmp_path / "prdimp_001")  # one folder next to the runs of another
    with pytest.raises(UserError, match="two fit sequence car-1"):
        open_results(str(tmp_path)).has("car-1")


def test_numbered_folders_of_sequences_are_no_runs(tmp_path):
    for i in (1, 2):
        write(tmp_path / f"video_00{i}/video_00{i}_001.txt", boxes=BOXES + i)
        seconds(tmp_path / f"video_00{i}/video_00{i}_time.txt")
    (run,) = open_results(str(tmp_path)).runs
    np.testing.assert_array_equal(run.read("video_002"), BOXES + 2)
    assert run.read_times("video_001") is not None


def test_results_in_a_folder_named_as_they_are_no_runs(tmp_path):
    for i in (1, 2):
        write(tmp_path / f"video/video_00{i}.txt", boxes=BOXES + i)
    found = open_results(str(tmp_path / "video"))
    np.testing.assert_array_equal(found.runs[0].read("video_002"), BOXES + 2)
    first, second = open_results(str(tmp_path)).runs  # GOT-10k's two runs over `video`
    assert first.read("video_002") is None
    np.testing.assert_array_equal(second.read("video"), BOXES + 2)
    np.testing.assert_array_equal(first.read("video"), BOXES + 1)


def test_times_of_another_set_are_none(tmp_path):
    write(tmp_path / "Car2.txt")
    seconds(tmp_path / "Car2_time.txt")
    write(tmp_path / "uav_car2.txt", boxes=BOXES + 1)
    found = open_results(str(tmp_path))
    np.testing.assert_array_equal(found.runs[0].read("car2", "uav"), BOXES + 1)
    assert found.runs[0].read_times("car2", "uav") is None
    np.testing.assert_array_equal(found.runs[0].read_times("Car2", "otb"), [9, 0.5])


def test_trackers_have_names(tmp_path):
    write(tmp_path / "a=b/car-1.txt")
    assert open_results(f"mine={tmp_path}/a=b").name == "mine"
    assert open_results(f"{tmp_path}/a=b").name == "a=b"


def test_the_benchmark_is_that_of_our_own_run(tmp_path):
    write(tmp_path / "car-1.txt")
    assert open_results(str(tmp_path)).benchmark == ""
    for text, benchmark in (
        ('{"benchmark": "lasot"}', "lasot"),
        ("no json", ""),
        ("[1]", ""),
        ("[" * 100_000, ""),
    ):
        (tmp_path / "run.json").write_text(text)
        assert open_results(str(tmp_path)).benchmark == benchmark


def test_times_out_of_reason_are_left_out(tmp_path):
    write(tmp_path / "car-1.txt")
    (tmp_path / "car-1_time.txt").write_text("0.5\nnan\n-1\n0\ninf\n1e308\n0.25\n")
    assert open_results(str(tmp_path)).runs[0].read_times("car-1").tolist() == [0.5, 0.25]


def test_mistakes_are_told(tmp_path):
    with pytest.raises(UserError, match="no directory of results 'gone'"):
        open_results("gone")
    with pytest.raises(UserError, match=f"no results in {tmp_path}"):
        open_results(str(tmp_path))
    write(tmp_path / "one/car-1.txt")
    write(tmp_path / "two/car-1.txt")
    (tmp_path / "two/bus-1.txt").write_text("1,2,3\n")
    (tmp_path / "two/bus-1_time.txt").write_text("quick\n")
    found = open_results(str(tmp_path))
    with pytest.raises(UserError, match="two fit sequence car-1"):
        found.runs[0].read("car-1")
    with pytest.raises(UserError, match=r"bus-1.txt line 1"):
        found.runs[0].read("bus-1")
    with pytest.raises(UserError, match="expected seconds"):
        found.runs[0].read_times("bus-1")


def test_results_of_otbs_matlab_toolkit_by_the_pages_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = np.empty(1, object)
    cell[0] = {"res": BOXES, "type": "rect", "len": len(BOXES)}
    Path("results_OPE").mkdir()
    savemat("results_OPE/jogging-1_ATOM.mat", {"results": cell})
    with pytest.raises(UserError, match="Matlab files"):
        open_results("results_OPE")
    page = (Path(__file__).parents[2] / "docs/scores.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "scores.md", "exec"), {})
    np.testing.assert_array_equal(open_results("raw/ATOM").runs[0].read("Jogging.1", "otb"), BOXES)
