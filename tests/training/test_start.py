"""Where a run begins: given weights, also of other crop sizes; a checkpoint, also one without an average."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from ostrack_jax.checkpoint.files import load_weights, save_weights, sha256
from ostrack_jax.checkpoint.steps import BEST, STEPS, TrainCheckpoints
from ostrack_jax.errors import UserError
from ostrack_jax.training.saving import Saving
from ostrack_jax.training.sharding import make_mesh
from ostrack_jax.training.start import start
from ostrack_jax.training.step import init_state, weights_of


def begin(config, workdir, init=None):
    out = io.StringIO()
    with Saving(config, workdir) as saving:
        found = start(config, workdir, init, make_mesh(config), saving, Console(file=out, width=200))
    return found, out.getvalue()


def test_fine_tuning_at_other_crop_sizes_is_noticed(small_config, small_weights, tmp_path):
    save_weights(tmp_path / "given", small_weights, small_config)
    model = dataclasses.replace(small_config.model, template_size=48, search_size=96)
    found, told = begin(dataclasses.replace(small_config, model=model), tmp_path / "run", tmp_path / "given")
    assert told.count("notice: ") == 2
    assert "backbone.pos_embed_search resized from 8 x 8 to 12 x 12 patches" in told
    assert (found.step, found.validation, found.origin) == (0, None, str(tmp_path / "given"))
    assert found.state.params["backbone.pos_embed_search"].shape == (144, 48)
    kernel = "backbone.patch_embed.kernel"
    np.testing.assert_array_equal(found.state.params[kernel], small_weights[kernel])


def digest(weights):
    return sha256({name: np.asarray(value) for name, value in weights.items()})


@pytest.fixture
def saved(small_config, small_weights, tmp_path):
    """A workdir with one checkpoint, of step 5, and its state."""
    state = init_state(small_config, small_weights, make_mesh(small_config))
    state = state._replace(step=state.step + 5)
    with Saving(small_config, tmp_path) as saving:
        saving.validation = {"iou": 0.25, "epoch": 1, "step": 5}
        saving.save(state, 5)
        saving.save_if_best(state, 5, saving.validation)
        saving.save_if_best(state, 6, {"iou": 0.25, "epoch": 2, "step": 6})  # no better
    return tmp_path, state


def test_a_checkpoint_is_gone_on_with(small_config, small_weights, saved):
    workdir, state = saved
    changed = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, epochs=9, lr=1.0))
    found, told = begin(changed, workdir)
    assert (found.step, int(found.state.step), found.validation) == (5, 5, {"iou": 0.25, "epoch": 1, "step": 5})
    assert "notice: since step 5: config.train.epochs 5 -> 9" in told
    assert f"config.train.lr {small_config.train.lr} -> 1.0" in told
    assert digest(weights_of(found.state)) == digest(weights_of(state))
    assert TrainCheckpoints(workdir / BEST).steps() == [5]


def test_a_run_goes_on_with_less_memory(small_config, saved):
    workdir, state = saved
    less = dataclasses.replace(small_config, model=dataclasses.replace(small_config.model, remat=True, attention="xla"))
    found, told = begin(less, workdir)
    assert "config.model.remat False -> True" in told
    assert digest(weights_of(found.state)) == digest(weights_of(state))


def test_an_average_may_begin_later_and_end_again(small_config, small_weights, saved):
    workdir, state = saved
    averaged = dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, ema=0.9))
    found = begin(averaged, workdir)[0].state
    assert found.ema.keys() == found.params.keys()
    assert digest(found.ema) == digest(state.params)
    assert all(found.ema[name] is not found.params[name] for name in found.ema)
    with Saving(averaged, workdir) as saving:
        saving.save(found._replace(step=found.step + 1, ema={name: x + 1 for name, x in found.ema.items()}), 6)
    assert digest(load_weights(workdir)[1]) != digest(weights_of(state))  # of the average
    again = begin(small_config, workdir)[0].state
    assert again.ema == {}
    assert int(again.step) == 6
    assert digest(weights_of(again)) == digest(weights_of(state))


def test_a_run_with_no_whole_checkpoint_does_not_begin_anew(small_config, saved):
    workdir, _ = saved
    for part in (workdir / STEPS / "5").rglob("d/*"):
        part.unlink()
    with pytest.raises(UserError, match="no whole checkpoint in"):
        begin(small_config, workdir)
