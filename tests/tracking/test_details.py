"""What the network saw: with the tracker's own answers, each map where it belongs on the grid."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.models.ostrack import Features, Prediction
from ostrack_jax.models.weights import model_of
from ostrack_jax.tracking.details import attention_maps, discriminative_regions, within_search
from ostrack_jax.tracking.tracker import Tracker

pytestmark = [pytest.mark.usefixtures("quickly_compiled"), pytest.mark.slow]
BOX = np.array([40.0, 30.0, 20.0, 16.0])


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tracker(small_config, random_weights, quickly_compiled):
    return Tracker(small_config, random_weights, details=True)


def test_it_answers_as_a_tracker_without_details(small_config, random_weights, tracker, frames):
    other = Tracker(small_config, random_weights)
    other.init(frames[0], BOX)
    tracker.init(frames[0], BOX)
    for frame in frames[1:]:
        expected, found = other.update(frame), tracker.update(frame)
        np.testing.assert_allclose(found.box_xywh, expected.box_xywh, atol=1e-3)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-5)
        assert tracker.details().score == found.score
    with pytest.raises(RuntimeError, match="details=True"):
        other.details()
    with pytest.raises(UserError, match="with details exactly 1"):
        Tracker(small_config, random_weights, 2, details=True)


def test_the_search_can_be_put_elsewhere(tracker, frames):
    found = []
    for box in (BOX, BOX + np.array([9, 4, 0, 0]), BOX):
        tracker.init(frames[0], BOX)
        tracker.search_around(0, box)
        tracker.update(frames[1])
        found.append(tracker.details().search)
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0] != found[1]).any()


def test_what_is_gone_has_neither_attention_nor_a_region(tracker, frames):
    tracker.init(frames[0], BOX)
    tracker.update(frames[1])
    seen = tracker.details()
    assert [len(positions) for positions in seen.eliminated] == [64 - 45]
    gone = np.zeros(64, bool)
    gone[seen.eliminated[0]] = True
    before, after = seen.attention.reshape(2, 64)
    assert np.isfinite(before).all(), "the stage comes after the first block's attention"
    np.testing.assert_array_equal(np.isnan(after), gone)
    assert before[gone].max() <= before[~gone].min(), "the least attended are gone: the centre's row ranks them"
    assert 0 < np.nansum(after) < 1
    assert (seen.regions.reshape(64)[gone] == 0).all()
    assert seen.regions.max() > 0


def test_attention_goes_back_to_its_cells():
    attention = np.array([[[9.0, 1, 2, 3, 4], [9.0, 3, 4, 5, 6]]])  # one template token, heads' means 2 3 4 5
    later = np.array([[[9.0, 7, 8], [9.0, 7, 8]]])
    maps = np.zeros((1, 2, 2), np.float32)
    prediction = Prediction(maps, maps, maps, maps, maps, (np.array([[3, 1]]),), (), None, (attention, later))
    found = attention_maps(prediction, (0,), 1)
    np.testing.assert_array_equal(found, [[[2, 3], [4, 5]], [[np.nan, 8], [np.nan, 7]]])


@pytest.mark.slow
def test_regions_are_the_gradient_times_the_features(small_config, random_weights):
    model = model_of(small_config.model, random_weights)
    rng = np.random.default_rng(1)
    features = jnp.asarray(rng.normal(size=(1, 64, 48)).astype(np.float32))
    maps = jnp.zeros((1, 8, 8))
    seen = Prediction(maps, maps, maps, maps, maps)
    seen = seen._replace(features=Features(features, features))

    def share(values):
        return jax.nn.log_softmax(model.head.score(values.reshape(1, 8, 8, 48), None).reshape(-1))[19]

    with jax.default_matmul_precision("highest"):
        found = discriminative_regions(model, seen, jnp.int32(19))
        cell = int(found.argmax())  # F_i * ds/dF_i is how s changes along the cell's own features
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
