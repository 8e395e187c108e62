"""Three training steps of the release."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ostrack_jax.training.schedule import kept_at
from ostrack_jax.training.sharding import make_mesh, place
from ostrack_jax.training.step import init_state, make_step

FIELDS = ("template", "search", "template_box", "search_box")


@pytest.mark.slow
def test_three_steps_equal_the_release(golden, standin):
    """Losses, gradient norms and BatchNorm buffers over three steps at three keep ratios, as a run computes them.

    That is with the counts rounded up, and the surplus tokens seen by none.
    """
    reference = golden("train_256")
    config, weights = standin(256)
    train = dataclasses.replace(config.train, batch=4, lr=4e-5, lr_batch=0, bn_group=0)
    config = dataclasses.replace(config, train=train, model=dataclasses.replace(config.model, drop_path=0.0))
    mesh, step = make_mesh(config), make_step(config, make_mesh(config))
    state = init_state(config, weights, mesh)
    batch = place({name: reference[name] for name in FIELDS}, mesh)
    for i, within in enumerate((2e-4, 5e-4, 1e-3)):
        kept = kept_at(config, min((float(reference["loss/keep_ratio"][i]) - 0.7) / 0.3, 1.0))
        assert (kept.valid is None) == (i == 0)
        valid = None if kept.valid is None else jnp.array(kept.valid)
        state, numbers = step(state, batch, valid, kept=kept.sizes)
        assert float(numbers["loss"]) == pytest.approx(reference["loss/total"][i], rel=within)
        for name in ("giou", "l1", "focal", "iou", "grad_norm"):
            assert float(numbers[name]) == pytest.approx(reference[f"loss/{name}"][i], rel=1e-3), name
        if i == 0:
            _gradients_equal(config, state, float(numbers["grad_norm"]), reference)
    for i in range(4):
        for theirs, ours in (("running_mean", "mean"), ("running_var", "var")):
            buffer = state.buffers[f"head.score.norms.{i}.{ours}"]
            np.testing.assert_allclose(
                buffer, reference[f"after3/box_head.conv{i + 1}_ctr.1.{theirs}"], rtol=5e-4, atol=5e-4
            )
    assert int(state.buffers["head.size.norms.0.count"]) == 1003
    after = reference["after3/backbone.pos_embed_x"][0]
    np.testing.assert_allclose(state.params["backbone.pos_embed_search"][::8, ::16], after, atol=1e-5)


def _gradients_equal(config, state, norm, reference):
    """Every gradient norm of the first step, where above 1e-3, by the release's tensor names.

    Read off AdamW's first moments, which after one step are the clipped gradient times 1 - b1.
    """
    from convert.ostrack import to_release

    moments = jax.device_get(optax.tree.get(state.moments, "mu"))
    clipped = (1 - 0.9) * min(1.0, config.train.clip_norm / norm)
    gradient = {name: value / np.float32(clipped) for name, value in moments.items()}
    named = to_release(gradient | jax.device_get(state.buffers), config)
    compared = 0
    for name, expected in zip(reference["grad_name"], reference["grad_norm"], strict=True):
        if math.isfinite(expected) and expected > 1e-3:
            assert np.linalg.norm(named[str(name)]) == pytest.approx(expected, rel=1e-3), name
            compared += 1
    assert compared > 150
