"""Intervals by bootstrap over sequences, and two trackers on the same sequences."""

from __future__ import annotations

import numpy as np
import pytest

from ostrack_jax.evaluation.metrics import intervals
from ostrack_jax.evaluation.metrics.scores import SequenceScores, gather


def scores(values, weights=None):
    rows = {
        f"s{i}": SequenceScores({"ao": float(value)}, {}, float(weight))
        for i, (value, weight) in enumerate(
            zip(values, weights if weights is not None else [1] * len(values), strict=True)
        )
    }
    return gather(rows, ("ao",), ())


def test_an_interval_is_that_of_the_mean():
    values = np.random.default_rng(3).uniform(0, 1, 200)
    low, high = intervals.bootstrap(scores(values))["ao"]
    error = values.std() / np.sqrt(200)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert intervals.bootstrap(scores(values))["ao"] == (low, high)  # the seed is fixed
    assert intervals.bootstrap(scores(values), seed=1)["ao"] != (low, high)


def test_weights_count():
    """Nearly all frames are of one sequence: every draw that has it has its number, the others that of the rest."""
    low, high = intervals.bootstrap(scores([0.9] + [0.1] * 9, [1e9] + [1] * 9))["ao"]
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.9))
    even = intervals.bootstrap(scores([0.9] + [0.1] * 9))["ao"]
    assert even[1] < 0.8


def test_no_interval_of_fewer_than_ten_sequences():
    values = list(np.linspace(0.2, 0.8, 9))
    for few in ([], [0.5], values, [*values, np.nan]):
        assert intervals.bootstrap(scores(few))["ao"] is None
        assert intervals.paired(scores(few), scores(few), "ao").interval is None
    assert intervals.bootstrap(scores([*values, 0.5]))["ao"] is not None


def test_a_pair_is_compared_on_the_same_draws():
    """A small difference on every sequence is sure, however much the sequences differ."""
    values = np.random.default_rng(0).uniform(0.1, 0.8, 40)
    pair = intervals.paired(scores(values + 0.01), scores(values), "ao")
    assert pair.difference == pytest.approx(0.01)
    assert pair.interval == (pytest.approx(0.01), pytest.approx(0.01))
    assert (pair.won, pair.lost, pair.tied) == (40, 0, 0)


def test_won_lost_and_tied():
    pair = intervals.paired(scores([0.5, 0.2, 0.7, np.nan] * 4), scores([0.4, 0.3, 0.7, 0.9] * 4), "ao")
    assert (pair.won, pair.lost, pair.tied) == (4, 4, 4)
    assert pair.difference == pytest.approx(0)
    low, high = pair.interval
    assert low < 0 < high
