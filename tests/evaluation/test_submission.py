"""Archives for evaluation servers: as each wants them, and never one that it would refuse."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from ostrack_jax.cli.main import main
from ostrack_jax.evaluation import results, submit
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.io import write_text
from tests import layouts


@pytest.fixture(autouse=True)
def few_are_whole(monkeypatch):
    """Two sequences are the whole benchmark."""
    monkeypatch.setattr(Benchmark, "sequences", 2)


FIRST = [1.0, 2.0, 10.0, 8.0]  # the box of `layouts`


def result(frames=3, seed=0):
    boxes = np.random.default_rng(seed).uniform(1, 20, (frames, 4))
    boxes[0] = FIRST
    return SequenceResult(boxes, np.linspace(0.01, 0.02, frames), np.full(frames, 0.5))


def make(tmp_path, server, write=True):
    """The test part of a server's data set, and results of it."""
    if server == "got10k":
        names = ("GOT-10k_Test_000001", "GOT-10k_Test_000002")
        data = layouts.got10k(tmp_path / "data/test", names)
        for name in names:
            (data / name / "groundtruth.txt").write_text(layouts.BOX)
    else:
        names = ("aaa_0", "b_time")
        layouts.trackingnet(tmp_path / "data", "TEST", names)
    form = submit.find(server).form
    for seed, name in enumerate(names):
        results.write(tmp_path / "results", name, form, result(seed=seed))
    return names


def run_submit(tmp_path, server, *words):
    folders = [str(tmp_path / "results"), "--data_dir", str(tmp_path / "data"), "--output", str(tmp_path / "x.zip")]
    return main(["submit", server, *folders, *words])


def contents(path):
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.read(name).decode() for name in file.namelist()}


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_three_runs_for_got10k(tmp_path, capsys):
    names, before = make(tmp_path, "got10k"), snapshot(tmp_path / "results")
    assert run_submit(tmp_path, "got10k") == 0
    assert "2 sequences, 3 runs each, 6 frames" in capsys.readouterr().out
    found = contents(tmp_path / "x.zip")
    assert list(found) == [f"{n}/{n}_{part}.txt" for n in names for part in ("001", "002", "003", "time")]
    for seed, name in enumerate(names):
        runs = [found[f"{name}/{name}_{run}.txt"] for run in ("001", "002", "003")]
        assert (
            runs[0]
            == runs[1]
            == runs[2]
            == "".join(",".join(f"{v:.4f}" for v in row) + "\n" for row in result(seed=seed).boxes_xywh)
        )
        times = np.loadtxt(io.StringIO(found[f"{name}/{name}_time.txt"]), delimiter=",")
        np.testing.assert_allclose(times, np.repeat(result().times_s[:, None], 3, axis=1), atol=1e-8)
    assert snapshot(tmp_path / "results") == before


@pytest.mark.parametrize(
    ("records", "say"),
    [
        ([], "one-shot or not: training sets unknown"),
        ([(("got10k",), "done")], "one-shot: trained on got10k alone"),
        ([(("got10k", "lasot"), "done")], "NOT ONE-SHOT: trained on got10k, lasot"),
        ([(("got10k",), "done"), (("lasot",), "failed")], "one-shot: trained on got10k alone"),
        ([(None, "done")], "one-shot or not: training sets unknown"),
    ],
)
def test_it_says_what_the_weights_were_trained_on(tmp_path, capsys, records, say):
    make(tmp_path, "got10k")
    for i, (sets, state) in enumerate(records):
        data = {name: {"reader": name, "use": "train"} for name in sets or ()}
        told = {"process": str(i), "started": "now", "sequences": {"a": state}, "config": sets and {"data": data}}
        write_text(tmp_path / f"results/processes/{i}.json", json.dumps(told))
    assert run_submit(tmp_path, "got10k") == 0
    assert capsys.readouterr().out.splitlines()[1] == say


def test_the_got10k_toolkit_reads_the_archive(tmp_path):
    """It finds runs by this pattern, and reads them by `loadtxt` with commas."""
    (name, _) = make(tmp_path, "got10k")
    assert run_submit(tmp_path, "got10k", "--runs", "1") == 0
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        file.extractall(tmp_path / "unpacked")
    (run,) = (tmp_path / "unpacked" / name).glob(f"{name}_[0-9]*.txt")
    assert np.loadtxt(run, delimiter=",").shape == (3, 4)
    assert np.loadtxt(tmp_path / "unpacked" / name / f"{name}_time.txt", delimiter=",").shape == (3,)


def test_trackingnet_is_flat_and_whole_pixels_are_cut(tmp_path):
    names = make(tmp_path, "trackingnet")
    assert run_submit(tmp_path, "trackingnet", "--whole_pixels") == 0
    found = contents(tmp_path / "x.zip")
    assert list(found) == [f"{name}.txt" for name in names]
    for seed, name in enumerate(names):
        rows = result(seed=seed).boxes_xywh.astype(int)  # towards zero, as the release's `astype(int)`
        assert found[f"{name}.txt"] == "".join(",".join(map(str, row)) + "\n" for row in rows)


def test_the_same_results_make_the_same_archive(tmp_path):
    make(tmp_path, "trackingnet")
    assert run_submit(tmp_path, "trackingnet") == 0
    one = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").unlink()
    assert run_submit(tmp_path, "trackingnet") == 0
    assert (tmp_path / "x.zip").read_bytes() == one


def refused(tmp_path, capsys, server, *words, say=()):
    """One line, status 2, and no archive nor any rest of one."""
    before = sorted(tmp_path.iterdir())
    assert run_submit(tmp_path, server, *words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    for word in say:
        assert word in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("spoil", "say"),
    [
        (lambda r: SequenceResult(r.boxes_xywh[:2], r.times_s[:2], r.scores[:2]), ("2 lines", "3 frames")),
        (lambda r: SequenceResult(r.boxes_xywh + 1, r.times_s, r.scores), ("begins with", "first box is [1.0, 2.0")),
        (
            lambda r: SequenceResult(r.boxes_xywh * [[1], [1], [-1]], r.times_s, r.scores),
            ("line 3", "expected a box"),
        ),
        (
            lambda r: SequenceResult(r.boxes_xywh * [[1], [np.nan], [1]], r.times_s, r.scores),
            ("line 2", "expected a box"),
        ),
    ],
)
def test_what_a_server_would_refuse_is_told_here(tmp_path, capsys, spoil, say):
    names = make(tmp_path, "got10k")
    results.write(tmp_path / "results", names[1], "got10k", spoil(result()))
    refused(tmp_path, capsys, "got10k", say=(f"{names[1]}_001.txt", *say))


@pytest.mark.parametrize(
    ("server", "words"), [("got10k", ()), ("got10k", ("--whole_pixels",)), ("trackingnet", ("--whole_pixels",))]
)
def test_unknown_boxes_and_seconds_are_told(tmp_path, capsys, server, words):
    names, good, form = make(tmp_path, server), result(), {"got10k": "got10k", "trackingnet": "otb"}[server]
    unknown = good.boxes_xywh * [[1], [np.nan], [1]]
    results.write(tmp_path / "results", names[1], form, SequenceResult(unknown, good.times_s, good.scores))
    refused(tmp_path, capsys, server, *words, say=("line 2: expected a box x,y,w,h, found [nan, nan, nan, nan]",))
    for seconds in (np.nan, -1.0):
        times = np.array([1, seconds, 1])
        results.write(
            tmp_path / "results", names[1], form, SequenceResult(result(seed=1).boxes_xywh, times, good.scores)
        )
        if server == "got10k":  # the other server's archive has no times
            refused(tmp_path, capsys, server, *words, say=("_time.txt: expected seconds of at least 0, found",))


def test_mistakes_are_one_line(tmp_path, capsys):
    names = make(tmp_path, "got10k")
    refused(tmp_path, capsys, "got10", say=("unknown server 'got10'", "'got10k'"))
    refused(tmp_path, capsys, "got10k", "--runs", "4", say=("1 to 3",))
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr(Benchmark, "sequences", 180)
        refused(tmp_path, capsys, "got10k", say=("has 2 sequences", "expects 180"))
    refused(tmp_path, capsys, "got10k", "--output", str(tmp_path / "x.tar"), say=(".zip",))
    (tmp_path / f"results/{names[0]}/{names[0]}_001.txt").unlink()
    refused(tmp_path, capsys, "got10k", say=("lacks results of 1 of 2", names[0]))
    (tmp_path / "x.zip").write_text("mine")
    refused(tmp_path, capsys, "got10k", say=("nothing is replaced",))
    assert (tmp_path / "x.zip").read_text() == "mine"
