"""Looks: the tracker's own answers, and what they rest on, each map where it belongs on the grid."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ostrack_jax.models.ostrack import Features, Prediction
from ostrack_jax.models.weights import model_of
from ostrack_jax.tracking.tracker import Tracker
from ostrack_jax.visualization.looks import Looker, attention_maps, discriminative_regions, within_search

BOX = np.array([40.0, 30.0, 20.0, 16.0])


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def looker(small_config, small_weights):
    return Looker(small_config, small_weights)


def test_it_answers_as_the_tracker_does(small_config, small_weights, looker, frames):
    tracker = Tracker(small_config, small_weights)
    tracker.init(frames[0], BOX)
    looker.init(frames[0], BOX)
    last = BOX
    for frame in frames[1:]:
        track, look = tracker.update(frame), looker.look(frame, last)
        np.testing.assert_allclose(look.box_xywh, track.box_xywh, atol=1e-3)
        np.testing.assert_allclose(look.score, track.score, atol=1e-5)
        last = look.box_xywh


def test_what_is_gone_has_neither_attention_nor_a_region(looker, frames):
    looker.init(frames[0], BOX)
    look = looker.look(frames[1], BOX)
    assert [len(positions) for positions in look.eliminated] == [64 - 45]
    gone = np.zeros(64, bool)
    gone[look.eliminated[0]] = True
    before, after = look.attention.reshape(2, 64)
    assert np.isfinite(before).all(), "the stage comes after the first block's attention"
    np.testing.assert_array_equal(np.isnan(after), gone)
    assert before[gone].max() <= before[~gone].min(), "the least attended are gone: the centre's row ranks them"
    assert 0 < np.nansum(after) < 1
    assert (look.regions.reshape(64)[gone] == 0).all()
    assert look.regions.max() > 0


def test_attention_goes_back_to_its_cells():
    attention = np.array([[[9.0, 1, 2, 3, 4], [9.0, 3, 4, 5, 6]]])  # one template token, heads' means 2 3 4 5
    later = np.array([[[9.0, 7, 8], [9.0, 7, 8]]])
    maps = np.zeros((1, 2, 2), np.float32)
    prediction = Prediction(maps, maps, maps, maps, maps, (np.array([[3, 1]]),), (), None, (attention, later))
    found = attention_maps(prediction, (0,), 1)
    np.testing.assert_array_equal(found, [[[2, 3], [4, 5]], [[np.nan, 8], [np.nan, 7]]])


def test_regions_are_the_gradient_times_the_features(small_config, small_weights):
    model = model_of(small_config.model, small_weights)
    rng = np.random.default_rng(1)
    features = jnp.asarray(rng.normal(size=(1, 64, 48)).astype(np.float32))
    maps = jnp.zeros((1, 8, 8))
    seen = Prediction(maps, maps, maps, maps, maps)
    seen = seen._replace(features=Features(features, features))

    def share(values):
        return jax.nn.log_softmax(model.head.score(values.reshape(1, 8, 8, 48), None).reshape(-1))[19]

    with jax.default_matmul_precision("highest"):
        found = discriminative_regions(model, seen, jnp.int32(19))
        cell = 20  # F_i * ds/dF_i is how s changes along the cell's own features
        along = jnp.zeros_like(features).at[:, cell].set(features[:, cell])
        change = jax.jvp(share, (features,), (along,))[1]
    expected = max(float(change), 0)
    assert expected > 0
    np.testing.assert_allclose(found.reshape(-1)[cell], expected, rtol=1e-3)


def test_a_box_within_the_search_region(small_config):
    inside = within_search(BOX, BOX, small_config.model)
    assert inside is not None
    np.testing.assert_allclose(inside[:2] + inside[2:] / 2, 0.5, atol=0.01)
    np.testing.assert_allclose(inside[2:] * small_config.model.search_factor, BOX[2:] / np.sqrt(320), rtol=0.02)
    assert within_search(np.full(4, np.nan), BOX, small_config.model) is None


def test_a_look_needs_a_template(small_config, small_weights, frames):
    with pytest.raises(RuntimeError, match="no template"):
        Looker(small_config, small_weights).look(frames[0], BOX)
