"""From a shipped config to checkpoints: train, resume, and the tracker made from it."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from ostrack_jax.checkpoint.files import load_config, load_weights, sha256
from ostrack_jax.checkpoint.steps import STEPS, TrainCheckpoints
from ostrack_jax.config import DataConfig
from ostrack_jax.errors import Stopped, UserError
from ostrack_jax.pipeline.loader import Batches
from ostrack_jax.tracking.tracker import Tracker
from ostrack_jax.training import events, feed, logging
from ostrack_jax.training import run as training_run
from ostrack_jax.training.run import Run
from ostrack_jax.training.stop import Stop
from ostrack_jax.training.trainer import train

pytestmark = pytest.mark.usefixtures("quickly_compiled")


@pytest.fixture(scope="module")
def run_config(small_config):
    """Two steps of four pairs an epoch on synthetic sequences."""
    options = {"width": 96, "height": 72, "frames": 24, "sequences": 6}
    data = {name: dataclasses.replace(part, options=options) for name, part in small_config.data.items()}
    short = dataclasses.replace(
        small_config.train, batch=4, epochs=1, pairs_per_epoch=8, validation_pairs=4, log_every=1, warmup_epochs=0.0
    )
    return dataclasses.replace(
        small_config, data=data, train=dataclasses.replace(short, schedule="step", drop_epoch=99)
    )


def _train(config, workdir, **options):
    out = io.StringIO()
    numbers = train(config, workdir, console=Console(file=out, width=200), **options)
    return numbers, out.getvalue()


@pytest.fixture(scope="module")
def trained(run_config, tmp_path_factory):
    """Two epochs in one go."""
    workdir = tmp_path_factory.mktemp("whole")
    config = dataclasses.replace(run_config, train=dataclasses.replace(run_config.train, epochs=2))
    numbers, told = _train(config, workdir)
    return config, workdir, numbers, told


def test_two_and_two_steps_equal_four(trained, run_config, tmp_path):
    config, whole, _, _ = trained
    _train(run_config, tmp_path)
    assert TrainCheckpoints(tmp_path / STEPS).steps() == [2]
    # Saved while the training went on over the same buffers, the whole run's step 2 is this one all the same.
    halfway = [load_weights(path / STEPS / "2")[1] for path in (tmp_path, whole)]
    assert sha256(halfway[0]) == sha256(halfway[1])
    _, told = _train(config, tmp_path)
    assert "from step 2 of" in told
    resumed, straight = (load_weights(path)[1] for path in (tmp_path, whole))
    assert sha256(resumed) == sha256(straight)
    losses = [[event["loss"] for event in events.read(path, "train")] for path in (tmp_path, whole)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


def test_what_a_run_leaves(trained):
    config, workdir, numbers, told = trained
    assert {"loss", "iou", "giou", "l1", "focal", "pairs_per_second", "wait"} <= numbers.keys()
    assert load_config(workdir) == config
    assert [event["epoch"] for event in events.read(workdir, "validation")] == [1, 2]
    assert list((workdir / logging.TENSORBOARD).glob("events*"))
    run, *_ = events.read(workdir)
    assert (run["kind"], run["step"]) == ("run", 0)
    assert run["versions"]["numpy"] == np.__version__
    for event in events.read(workdir, "train"):
        assert event["lr_backbone"] == event["lr"] * config.train.backbone_lr_scale > 0
        assert event["keep_ratio"] == 0.7
        assert 0 <= event["wait"] <= 1
        assert "mfu" not in event  # nobody knows this device's peak
    assert [path.name for path in (workdir / events.PICTURES).iterdir()] == ["epoch_0002.png"]
    assert "epoch 2/2" in told
    assert "pairs/s" in told
    stored, weights = load_weights(workdir / STEPS / "2")
    assert stored == config
    assert sha256(weights) != sha256(load_weights(workdir)[1])


def test_a_finished_run_is_left_as_it_is_and_says_so(trained):
    config, workdir, numbers, _ = trained
    before = (workdir / events.LOG_FILE).read_text()
    again, told = _train(config, workdir, init=workdir)
    assert again == numbers
    assert (workdir / events.LOG_FILE).read_text() == before
    assert f"all 2 epochs are done (step 4 of {workdir}): nothing is left to train" in told
    assert "--config.train.epochs=N above 2" in told
    assert f"notice: --init {workdir} is not used: {workdir} has checkpoints already" in told


def test_the_start_says_what_is_frozen_and_how_many_sequences_are_sampled(trained):
    told = trained[3]
    assert re.search(r"; 0 of [\d,]+ parameters frozen\n", told)
    assert "train: synthetic 6 of 6 sequences\nvalidation: synthetic_val 6 of 6 sequences\n" in told


def test_whatever_ends_a_run_its_newest_step_is_saved_and_the_run_resumes(trained, tmp_path, monkeypatch):
    """Data that cannot be read, SIGTERM while data are waited for, a validation that fails by a mistake in the code."""
    config, whole, _, _ = trained

    def ends(error, match, place=feed, name="place", after=0):
        work, calls = getattr(place, name), iter(range(1, 100))

        def fail(*arguments):
            return error() if next(calls) > after else work(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(place, name, fail)
            with pytest.raises(Exception, match=match) as caught:
                _train(config, tmp_path)
        return caught.value

    def unreadable():
        raise UserError("the images are gone")

    def mistaken():
        raise ZeroDivisionError("by nothing")

    def told_to_stop():
        os.kill(os.getpid(), signal.SIGTERM)
        return False  # no batch is ready yet

    resumes = "saved; the same command resumes the run from there"
    ends(unreadable, f"^the images are gone; ended at step 1, {resumes}$", after=1)  # while the second is placed
    assert isinstance(ends(told_to_stop, f"^stopped by SIGTERM at step 2, {resumes}$", Batches, "ready", 1), Stopped)
    error = ends(mistaken, "by nothing", Run, "validate")
    assert error.__notes__ == [f"ended at step 2, {resumes}"]
    ends(unreadable, f"^the images are gone; ended at step 3, {resumes}$", after=2)
    _train(config, tmp_path)
    resumed, straight = (load_weights(path)[1] for path in (tmp_path, whole))
    assert sha256(resumed) == sha256(straight)
    losses = [[event["loss"] for event in events.read(path) if event["kind"] != "run"] for path in (tmp_path, whole)]
    assert losses[0] == losses[1]


def test_an_epoch_is_saved_before_it_is_validated(run_config, tmp_path, monkeypatch):
    """So a validation that is killed costs nothing; one that came after its step was saved is known from the log."""
    work, found = Run.validate, []

    def validate(run, state, step, *others):
        run.saving.newest.wait()
        found.append(run.saving.newest.steps())
        return work(run, state, step, *others)

    monkeypatch.setattr(Run, "validate", validate)
    numbers = _train(run_config, tmp_path)[0]
    assert _train(run_config, tmp_path)[0] == numbers
    assert found == [[2]]


def test_the_tracker_of_a_run(trained):
    _, workdir, _, _ = trained
    tracker = Tracker.from_checkpoint(workdir)
    frame = np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8)
    tracker.init(frame, (30, 20, 20, 16))
    track = tracker.update(frame)
    assert track.box_xywh.shape == (4,)
    assert 0 < track.score < 1


def test_given_weights_are_where_it_starts(trained, run_config, tmp_path):
    _, workdir, _, _ = trained
    frozen = dataclasses.replace(run_config, train=dataclasses.replace(run_config.train, lr=1e-30, lr_batch=0))
    _, told = _train(frozen, tmp_path, init=workdir)
    assert f"from {workdir}" in told
    given, after = (load_weights(path)[1] for path in (workdir, tmp_path))
    np.testing.assert_array_equal(given["backbone.blocks.0.mlp.fc1.kernel"], after["backbone.blocks.0.mlp.fc1.kernel"])


@pytest.mark.parametrize("every", [{"validate_every": 99}, {"validate_every": 0, "picture_every": 99}], ids=str)
def test_a_validation_set_that_is_missing_is_told_at_once(run_config, tmp_path, every):
    nowhere = DataConfig(reader="got10k", dir=str(tmp_path / "nowhere"), use="validation")
    train_set = {name: data for name, data in run_config.data.items() if data.use == "train"}
    late = dataclasses.replace(run_config.train, epochs=99, **every)
    with pytest.raises(UserError, match="nowhere"):
        _train(dataclasses.replace(run_config, data=train_set | {"val": nowhere}, train=late), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_into_memory_is_told(run_config, tmp_path, monkeypatch):
    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes")

    monkeypatch.setattr(Run, "_executable", full)
    with pytest.raises(UserError, match=r"batch of 4 does not fit .*model\.remat=True"):
        _train(run_config, tmp_path)


def test_a_wish_to_stop_on_a_full_disk_does_not_say_saved(run_config, tmp_path, monkeypatch):
    monkeypatch.setattr(Stop, "requested", lambda stop: True)

    def fail(saving):
        raise UserError("cannot write checkpoints")

    monkeypatch.setattr(TrainCheckpoints, "wait", fail)
    with pytest.raises(UserError, match="cannot write checkpoints"):
        _train(run_config, tmp_path)


def test_a_validation_that_is_not_finite_names_its_pairs_and_is_saved(run_config, tmp_path, monkeypatch):
    def broken(config):
        return jax.jit(
            lambda state, batch, valid, kept: {"loss": state.step * jnp.nan, "finite": False}, static_argnames="kept"
        )

    monkeypatch.setattr(training_run, "make_validation", broken)
    expected = "validation after step 2: loss not finite for one of its pairs 0 to 3; ended at step 2, saved"
    with pytest.raises(UserError, match=expected):
        _train(run_config, tmp_path)
    assert TrainCheckpoints(tmp_path / STEPS).steps() == [2]


def test_another_model_in_the_same_folder_is_refused(trained, run_config):
    _, workdir, _, _ = trained
    other = dataclasses.replace(run_config, model=dataclasses.replace(run_config.model, depth=3))
    with pytest.raises(UserError, match="another model"):
        _train(other, workdir)


def test_weights_that_do_not_fit_are_refused(trained, run_config, tmp_path):
    _, workdir, _, _ = trained
    other = dataclasses.replace(run_config, model=dataclasses.replace(run_config.model, depth=3))
    with pytest.raises(UserError, match=r"missing backbone\.blocks\.2"):
        _train(other, tmp_path, init=workdir)
