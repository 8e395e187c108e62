"""Where a run begins: given weights, also of other crop sizes; a checkpoint, also one without an average."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from ostrack_jax.checkpoint.files import load_weights, save_weights, sha256
from ostrack_jax.checkpoint.steps import BEST, STEPS, TrainCheckpoints
from ostrack_jax.errors import UserError
from ostrack_jax.training.checkpoint import RunCheckpoints
from ostrack_jax.training.sharding import make_mesh
from ostrack_jax.training.step import init_state, weights_of

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]


def resume(config, workdir):
    """The state that a run resumes from, what is printed, and its last validation."""
    with RunCheckpoints(config, workdir) as checkpoints:
        state, notices = checkpoints.resume(make_mesh(config))
        return state, "\n".join(notices), checkpoints.validation


def test_fine_tuning_at_other_crop_sizes_is_noticed(small_config, small_weights, tmp_path):
    save_weights(tmp_path / "given", small_weights, small_config)
    model = dataclasses.replace(small_config.model, template_size=48, search_size=96)
    config = dataclasses.replace(small_config, model=model)
    with RunCheckpoints(config, tmp_path / "run") as checkpoints:
        state, notices = checkpoints.start(tmp_path / "given", make_mesh(config))
    assert len(notices) == 2
    assert "backbone.pos_embed_search resized from 8 x 8 to 12 x 12 patches" in notices[1]
    assert int(state.step) == 0
    assert state.params["backbone.pos_embed_search"].shape == (144, 48)
    kernel = "backbone.patch_embed.kernel"
    np.testing.assert_array_equal(state.params[kernel], small_weights[kernel])


def digest(weights):
    return sha256({name: np.asarray(value) for name, value in weights.items()})


@pytest.fixture(scope="module")
def original(small_config, small_weights, tmp_path_factory):
    """A workdir with one checkpoint, of step 5, and its state."""
    workdir = tmp_path_factory.mktemp("saved")
    state = init_state(small_config, small_weights, make_mesh(small_config))
    state = state._replace(step=state.step + 5)
    with RunCheckpoints(small_config, workdir) as checkpoints:
        checkpoints.validation = {"iou": 0.25, "epoch": 1, "step": 5}
        checkpoints.save(state, 5)
        checkpoints.save_if_best(state, 5)
        checkpoints.validation = {"iou": 0.25, "epoch": 2, "step": 6}  # no better
        checkpoints.save_if_best(state, 6)
    return workdir, state


@pytest.fixture
def saved(original, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(original[0], tmp_path / "run"), original[1]


def test_a_run_resumes_from_its_checkpoint(small_config, small_weights, saved):
    workdir, state = saved
    changed = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, epochs=9, lr=1.0))
    found, told, validation = resume(changed, workdir)
    assert (int(found.step), validation) == (5, {"iou": 0.25, "epoch": 1, "step": 5})
    assert "since step 5: config.train.epochs 5 -> 9" in told
    assert f"config.train.lr {small_config.train.lr} -> 1.0" in told
    assert digest(weights_of(found)) == digest(weights_of(state))
    assert TrainCheckpoints(workdir / BEST).steps() == [5]


def test_a_run_resumes_with_less_memory(small_config, saved):
    workdir, state = saved
    less = dataclasses.replace(small_config, model=dataclasses.replace(small_config.model, remat=True, attention="xla"))
    found, told, _ = resume(less, workdir)
    assert "config.model.remat False -> True" in told
    assert digest(weights_of(found)) == digest(weights_of(state))


def test_an_average_may_begin_later_and_end_again(small_config, small_weights, saved):
    workdir, state = saved
    averaged = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, ema=0.9))
    found = resume(averaged, workdir)[0]
    assert found.ema.keys() == found.params.keys()
    assert digest(found.ema) == digest(state.params)
    assert all(found.ema[name] is not found.params[name] for name in found.ema)
    with RunCheckpoints(averaged, workdir) as checkpoints:
        checkpoints.save(found._replace(step=found.step + 1, ema={name: x + 1 for name, x in found.ema.items()}), 6)
    assert digest(load_weights(workdir)[1]) != digest(weights_of(state))  # of the average
    again = resume(small_config, workdir)[0]
    assert again.ema == {}
    assert int(again.step) == 6
    assert digest(weights_of(again)) == digest(weights_of(state))


def test_a_run_with_no_complete_checkpoint_does_not_begin_again(small_config, saved):
    workdir, _ = saved
    for part in (workdir / STEPS / "5").rglob("d/*"):
        part.unlink()
    with pytest.raises(UserError, match="no complete checkpoint in"):
        resume(small_config, workdir)


@pytest.mark.parametrize("change", [{"seed": 1}, {"batch": 3}, {"freeze": ("head.",)}], ids=str)
def test_what_may_not_change_within_a_run_is_refused(small_config, saved, change):
    other = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, **change))
    with pytest.raises(UserError, match=rf"config\.train\.{next(iter(change))}: the run in .* has"):
        resume(other, saved[0])


def test_checksums_of_earlier_versions_are_ignored(small_config, saved):
    """Steps of earlier versions have marks of their tensors and a seal."""
    workdir, state = saved
    file = workdir / STEPS / "5" / "about" / "metadata"
    about = json.loads(file.read_text()) | {"marks": {"params/backbone.norm.scale": 7}, "sha256": "00"}
    file.write_text(json.dumps(about))
    assert digest(weights_of(resume(small_config, workdir)[0])) == digest(weights_of(state))
