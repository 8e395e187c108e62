"""Files and command lines of an earlier version (commit b7c493a) still work.

`old/b7c493a.tar.xz` was written by that commit: a run of two steps of a small network with averaged weights, its
weights alone, results of it and of the baseline `still` on two synthetic sequences, their comparison, a packed set of
two sequences, and a step that was not finite.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest
from absl import flags as absl_flags

from ostrack_jax.checkpoint import load_weights, sha256
from ostrack_jax.cli import command
from ostrack_jax.cli import main as commands
from ostrack_jax.cli.main import main
from ostrack_jax.data.packed.reader import open_packed

AVERAGES = "3d97401a27b29f9acb5b969627c4cab19877116c8180f61ff491b58c530f5c1e"
SETTINGS = [
    "--config=tiny",
    *(f"--config.model.{setting}" for setting in ("width=16", "depth=2", "heads=2", "head_channels=8")),
    *(f"--config.train.{setting}" for setting in ("pairs_per_epoch=8", "batch=4", "validation_pairs=4", "workers=0")),
    *(f"--config.train.{setting}" for setting in ("log_every=1", "ema=0.9", "picture_every=1")),
    "--config.data.synthetic.options.sequences=4",
    "--config.data.synthetic_val.options.sequences=2",
]
ALONE = ["--config.train.validate_every=0", "--config.train.picture_every=0"]  # fewer compilations
TRACKER = "checkpoint config config_override tracker tracker_files"
FLAGS = {
    "train": "config config_override coordinator init process processes replay workdir",
    "eval": f"attributes batch benchmark convention data_dir output sequences {TRACKER}",
    "profile": "config config_override frame_size frames output",
    "compare": "attributes benchmark convention data_dir output sequences truth",
    "submit": "data_dir output runs whole_pixels",
    "track": f"box output rate {TRACKER}",
    "vot": f"name {TRACKER}",
    "visualize": "box benchmark data_dir checkpoint config config_override frames video output",
    "demo": "output",
    "doctor": "data_dir",
    "data check": "part split decode samples most",
    "data prepare": "output part split crop per_file",
    "report eval": "output data_dir checkpoint show",
    "report train": "output",
    "convert ostrack": "config config_override output export",
    **{f"convert {release}": "config config_override output seed" for release in ("mae", "deit", "augreg", "dinov2")},
}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    directory = tmp_path_factory.mktemp("old")
    with tarfile.open(Path(__file__).parent / "old" / "b7c493a.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.mark.parametrize("words", FLAGS)
def test_every_flag_is_still_there(words):
    module = commands
    for name in words.split():
        module = command.load(module, name)
    flags = absl_flags.FlagValues()
    module.define(flags)
    assert set(FLAGS[words].split()) <= set(flags)


@pytest.mark.parametrize("place", ["run", "run/checkpoints/2", "weights", "weights/weights.safetensors"])
def test_weights_load(old, place):
    config, weights = load_weights(old / place)
    assert sha256(weights) == AVERAGES
    assert (config.model.width, config.train.ema) == (16, 0.9)


def test_a_packed_set_opens(old):
    sequences = open_packed(old / "packed")
    assert list(sequences.names) == ["a", "b"]
    assert sequences[1].frames[3].shape == (24, 32, 3)
    np.testing.assert_array_equal(sequences[0].boxes_xywh, [[3, 4, 10, 9]] * 4)


@pytest.mark.slow
def test_results_are_compared_and_reported(old, tmp_path, capsys):
    words = ["compare", f"{old}/results/ours", f"{old}/results/still", "--output", str(tmp_path / "compared")]
    assert main(words) == 0
    now, before = (json.loads((d / "compared/comparison.json").read_text()) for d in (tmp_path, old))
    assert {name: row["scores"] for name, row in now["trackers"].items()} == {
        name: row["scores"] for name, row in before["trackers"].items()
    }
    for directory in ("results/ours", "compared"):
        assert main(["report", "eval", str(old / directory), "--output", str(tmp_path / directory)]) == 0
        report = json.loads((tmp_path / directory / "report.json").read_text())
        assert "ours" in json.dumps(report)
    assert main(["report", "train", str(old / "run"), "--output", str(tmp_path / "curves")]) == 0
    assert (tmp_path / "curves/report.html").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("quickly_compiled")
def test_results_are_not_tracked_again(old, tmp_path, capsys):
    output = shutil.copytree(old / "results", tmp_path / "results")
    names = "synthetic_test_000000,synthetic_test_000001"
    shared = ["--benchmark", "synthetic", "--sequences", names]
    for name, tracker in (("ours", ["--checkpoint", f"{old}/run"]), ("still", ["--tracker", "still"])):
        assert main(["eval", *tracker, *shared, "--output", f"{output}/{name}"]) == 0
        assert "0 done, 2 skipped" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("quickly_compiled")
def test_a_run_resumes(old, tmp_path, capsys):
    run = shutil.copytree(old / "run", tmp_path / "run")
    assert main(["train", "--workdir", str(run), *SETTINGS, *ALONE, "--config.train.epochs=2"]) == 0
    assert f"step 2 of {run}" in capsys.readouterr().out
    assert (run / "checkpoints" / "4").is_dir()


@pytest.mark.slow
@pytest.mark.usefixtures("quickly_compiled")
def test_a_kept_step_runs_again(old, capsys, monkeypatch):
    monkeypatch.setattr(jax, "debug_nans", lambda _: contextlib.nullcontext())  # which runs every operation apart
    assert main(["train", "--replay", str(old / "replay_2.safetensors")]) == 1
    assert "not finite" in capsys.readouterr().out
