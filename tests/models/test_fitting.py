"""Weights made at other crop sizes: their positions are resized, nothing else is touched."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as of_models
from ostrack_jax.models.fitting import fitted
from ostrack_jax.models.interpolate import resize_positions


def test_positions_follow_the_crop_sizes(small_config, small_weights):
    larger = dataclasses.replace(small_config.model, template_size=48, search_size=96)
    weights, notices = fitted(larger, small_weights)
    of_models.check(larger, weights)
    positions = small_weights["backbone.pos_embed_search"]
    expected = resize_positions(positions.reshape(8, 8, -1), 12)
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], expected)
    assert notices == [
        "backbone.pos_embed_template resized from 4 x 4 to 6 x 6 patches",
        "backbone.pos_embed_search resized from 8 x 8 to 12 x 12 patches",
    ]
    for name in small_weights.keys() - {"backbone.pos_embed_search", "backbone.pos_embed_template"}:
        assert weights[name] is small_weights[name]


def test_weights_that_fit_stay_as_they_are(small_config, small_weights):
    weights, notices = fitted(small_config.model, small_weights)
    assert weights == small_weights
    assert notices == []


@pytest.mark.parametrize("shape", [(63, 48), (4, 4, 3), (0, 48)])
def test_what_is_no_grid_is_left_to_the_check(small_config, small_weights, shape):
    odd = small_weights | {"backbone.pos_embed_search": np.zeros(shape, np.float32)}
    weights, notices = fitted(small_config.model, odd)
    assert notices == []
    with pytest.raises(UserError, match=r"backbone\.pos_embed_search is"):
        of_models.check(small_config.model, weights)
