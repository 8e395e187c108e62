"""A step that is not finite: it stops the run, is kept, and runs again as it was."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console
from safetensors import safe_open
from safetensors.numpy import save_file

from ostrack_jax.checkpoint.steps import STEPS, TrainCheckpoints
from ostrack_jax.cli.main import main
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import record
from ostrack_jax.training import trainer
from ostrack_jax.training.logging import read_events
from ostrack_jax.training.replay import run_again
from tests.training.conftest import trained, with_train

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]

ELEMENT, STEP = 1, 3


@pytest.fixture(scope="module")
def stopped(whole, run_config, tmp_path_factory):
    """A run in which one true box of one step was not a number, saved after every step: its workdir and its error."""
    workdir, place, calls = tmp_path_factory.mktemp("stopped"), trainer.place, iter(range(1, 100))

    def poisoned(batch, mesh):
        if next(calls) == STEP + 1:  # after two steps and a validation
            batch["search_box"][ELEMENT, 1] = np.nan
        return place(batch, mesh)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "place", poisoned)
        with pytest.raises(UserError) as e:
            trained(with_train(run_config, save_minutes=1e-9), workdir)
    return workdir, str(e.value)


def contents(path):
    with safe_open(path, framework="numpy") as f:
        return f.metadata(), {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118


def test_the_run_stops_and_names_the_step(stopped):
    workdir, error = stopped
    assert error.startswith(f"step {STEP}: loss or gradient not finite; the run stops here. The step is kept: ")
    assert f"ostrack train --replay {workdir}/replay_{STEP}.safetensors" in error
    assert error.endswith(f"ended at step {STEP - 1}, saved; the same command resumes the run from there")
    assert "\n" not in error
    assert [event["step"] for event in read_events(workdir, "train")] == [1, 2]
    assert TrainCheckpoints(workdir / STEPS).steps() == [1, 2]


def test_it_is_not_finite_again_and_the_first_nan_is_located(stopped, capsys):
    workdir, _ = stopped
    assert main(["train", "--replay", str(workdir / f"replay_{STEP}.safetensors")]) == 1
    numbers, verdict = capsys.readouterr().out.splitlines()[-2:]  # after JAX's notice that it runs the step op by op
    assert numbers.startswith(f"step {STEP} of tiny: loss nan")
    assert verdict.startswith("not finite; so are in the file batch/search_box; first NaN at ")
    assert "ostrack_jax/geometry/boxes.py" in verdict or "ostrack_jax/training/" in verdict
    assert "invalid value (nan)" in verdict


def test_repaired_it_gives_what_the_run_would_have_given(stopped, whole, run_config, tmp_path):
    """Bit for bit: state, batch and randomness in the file are those of the run."""
    expected = read_events(whole.workdir, "train")[STEP - 1]
    metadata, arrays = contents(stopped[0] / f"replay_{STEP}.safetensors")
    true_box = record(run_config, (STEP - 1) * run_config.train.batch + ELEMENT)["search_box"]
    arrays["batch/search_box"][ELEMENT, 1] = true_box[1]
    save_file(arrays, tmp_path / "repaired.safetensors", metadata)
    out = io.StringIO()
    assert run_again(tmp_path / "repaired.safetensors", Console(file=out, width=200))
    words = out.getvalue().split(f"step {STEP} of tiny: ")[1].split()
    numbers = dict(zip(words[::2], words[1::2], strict=False))
    for name in ("loss", "giou", "l1", "focal", "grad_norm"):
        assert numbers[name] == f"{expected[name]:.9g}", name
    assert words[-1] == "finite"


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 an image", None], ids=["empty", "image", "other"])
def test_files_that_hold_no_step(content, tmp_path, capsys):
    path = tmp_path / "file.safetensors"
    if content is None:
        save_file({"a": np.zeros(3, np.float32)}, path)
    else:
        path.write_bytes(content)
    one_line(["--replay", str(path)], capsys, str(path))


def test_files_that_do_not_fit_their_own_config(stopped, tmp_path, capsys):
    metadata, arrays = contents(stopped[0] / f"replay_{STEP}.safetensors")
    few = {name: value for name, value in arrays.items() if name != "state/params/backbone.norm.bias"}
    save_file(few, tmp_path / "few.safetensors", metadata)
    one_line(["--replay", str(tmp_path / "few.safetensors")], capsys, "state/params/backbone.norm.bias")
    save_file(arrays, tmp_path / "odd.safetensors", metadata | {"config": json.dumps({"modle": 1})})
    one_line(["--replay", str(tmp_path / "odd.safetensors")], capsys, "model")


def test_flags_that_do_not_go_together(tmp_path, capsys):
    one_line(["--replay", str(tmp_path / "absent")], capsys, "no file")
    one_line(["--replay", "x", "--workdir", "y"], capsys, "--workdir does not go with --replay")
    one_line(["--config", "tiny"], capsys, "--workdir is required")


def one_line(words, capsys, expected):
    assert main(["train", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ostrack train: error: ")
    assert err.count("\n") == 1
    assert expected in err
