"""Any number of devices, whole or split parameters, parts of a batch one by one: the same training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax import config as configs
from ostrack_jax.errors import UserError
from ostrack_jax.training.sharding import make_mesh

STEPS = 4
SCRIPT = Path(__file__).with_name("on_devices.py")


@pytest.mark.slow
def test_every_layout_trains_alike():
    """In float64, in which rounding is far below any mistake."""
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_ENABLE_X64": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PYTHONPATH": str(SCRIPT.parents[2]),
    }
    command = [sys.executable, str(SCRIPT), str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    one = found["1,1,1"]
    assert one["loss"][-1] < one["loss"][0]
    for layout, other in found.items():
        for name in ("loss", "grad_norm", "ema", "mean"):
            np.testing.assert_allclose(other[name], one[name], rtol=1e-6, err_msg=f"{layout} {name}")
        assert other["count"] == [STEPS], layout
    assert one["split"] == [0]
    assert found["4,2,1"]["split"][0] > 2  # the larger matrices lie in two parts


def test_what_does_not_divide_is_refused():
    for override, words in (
        ("train.shard=3", "config.train.shard: 3 does not divide the 1 devices"),
        ("train.accumulate=3", "config.train.accumulate: 3 does not divide"),
        ("train.accumulate=2", "config.train.accumulate: parts of 4 pairs do not hold complete groups"),
    ):
        with pytest.raises(UserError, match=words):
            make_mesh(configs.load("tiny", [override]))
