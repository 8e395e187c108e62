"""The report: its keys, its numbers, what is told on the terminal."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ostrack_jax import environment
from ostrack_jax.evaluation import benchmarks, locks, report, runner
from ostrack_jax.evaluation.report_tables import print_report
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.io import write_json

KEYS = [
    *("benchmark", "tracker", "scores", "not_scored", "whole", "notes", "intervals", "curves", "attributes"),
    *("categories", "conventions"),
    *("sequences", "failed", "counts", "speed", "made_by", "config", "weights_sha256", "commit", "versions"),
    *("hardware", "command", "finished", "processes"),
]


@pytest.fixture
def told(tmp_path, oracle, sequence, listed):
    """A run of three sequences, one of which fails, and its report."""
    sequences = listed(sequence("one", 6, 1), sequence("b[r]oken", 4, 2, broken=1), sequence("two", 1, 3))
    protocol, made_by = benchmarks.find("folder"), {"tracker": "oracle", "weights_sha256": "ab"}
    quiet, about = Console(file=io.StringIO()), {"config": {"name": "x"}, "command": "ostrack eval"}
    runner.evaluate(oracle(), protocol, listed(sequence("one", 6, 1)), tmp_path, made_by, quiet, {"command": "before"})
    outcomes = runner.evaluate(oracle(), protocol, sequences, tmp_path, made_by, quiet, about)
    records = locks.read_records(tmp_path)
    return report.build(protocol, outcomes, made_by, compile_seconds=2.5, processes=records, **about)


def test_the_report_tells_which_process_made_what(told):
    by_command = {process["command"]: process for process in told.processes}
    assert told.sequences["one"]["process"] == by_command["before"]["process"]
    assert told.sequences["two"]["process"] == by_command["ostrack eval"]["process"]
    assert [by_command[c]["finished_sequences"] for c in ("before", "ostrack eval")] == [1, 1]
    assert all(process["versions"] and process["hardware"] for process in told.processes)
    assert "config" not in told.processes[0]


def test_what_a_killed_process_has_made_is_its_own():
    records = [
        {"process": "killed", "sequences": {"a": "started", "b": "started"}},
        {"process": "next", "sequences": {"b": "done", "c": "failed"}},
        {"process": "killed too", "sequences": {"b": "started"}},
    ]
    told = report.build(benchmarks.find("otb"), [], {}, processes=records)
    assert [process["finished_sequences"] for process in told.processes] == [0, 1, 0]
    assert report._owners(records) == {"a": "killed", "b": "next"}


def test_the_report_has_its_keys_and_numbers(told):
    assert list(told.to_json()) == KEYS
    assert all(f"`{key}`" in report.__doc__ for key in KEYS)
    assert told.curves["success"][0] == 1
    assert len(told.curves["precision"]) == 51
    assert told.attributes == {}
    assert told.counts == {"done": 1, "skipped": 1, "failed": 1}
    assert told.failed == {"b[r]oken": "cannot read the picture 1.jpg"}
    one = told.sequences["one"]
    assert (one["state"], one["frames"]) == ("skipped", 6)
    assert one["ao"] == pytest.approx(1)
    assert told.scores["ao"] == pytest.approx(1)
    assert told.scores["success_auc"] == pytest.approx(20 / 21)
    # one frame: none that counts for AO, none in `update`
    assert told.sequences["two"]["ao"] is None
    assert told.sequences["two"]["fps"] is None
    assert told.speed["compile_seconds"] == 2.5
    assert told.weights_sha256 == "ab"
    assert told.config == {"name": "x"}


def test_it_is_written_as_strict_json(tmp_path, told):
    write_json(tmp_path / "report.json", told.to_json())
    text = (tmp_path / "report.json").read_text()
    assert json.loads(text) == told.to_json()
    assert "NaN" not in text


def test_what_is_not_finite_is_null():
    assert report.without_nan({"a": [float("inf"), float("nan"), 1.5], "b": (-float("inf"),)}) == {
        "a": [None, None, 1.5],
        "b": [None],
    }


def test_speed_leaves_first_frames_out():
    def result(*times):
        return SequenceResult(np.ones((len(times), 4)), np.array(times), np.ones(len(times)))

    assert report.fps(result(100.0, 0.1, 0.3)) == pytest.approx(5)
    assert report.fps(result(100.0, 0.1, 0.3), result(50.0, 0.1)) == pytest.approx(6)
    assert np.isnan(report.fps(result(100.0)))


def test_the_table_tells_all(told):
    out = io.StringIO()
    print_report(told, Console(file=out, width=80))
    text = out.getvalue()
    assert re.search(r"one \* +6 +100\.0 +100\.0 +100\.0 +95\.24 +100\.0 ", text)
    assert re.search(r"two +1 +- ", text)
    assert re.search(r"all +7 +100\.0", text)
    counts = "1 done, 1 skipped (*, their results were there), 1 failed"
    assert f"{counts}; compiled, or loaded from the cache, in 2.5 s" in " ".join(text.split())
    assert "failed b[r]oken: cannot read the picture 1.jpg" in text


def test_a_run_that_failed_whole_still_reports(tmp_path, oracle, sequence, listed):
    protocol = benchmarks.find("otb")
    outcomes = runner.evaluate(
        oracle(), protocol, listed(sequence("a", 3, broken=0)), tmp_path, {}, Console(file=io.StringIO())
    )
    told = report.build(protocol, outcomes, {})
    assert told.scores == {"success_auc": None, "precision": None}
    assert told.speed["fps"] is None
    print_report(told, Console(file=io.StringIO()))
    json.dumps(told.to_json(), allow_nan=False)


@pytest.mark.parametrize("name", ["got10k_test", "trackingnet"])
def test_results_without_a_public_truth_go_without_scores(tmp_path, oracle, sequence, listed, name):
    protocol = benchmarks.find(name)
    outcomes = runner.evaluate(
        oracle(), protocol, listed(sequence("a", 3)), tmp_path, {}, Console(file=io.StringIO(), width=200)
    )
    told = report.build(protocol, outcomes, {})
    assert told.counts["done"] == 1
    assert (told.scores, list(told.sequences["a"])) == ({}, ["state", "frames", "fps", "process"])
    out = io.StringIO()
    print_report(told, Console(file=out, width=200))
    assert f"not scored: the ground truth is not public; `ostrack submit {name.split('_')[0]}` packs" in out.getvalue()
    assert f"1 of the benchmark's {protocol.sequences} sequences" in out.getvalue()
    json.dumps(told.to_json(), allow_nan=False)


def test_versions_and_hardware():
    versions = environment.versions()
    assert versions["numpy"] == np.__version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(versions) == {"python", "ostrack_jax", "opencv", "jax", "jaxlib", "flax", "numpy"}
    hardware = environment.hardware()
    assert hardware["cores"] >= 1
    assert hardware["cpu"]


def test_the_commit_is_this_checkouts(monkeypatch, tmp_path):
    commit = environment.commit()
    root = Path(__file__).parents[2]
    if (root / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit or "")
    # installed elsewhere, even inside another's checkout, it has none
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "a" / "b.py"))
    assert environment.commit() is None


def test_without_git_there_is_no_commit(monkeypatch):
    def fails(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fails)
    assert environment.commit() is None
