"""The package in Python: load, predict, train, track and score, each in a few lines, on synthetic data.

Example:
  python examples/python_api.py OUTPUT
  python examples/python_api.py OUTPUT train.pairs_per_epoch=1600
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx

import ostrack_jax as ot


def track(tracker: ot.Tracker, frames: list[np.ndarray], box_xywh: tuple[float, float, float, float]) -> list[ot.Track]:
    """Follow one object from its box in the first frame."""
    tracker.init(frames[0], box_xywh)
    return [tracker.update(frame) for frame in frames[1:]]


def best_cell(prediction: ot.Prediction) -> tuple[int, int]:
    """Row and column of the score map's maximum."""
    row, column = np.unravel_index(int(prediction.score_map[0].argmax()), prediction.score_map[0].shape)
    return int(row), int(column)


def predict(config: ot.Config) -> ot.Prediction:
    """Look for a target in a search region with a network that has fresh weights."""
    network = nnx.jit(ot.OSTrack(config.model, nnx.Rngs(0)))
    sizes = config.model.template_size, config.model.search_size
    template, search = (jnp.zeros((1, size, size, 3), jnp.uint8) for size in sizes)
    return network(template, search)


def main(output: Path, overrides: list[str]) -> None:
    """Train the config `tiny` for a moment, with ``overrides``, and use it."""
    config, weights = ot.load_weights("small")
    print(f"{config.name}: {sum(value.size for value in weights.values()):,} numbers")

    tiny = ot.load_config("tiny", ["train.epochs=1", "train.pairs_per_epoch=160", *overrides])
    print("best cell of a fresh network:", best_cell(predict(tiny)))
    print("validation:", ot.train(tiny, output / "run"))

    tracker = ot.Tracker.from_checkpoint(output / "run")
    frames = [np.zeros((120, 160, 3), np.uint8)] * 3
    for answer in track(tracker, frames, (60.0, 40.0, 30.0, 30.0)):
        print(answer.box_xywh, answer.score)

    report = ot.evaluate(tracker, "synthetic", output / "results", sequences=["synthetic_test_000000"])
    print(report.scores)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
