"""Fresh weights: how far the backbone's are spread, and what is not drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ostrack_jax.models.weights import initial_weights

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]


def test_init_std_spreads_the_drawn_weights_of_the_backbone_alone(small_config):
    model = small_config.model
    published, wide = (initial_weights(dataclasses.replace(model, init_std=std), 0) for std in (0.02, 0.1))
    qkv = "backbone.blocks.0.attn.qkv.kernel"
    assert abs(published[qkv].std() / 0.02 - 1) < 0.15  # of a normal cut at two deviations, then scaled
    for name, value in published.items():
        drawn = name.startswith("backbone.") and value.ndim > 1
        np.testing.assert_allclose(wide[name], value * 5 if drawn else value, rtol=1e-6, atol=1e-8, err_msg=name)
        assert wide[name].dtype == value.dtype, name
