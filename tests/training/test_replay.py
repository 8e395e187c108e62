"""A step that is not finite: it stops the run, is explained, kept, and runs again as it was."""

from __future__ import annotations

import dataclasses
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
from ostrack_jax.models.weights import trained_names
from ostrack_jax.training import causes, events, feed
from ostrack_jax.training.replay import run_again
from ostrack_jax.training.schedule import kept_in_epoch
from ostrack_jax.training.sharding import make_mesh
from ostrack_jax.training.step import init_state
from ostrack_jax.training.trainer import train

pytestmark = pytest.mark.usefixtures("quickly_compiled")

ELEMENT, STEP = 2, 3


@pytest.fixture(scope="module")
def config(small_config):
    """Five steps of four pairs in one epoch, a checkpoint after every step."""
    options = {"width": 64, "height": 48, "frames": 24, "sequences": 4}
    data = {name: dataclasses.replace(part, options=options) for name, part in small_config.data.items()}
    short = {"batch": 4, "epochs": 1, "pairs_per_epoch": 20, "validate_every": 0, "picture_every": 0}
    settings = dataclasses.replace(small_config.train, **short, log_every=1, save_minutes=1e-9, warmup_epochs=0.0)
    model = dataclasses.replace(small_config.model, drop_path=0.3)
    return dataclasses.replace(small_config, data=data, model=model, train=settings)


@pytest.fixture(scope="module")
def stopped(config, tmp_path_factory):
    """A run in which one true box of one step was not a number: its workdir, and what it said."""
    workdir, place, calls = tmp_path_factory.mktemp("stopped"), feed.place, iter(range(1, 100))

    def poisoned(batch, mesh):
        if next(calls) == STEP:
            batch["search_box"][ELEMENT, 1] = np.nan
        return place(batch, mesh)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "place", poisoned)
        with pytest.raises(UserError) as e:
            train(config, workdir, console=Console(file=io.StringIO()))
    return workdir, str(e.value)


def test_the_run_stops_and_names_step_and_element(stopped):
    workdir, told = stopped
    assert told.startswith(f"step {STEP}: loss or gradient not finite: batch elements {ELEMENT} (boxes); gradients of ")
    assert f"ostrack train --replay {workdir}/replay_{STEP}.safetensors" in told
    assert told.endswith(f"ended at step {STEP - 1}, saved; the same command resumes the run from there")
    assert "\n" not in told
    assert [event["step"] for event in events.read(workdir, "train")] == [1, 2]
    assert TrainCheckpoints(workdir / STEPS).steps()[-1] == STEP - 1


def test_it_is_not_finite_again(stopped, capsys):
    workdir, _ = stopped
    assert main(["train", "--replay", str(workdir / f"replay_{STEP}.safetensors")]) == 1
    out = capsys.readouterr().out
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    named = {int(row[1]): [cell.strip() for cell in row[2:-1]] for row in rows}
    assert sorted(named) == [0, 1, 2, 3]
    assert named[ELEMENT][-1] == "boxes"
    assert named[ELEMENT][0] == "nan"
    assert all(np.isfinite(float(named[i][0])) and not named[i][-1] for i in (0, 1, 3))
    assert "tensors of the state not finite: none" in out
    assert "backbone.blocks.0.attn.qkv.kernel" in out.split("gradients not finite: ")[1]
    assert f"step {STEP} of tiny: loss nan" in out


def test_repaired_it_gives_what_the_run_would_have_given(stopped, config, tmp_path):
    """Bit for bit: state, batch and randomness in the file are those of the run."""
    train(config, tmp_path, console=Console(file=io.StringIO()))
    expected = events.read(tmp_path, "train")[STEP - 1]
    path = stopped[0] / f"replay_{STEP}.safetensors"
    with safe_open(path, framework="numpy") as f:
        metadata, arrays = f.metadata(), {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    arrays["batch/search_box"][ELEMENT, 1] = _true_box(config)[1]
    save_file(arrays, tmp_path / "repaired.safetensors", metadata)
    told = io.StringIO()
    assert run_again(tmp_path / "repaired.safetensors", Console(file=told, width=200))
    words = told.getvalue().split(f"step {STEP} of tiny: ")[1].split()
    numbers = dict(zip(words[::2], words[1::2], strict=False))
    for name in ("loss", "giou", "l1", "focal", "grad_norm"):
        assert numbers[name] == f"{expected[name]:.9g}", name
    assert "finite" in words


def _true_box(config):
    from ostrack_jax.pipeline.loader import record

    return record(config, (STEP - 1) * config.train.batch + ELEMENT)["search_box"]


def test_weights_that_are_not_finite_are_named(config, small_weights):
    name = "head.score.convs.0.kernel"
    weights = {**small_weights, name: np.full_like(small_weights[name], np.inf)}
    state = init_state(config, weights, make_mesh(config))
    batch = _batch(config)
    found = causes.find(config, state, batch, kept_in_epoch(config, 1))
    assert found.tensors == [f"params/{name}"]
    assert found.sound["boxes"].all()
    assert found.sound["features"].all()  # the backbone is sound
    assert {found.first_broken(i) for i in range(4)} <= {"giou", "l1", "focal"}
    assert found.told().startswith(f"in the weights or the optimizer's state params/{name}; batch elements 0 (")


def test_what_only_all_elements_together_break_is_said(config, small_weights):
    """Boxes of no batch are at fault where the gradient's norm of each is finite and that of all is not."""
    found = causes.Causes({}, {"boxes": np.ones(2, bool)}, [], ["head.score.final.kernel"])
    assert found.told() == "no batch element by itself, only all together; gradients of head.score.final.kernel"
    batch, state = _batch(config), init_state(config, small_weights, make_mesh(config))
    sound = causes.find(config, state, batch, kept_in_epoch(config, 1))
    assert sound.gradients == []
    assert sound.told() == "no batch element by itself, only all together"
    assert sound.elements["loss"].shape == (4,)
    assert trained_names(config.model) == state.params.keys()


def _batch(config):
    rng, b, model = np.random.default_rng(0), config.train.batch, config.model
    sides = {"template": model.template_size, "search": model.search_size}
    batch = {name: rng.integers(0, 256, (b, side, side, 3), np.uint8) for name, side in sides.items()}
    box = np.tile(np.float32([[0.3, 0.35, 0.4, 0.3]]), (b, 1))
    return batch | {"template_box": box, "search_box": box}


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a picture", None], ids=["empty", "picture", "other"])
def test_files_that_hold_no_step(content, tmp_path, capsys):
    path = tmp_path / "file.safetensors"
    if content is None:
        save_file({"a": np.zeros(3, np.float32)}, path)
    else:
        path.write_bytes(content)
    _one_line(["--replay", str(path)], capsys, str(path))


def test_files_that_do_not_fit_their_own_config(stopped, tmp_path, capsys):
    path = stopped[0] / f"replay_{STEP}.safetensors"
    with safe_open(path, framework="numpy") as f:
        metadata, arrays = f.metadata(), {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    few = {name: value for name, value in arrays.items() if name != "state/params/backbone.norm.bias"}
    save_file(few, tmp_path / "few.safetensors", metadata)
    _one_line(["--replay", str(tmp_path / "few.safetensors")], capsys, "state/params/backbone.norm.bias")
    odd = metadata | {"config": json.dumps({"modle": 1})}
    save_file(arrays, tmp_path / "odd.safetensors", odd)
    _one_line(["--replay", str(tmp_path / "odd.safetensors")], capsys, "model")


def test_flags_that_do_not_go_together(tmp_path, capsys):
    _one_line(["--replay", str(tmp_path / "absent")], capsys, "no file")
    _one_line(["--replay", "x", "--workdir", "y"], capsys, "--workdir does not go with --replay")
    _one_line(["--config", "tiny"], capsys, "--workdir is required")


def _one_line(words, capsys, expected):
    assert main(["train", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ostrack train: error: ")
    assert err.count("\n") == 1
    assert expected in err
