"""What a meter counts: numbers a step late, and waiting only while the devices had nothing to do."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.training import meter as meters
from ostrack_jax.training.meter import Meter, NotFiniteError


@pytest.fixture
def steps(monkeypatch):
    """A device that takes as long for a step as its metrics say, one step after the other."""

    def fetch(metrics):
        time.sleep(float(metrics["seconds"]))
        return time.perf_counter(), jax.device_get(metrics)

    monkeypatch.setattr(meters, "_fetch", fetch)


def test_numbers_are_means_over_the_steps_that_are_finished():
    with Meter(4) as meter:
        told = [meter.add(step, {"loss": jnp.float32(step), "finite": jnp.array(True)}) for step in (1, 2, 3)]
        assert told == [[], [1], [2]]  # a step is told when the next one is on its way
        first = meter.read()
        assert first["loss"] == 1.5
        assert "finite" not in first
        assert meter.finish() == [3]
        assert meter.read()["loss"] == 3


def test_data_that_come_while_the_device_works_are_not_waited_for(steps):
    with Meter(4) as meter:
        for step in range(4):
            meter.add(step, {"seconds": jnp.float32(0.05)})
            with meter.waiting():
                time.sleep(0.02)
        meter.finish()
        numbers = meter.read()
    assert numbers["wait"] < 0.1
    assert numbers["pairs_per_second"] < 4 / 0.05


def test_data_that_come_late_are(steps):
    """Steps of 20 ms, data every 120: five sixths of the time, never more than all of it."""
    with Meter(4) as meter:
        for step in range(4):
            meter.add(step, {"seconds": jnp.float32(0.02)})
            with meter.waiting():
                time.sleep(0.12)
        meter.finish()  # what was waited for after the last step is not yet of any step
        numbers = meter.read()
        assert 0.5 < numbers["wait"] <= 1
        assert numbers["pairs_per_second"] < 4 * 4 / 0.36


def test_what_is_not_finite_is_told_with_its_step():
    with Meter(4) as meter:
        meter.add(7, {"loss": jnp.float32(np.nan), "finite": jnp.array(False)})
        with pytest.raises(NotFiniteError) as e:
            meter.add(8, {"loss": jnp.float32(1), "finite": jnp.array(False)})
        assert e.value.step == 7
    with Meter(4) as meter:  # a validation, which changes nothing, has its numbers alone
        meter.add(1, {"iou": jnp.float32(np.inf)})
        meter.finish()
        with pytest.raises(UserError, match="not finite within 1 steps: iou"):
            meter.read()
