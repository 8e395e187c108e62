"""The network against the published one's outputs, every case of the reference files, in float32."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from ostrack_jax.models.weights import model_of

CASES = [
    *((256, case) for case in ("none", "ctr_point", "ctr_rec", "gt_box", "all", "ctr_point_keep85")),
    (384, "none"),
    (384, "ctr_point"),
]


def _model_config(config, case):
    if case == "none":
        return dataclasses.replace(config, eliminate_at=(), keep_ratio=())
    ratio = 0.85 if case.endswith("keep85") else 0.7
    return dataclasses.replace(config, keep_ratio=(ratio,) * 3, template_rows=case.removesuffix("_keep85"))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "case"), CASES)
def test_forward_equals_the_release(size, case, golden, standin):
    config, weights = standin(size)
    reference = golden(f"forward_{size}")
    graph, state = nnx.split(model_of(_model_config(config.model, case), weights))
    forward = jax.jit(lambda state, *crops: nnx.merge(graph, state)(*crops, details=True))
    out = forward(state, reference["template"], reference["search"], reference["template_box"])
    for ours, name, within in (
        (out.score_map, "score_map", 1e-5),
        (out.size_map, "size_map", 1e-5),
        (out.offset_map, "offset_map", 1e-5),
        (out.boxes, "boxes", 1e-5),
        (np.concatenate([out.features.template, out.features.search], axis=1)[..., ::16], "features", 5e-5),
    ):
        np.testing.assert_allclose(ours, reference[f"{case}/{name}"], rtol=0, atol=within, err_msg=name)
    assert len(out.eliminated) == (0 if case == "none" else 3)
    for stage, eliminated in enumerate(out.eliminated):
        np.testing.assert_array_equal(np.sort(eliminated), reference[f"{case}/eliminated_{stage}"])
        everything = np.concatenate([*out.eliminated[: stage + 1], out.kept[stage]], axis=1)
        np.testing.assert_array_equal(
            np.sort(everything), np.broadcast_to(np.arange(everything.shape[1]), everything.shape)
        )
