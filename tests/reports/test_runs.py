"""Workdirs read for a report, those from elsewhere with care."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.training.report_runs import names, read_runs


def test_what_is_read_of_a_run(workdir):
    (run,) = read_runs([workdir()])
    assert run.name == "run"
    assert run.curves["train/loss"].steps.tolist() == list(range(1, 41))
    assert run.curves["validation/iou"].steps.tolist() == [20, 40]
    assert run.settings["model.keep_ratio"] == "[0.7, 0.7]"
    assert run.number("train.batch") == 8
    assert run.number("name") is None
    assert run.facts[0]["versions.jax"] == "0.10.2"
    assert [name for name, _ in run.pictures] == ["epoch_0002", "epoch_0010"]


def test_names_tell_runs_apart():
    assert names([Path("/a/one"), Path("/a/two")]) == ["one", "two"]
    assert names([Path("/a/run"), Path("/b/run"), Path("/b/other")]) == ["a/run", "b/run", "b/other"]
    assert names([Path("/a/run")]) == ["run"]


def test_only_finite_numbers_become_curves(workdir):
    folder = workdir(points=2)
    odd = ["NaN", "Infinity", "1e999", "true", '"text"', "null", "[1]", "1" * 400, "0.25"]
    lines = [f'{{"kind": "train", "step": {step}, "odd": {value}}}' for step, value in enumerate(odd, 1)]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    (run,) = read_runs([folder])
    assert run.curves["train/odd"].values.tolist() == [0.25]
    assert run.curves["train/odd"].steps.tolist() == [9]


def test_pictures_that_are_none_or_lie_elsewhere_are_left_out(workdir, tmp_path):
    folder = workdir()
    good = (folder / "pictures" / "epoch_0010.png").read_bytes()
    (folder / "pictures" / "epoch_0011.png").write_bytes(b"no picture")
    (folder / "pictures" / "epoch_0012.png").write_bytes(good[:16] + b"\xff\xff\xff\xff" + good[20:])  # so wide
    (tmp_path / "secret.png").write_bytes(good)
    (folder / "pictures" / "epoch_0013.png").symlink_to(tmp_path / "secret.png")
    (folder / "pictures" / "epoch_0014.png").mkdir()
    (run,) = read_runs([folder])
    assert [name for name, _ in run.pictures] == ["epoch_0002", "epoch_0010"]


def test_settings_are_bounded(workdir):
    folder = workdir()
    (folder / "config.json").write_text(json.dumps({"long": "x" * 10_000, **{f"k{i}": i for i in range(5000)}}))
    (run,) = read_runs([folder])
    assert len(run.settings) == 2000
    assert max(map(len, run.settings.values())) == 400
    (folder / "config.json").unlink()
    assert read_runs([folder])[0].settings == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: folder.rename(folder.with_name("gone")), "no folder"),
        (lambda folder: (folder / "log.jsonl").unlink(), r"no log\.jsonl"),
        (lambda folder: (folder / "log.jsonl").write_text('{"kind": "run", "step": 0}\n'), "no numbers yet"),
        (lambda folder: (folder / "config.json").write_text("{"), "is no config"),
        (lambda folder: (folder / "config.json").write_text("[" * 100_000), "is no config"),
    ],
)
def test_what_cannot_be_shown_is_told(workdir, change, said):
    folder = workdir()
    change(folder)
    with pytest.raises(UserError, match=said):
        read_runs([folder])


def test_a_run_given_twice_is_refused(workdir):
    folder = workdir()
    with pytest.raises(UserError, match="twice"):
        read_runs([folder, folder / ".." / folder.name])


def test_values_are_those_of_the_log(workdir):
    folder = workdir()
    (run,) = read_runs([folder])
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    expected = [event["loss"] for event in logged if event["kind"] == "train"]
    np.testing.assert_array_equal(run.curves["train/loss"].values, expected)
