"""From a config to checkpoints: train, resume, end early, and the tracker made from it."""

from __future__ import annotations

import dataclasses
import os
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ostrack_jax.checkpoint.files import load_config, load_weights, sha256
from ostrack_jax.checkpoint.steps import STEPS, TrainCheckpoints
from ostrack_jax.config import DataConfig
from ostrack_jax.errors import Stopped, UserError
from ostrack_jax.pipeline.loader import Batches
from ostrack_jax.tracking.tracker import Tracker
from ostrack_jax.training import trainer
from ostrack_jax.training.logging import IMAGES, LOG_FILE, TENSORBOARD, read_events
from ostrack_jax.training.stop import Stop
from ostrack_jax.training.trainer import Trainer
from tests.training.conftest import trained, with_train

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]
RESUMES = "saved; the same command resumes the run from there"


def losses(workdir):
    return [event["loss"] for event in read_events(workdir) if event["kind"] != "run"]


def test_an_epoch_and_an_epoch_equal_two(whole, run_config, tmp_path, monkeypatch):
    """An epoch is saved before it is validated, so a validation that is killed costs nothing."""
    validate, found = Trainer.validate, []

    def watched(run, epoch):
        run.checkpoints.newest.wait()
        found.append(run.checkpoints.newest.steps())
        validate(run, epoch)

    monkeypatch.setattr(Trainer, "validate", watched)
    first = with_train(run_config, epochs=1)
    numbers = trained(first, tmp_path).numbers
    # A validation that came after its step was saved is known from the log.
    assert trained(first, tmp_path).numbers == numbers
    assert found[0] == [2]
    # Saved while the training went on over the same buffers, the whole run's step 2 is this one all the same.
    halfway = [load_weights(path / STEPS / "2")[1] for path in (tmp_path, whole.workdir)]
    assert sha256(halfway[0]) == sha256(halfway[1])
    assert "from step 2 of" in trained(run_config, tmp_path).printed
    resumed, straight = (load_weights(path)[1] for path in (tmp_path, whole.workdir))
    assert sha256(resumed) == sha256(straight)
    assert losses(tmp_path) == losses(whole.workdir)
    assert len(read_events(tmp_path, "train")) == 4


def test_what_a_run_leaves(whole, run_config):
    workdir, numbers, printed = whole
    assert {"loss", "iou", "giou", "l1", "focal", "pairs_per_second", "wait"} <= numbers.keys()
    assert load_config(workdir) == run_config
    assert [event["epoch"] for event in read_events(workdir, "validation")] == [1, 2]
    assert list((workdir / TENSORBOARD).glob("events*"))
    run, *_ = read_events(workdir)
    assert (run["kind"], run["step"]) == ("run", 0)
    assert run["versions"]["numpy"] == np.__version__
    for event in read_events(workdir, "train"):
        assert event["lr_backbone"] == event["lr"] * run_config.train.backbone_lr_scale > 0
        assert event["keep_ratio"] == 0.7
        assert 0 <= event["wait"] <= 1
        assert "mfu" not in event  # nobody knows this device's peak
    assert [path.name for path in (workdir / IMAGES).iterdir()] == ["epoch_0002.png"]
    assert "epoch 2/2" in printed
    assert "pairs/s" in printed
    assert re.search(r"; 0 of [\d,]+ parameters frozen\n", printed)
    assert "train: synthetic 4 of 4 sequences\nvalidation: synthetic_val 4 of 4 sequences\n" in printed
    stored, weights = load_weights(workdir / STEPS / "2")
    assert stored == run_config
    assert sha256(weights) != sha256(load_weights(workdir)[1])


def test_a_finished_run_is_left_as_it_is_and_described(whole, run_config):
    before = (whole.workdir / LOG_FILE).read_text()
    again = trained(run_config, whole.workdir, init=whole.workdir)
    assert again.numbers == whole.numbers
    assert (whole.workdir / LOG_FILE).read_text() == before
    assert f"all 2 epochs are done (step 4 of {whole.workdir}): nothing is left to train" in again.printed
    assert "--config.train.epochs=N above 2" in again.printed
    assert f"notice: --init {whole.workdir} is not used: {whole.workdir} has checkpoints already" in again.printed


def test_whatever_ends_a_run_its_newest_step_is_saved_and_the_run_resumes(whole, run_config, tmp_path, monkeypatch):
    """Data that cannot be read, SIGTERM while data are waited for, a validation that fails by a mistake in the code."""

    def ends(error, match, place=trainer, name="place", after=0):
        work, calls = getattr(place, name), iter(range(1, 100))

        def fail(*arguments):
            return error() if next(calls) > after else work(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(place, name, fail)
            with pytest.raises(Exception, match=match) as caught:
                trained(run_config, tmp_path)
        return caught.value

    def unreadable():
        raise UserError("the images are gone")

    def mistaken():
        raise ZeroDivisionError("by nothing")

    def stopped():
        os.kill(os.getpid(), signal.SIGTERM)
        return False  # no batch is ready yet

    ends(unreadable, f"^the images are gone; ended at step 1, {RESUMES}$", after=1)  # while the second is placed
    # at the second epoch's first batch, after those of the first epoch's last step and validation
    assert isinstance(ends(stopped, f"^stopped by SIGTERM at step 2, {RESUMES}$", Batches, "ready", 2), Stopped)
    assert ends(mistaken, "by nothing", Trainer, "validate", 1).__notes__ == [f"ended at step 4, {RESUMES}"]
    trained(run_config, tmp_path)
    resumed, straight = (load_weights(path)[1] for path in (tmp_path, whole.workdir))
    assert sha256(resumed) == sha256(straight)
    assert losses(tmp_path) == losses(whole.workdir)


def test_the_tracker_of_a_run(whole):
    tracker = Tracker.from_checkpoint(whole.workdir)
    frame = np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8)
    tracker.init(frame, (30, 20, 20, 16))
    track = tracker.update(frame)
    assert track.box_xywh.shape == (4,)
    assert 0 < track.score < 1


@pytest.mark.parametrize("every", [{"validate_every": 99}, {"validate_every": 0, "picture_every": 99}], ids=str)
def test_a_validation_set_that_is_missing_is_reported_at_once(run_config, tmp_path, every):
    nowhere = DataConfig(reader="got10k", dir=str(tmp_path / "nowhere"), use="validation")
    train_set = {name: data for name, data in run_config.data.items() if data.use == "train"}
    late = dataclasses.replace(with_train(run_config, epochs=99, **every), data=train_set | {"val": nowhere})
    with pytest.raises(UserError, match="nowhere"):
        trained(late, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_into_memory_is_reported(run_config, tmp_path, monkeypatch):
    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes")

    monkeypatch.setattr(Trainer, "compiled", full)
    with pytest.raises(UserError, match=r"batch of 2 does not fit .*model\.remat=True"):
        trained(run_config, tmp_path)


def test_a_run_that_is_stopped_on_a_full_disk_does_not_say_saved(whole, run_config, tmp_path, monkeypatch):
    def stopped(stop):
        raise Stopped("stopped", signal.SIGTERM)

    def fail(saving):
        raise UserError("cannot write checkpoints")

    monkeypatch.setattr(Stop, "after_step", stopped)
    monkeypatch.setattr(TrainCheckpoints, "wait", fail)
    with pytest.raises(UserError, match="cannot write checkpoints"):
        trained(run_config, tmp_path)


def test_a_validation_that_is_not_finite_names_its_pairs_and_is_saved(whole, run_config, tmp_path, monkeypatch):
    def broken(config):
        return jax.jit(
            lambda state, batch, valid, kept: {"loss": state.step * jnp.nan, "finite": False}, static_argnames="kept"
        )

    monkeypatch.setattr(trainer, "make_validation", broken)
    expected = f"validation after step 2: loss not finite for one of its pairs 0 to 1; ended at step 2, {RESUMES}"
    with pytest.raises(UserError, match=expected):
        trained(run_config, tmp_path)
    assert TrainCheckpoints(tmp_path / STEPS).steps() == [2]


def test_another_model_is_refused_by_a_workdir_and_as_weights(whole, run_config, tmp_path):
    other = dataclasses.replace(run_config, model=dataclasses.replace(run_config.model, depth=2))
    with pytest.raises(UserError, match="another model"):
        trained(other, whole.workdir)
    with pytest.raises(UserError, match=r"missing backbone\.blocks\.1"):
        trained(other, tmp_path, init=whole.workdir)


def test_a_step_is_compiled_for_each_size_and_nothing_else_in_the_midst_of_a_run(whole, run_config, tmp_path):
    falling = with_train(run_config, keep_from_epoch=1, keep_until_epoch=2)
    compiled: list[str] = []

    def hear(event: str, seconds: float, **about: str) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(about["fun_name"])

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        printed = trained(falling, tmp_path, init=whole.workdir).printed
    finally:
        jax.monitoring.clear_event_listeners()
    assert compiled.count("jit(step)") == compiled.count("jit(validate)") == 2
    assert compiled.count("jit(predict)") == 1
    later = set(compiled[compiled.index("jit(validate)") + 1 :])
    assert later <= {"jit(step)", "jit(validate)", "jit(predict)"}
    assert re.findall(r"epoch ./2 .* kept (\d+)", printed) == ["16", "12"]
    assert f"from {whole.workdir};" in printed
