"""Run by test_devices.py on eight simulated devices: losses of some layouts, as JSON on the last line."""

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

SMALL = [
    "width=48",
    "depth=2",
    "heads=2",
    "patch=8",
    "head_channels=16",
    "template_size=32",
    "search_size=64",
    "drop_path=0.2",
]
KEPT, VALID = (50,), (45,)
BATCH = 16


def main(dtype: str, steps: int) -> dict[str, dict[str, list[float]]]:
    """By layout (devices, shard, accumulate): loss and gradient norm of each step."""
    overrides = [f"model.{pair}" for pair in SMALL]
    overrides += ["model.eliminate_at=(0,)", "model.keep_ratio=(0.7,)", f"model.dtype={dtype}", "train.warmup_epochs=0"]
    base = configs.load("tiny", [*overrides, f"train.batch={BATCH}", "train.bn_group=8", "train.lr=1e-3"])
    weights = initial_weights(base.model, 0)
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(3):
        crops = {n: rng.integers(0, 256, (BATCH, s, s, 3), np.uint8) for n, s in (("template", 32), ("search", 64))}
        boxes = np.float32(rng.uniform((0.2, 0.2, 0.2, 0.2), (0.5, 0.5, 0.5, 0.4), (BATCH, 4)))
        batches.append(crops | {"template_box": boxes, "search_box": boxes})
    told = {}
    for devices, shard, accumulate in ((1, 1, 1), (2, 1, 1), (8, 1, 1), (8, 4, 1), (2, 2, 2), (1, 1, 2)):
        train = dataclasses.replace(base.train, shard=shard, accumulate=accumulate, ema=0.9)
        config = dataclasses.replace(base, train=train)
        mesh = make_mesh(config, jax.devices()[:devices])
        step, state = make_step(config, mesh), init_state(config, weights, mesh)
        where = {name: value.sharding for name, value in state.params.items()}
        numbers = []
        for i in range(steps):
            state, metrics = step(state, place(batches[i % 3], mesh), np.int32(VALID), kept=KEPT)
            numbers.append(metrics)
        assert {name: value.sharding for name, value in state.params.items()} == where
        assert step._cache_size() == 1
        split = sum(not value.is_fully_replicated for value in state.params.values())
        numbers = jax.device_get(numbers)
        told[f"{devices},{shard},{accumulate}"] = {
            **{name: [float(n[name]) for n in numbers] for name in ("loss", "grad_norm")},
            "split": [split],
            "ema": [float(np.square(np.asarray(state.ema["backbone.norm.bias"])).sum())],
            "mean": [float(np.asarray(state.buffers["head.score.norms.0.mean"]).sum())],
            "count": [int(state.buffers["head.score.norms.0.count"])],
        }
    return told


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
