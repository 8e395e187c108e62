"""Run by test_devices.py on four simulated devices: losses of some layouts, as JSON on the last line."""

from __future__ import annotations

import dataclasses
import json
import sys

import jax
import numpy as np

from ostrack_jax import config as configs
from ostrack_jax.models.weights import initial_weights
from ostrack_jax.training.sharding import make_mesh, place
from ostrack_jax.training.step import init_state, make_step
from tests.training.small import OVERRIDES

KEPT, VALID = (14,), (12,)
BATCH = 16
LAYOUTS = ((1, 1, 1), (4, 2, 1), (2, 2, 2))  # devices, shard, accumulate


def main(steps: int) -> dict[str, dict[str, list[float]]]:
    """By layout (devices, shard, accumulate): loss and gradient norm of each step."""
    overrides = [*OVERRIDES, "model.dtype=float64", "model.width=32", "model.heads=2"]
    base = configs.load("tiny", [*overrides, f"train.batch={BATCH}", "train.pairs_per_epoch=16", "train.bn_group=8"])
    weights = initial_weights(base.model, 0)
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(3):
        crops = {n: rng.integers(0, 256, (BATCH, s, s, 3), np.uint8) for n, s in (("template", 16), ("search", 32))}
        boxes = np.float32(rng.uniform((0.2, 0.2, 0.2, 0.2), (0.5, 0.5, 0.5, 0.4), (BATCH, 4)))
        batches.append(crops | {"template_box": boxes, "search_box": boxes})
    found = {}
    for devices, shard, accumulate in LAYOUTS:
        train = dataclasses.replace(base.train, shard=shard, accumulate=accumulate, ema=0.9)
        config = dataclasses.replace(base, train=train)
        mesh = make_mesh(config, jax.devices()[:devices])
        step, state = make_step(config, mesh), init_state(config, weights, mesh)
        where = {name: value.sharding for name, value in state.params.items()}
        numbers = []
        for i in range(steps):
            state, metrics = step(state, place(batches[i % 3], mesh), np.int32(VALID), kept=KEPT)
            # Steps that overtake each other on simulated devices may wait for one another for ever.
            numbers.append(jax.block_until_ready(metrics))
        assert {name: value.sharding for name, value in state.params.items()} == where
        assert step._cache_size() == 1
        split = sum(not value.is_fully_replicated for value in state.params.values())
        numbers = jax.device_get(numbers)
        found[f"{devices},{shard},{accumulate}"] = {
            **{name: [float(n[name]) for n in numbers] for name in ("loss", "grad_norm")},
            "split": [split],
            "ema": [float(np.square(np.asarray(state.ema["backbone.norm.bias"])).sum())],
            "mean": [float(np.asarray(state.buffers["head.score.norms.0.mean"]).sum())],
            "count": [int(state.buffers["head.score.norms.0.count"])],
        }
    return found


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
