"""The programs of `benchmarks/`: what was measured is on disk when one is ended early."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from ostrack_jax.cli.command import run

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Import one by name, as it is when started as a script."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in [
        name for name, module in sys.modules.items() if (getattr(module, "__file__", "") or "").startswith(str(FOLDER))
    ]:
        del sys.modules[name]


@pytest.mark.parametrize(("calls", "rounds"), [(0, None), (3, 1), (4, 2)])  # two rounds are not measured
def test_a_forward_pass_ended_early_leaves_its_rounds(benchmark, monkeypatch, tmp_path, calls, rounds):
    forward = benchmark("forward")
    made = {"compile_s": 1.5, "parameters": 1, "macs_by_part": {}, "macs_paper": 1e9, "macs_with_products": 1e9}
    left = iter(range(calls))

    def step() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(forward, "_model", lambda *_: (dict(made), step))
    monkeypatch.setattr(forward, "matrix_product", lambda dtype: lambda: None)
    output = tmp_path / "forward.json"
    assert run(forward, ["--models", "tiny", "--output", str(output)], "forward") == 130
    row = json.loads(output.read_text())["models"]["tiny"]
    assert row["compile_s"] == 1.5
    assert row.get("rounds") == rounds
    assert ("median_ms" in row) == (rounds is not None)


def test_a_training_step_ended_early_leaves_the_cases_before(benchmark, monkeypatch, tmp_path):
    train_step = benchmark("train_step")

    def case(config, *_):
        yield {"model": config.name, "compile_s": 2.0}
        if config.model.dtype == "bfloat16":
            raise KeyboardInterrupt
        yield {"model": config.name, "compile_s": 2.0, "dtype": "float32", "batch": 8, "step_s": 1, "over_floor": 1}

    monkeypatch.setattr(train_step, "_case", case)
    output = tmp_path / "steps.json"
    words = ["--models", "tiny", "--dtypes", "float32,bfloat16", "--output", str(output)]
    assert run(train_step, words, "train_step") == 130
    cases = json.loads(output.read_text())["cases"]
    assert [row.get("step_s") for row in cases] == [1, None]


@pytest.mark.slow
def test_reading_a_video_is_measured_in_two_checkouts(benchmark, tmp_path, capsys):
    output = tmp_path / "video.json"
    words = ["--other", str(FOLDER.parent), "--kinds", "avi", "--frames", "100", "--jumps", "5", "--rounds", "1"]
    assert run(benchmark("video"), [*words, "--output", str(output)], "video") == 0
    rows = json.loads(output.read_text())["rows"]
    assert [row["jumps"] for row in rows] == [0, 5]
    for row in rows:
        assert row["rounds"] == 1
        assert 0.05 < row["processors_ratio"] < 20
        assert row["this_clock_s"] > 0
    assert "avi" in capsys.readouterr().out
