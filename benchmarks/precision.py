"""Training in bfloat16 and float32: losses of the same steps on real frames, in one plot.

The runs see the same pairs from the same weights: float32, bfloat16, and, for the noise between runs, float32 with
other pairs (another seed). Writes the curves' numbers as JSON and, next to it, a plot.

Example:
  python benchmarks/precision.py --config vits_160_dinov2_cpu --init INIT --steps 200 --output precision.json \
      --config.data.got10k.dir=GOT10K --config.data.coco.weight=0 --config.data.pasted.weight=0
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from matplotlib.figure import Figure
from rich.progress import track
from timing import start, write

from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli import command
from ostrack_jax.cli.paths import define_path
from ostrack_jax.config import Config
from ostrack_jax.models.weights import initial_weights
from ostrack_jax.pipeline.loader import Batches
from ostrack_jax.training.schedule import kept_in_epoch
from ostrack_jax.training.sharding import make_mesh, place
from ostrack_jax.training.step import init_state, make_step

WINDOW = 20  # steps that the drawn curves are averaged over


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    command.define_config(flags)
    define_path("init", None, "weights to start from; none: fresh ones", flags)
    absl_flags.DEFINE_integer("steps", 200, "steps of each run", lower_bound=WINDOW, flag_values=flags)
    define_path("output", None, "JSON file to write", flags, writes="file", required=True)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Train three times, print the differences, draw."""
    config = command.read_config(flags)
    weights = load_weights(flags.init)[1] if flags.init else initial_weights(config.model, config.train.seed)
    other = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=config.train.seed + 1))
    cases = {
        "float32": _in(config, "float32"),
        "bfloat16": _in(config, "bfloat16"),
        "float32, other pairs": _in(other, "float32"),
    }
    settings = {"config": config.name, "batch": config.train.batch, "steps": flags.steps, "window": WINDOW}
    runs: dict[str, list[float]] = {}
    means: dict[str, np.ndarray] = {}
    rows: dict[str, dict[str, float]] = {}
    for name, case in cases.items():
        runs[name] = _losses(case, weights, flags.steps)
        means[name] = _smooth(runs[name])
        difference = float(np.abs(means[name] / means["float32"] - 1).mean())
        rows[name] = {"relative_difference_of_means": difference, "last_mean": float(means[name][-1])}
        print(f"{name:<22} " + "  ".join(f"{key} {value:.4f}" for key, value in rows[name].items()))
        write(flags.output, "precision", settings, {"runs": rows, "losses": runs})
    _draw(means, flags.output.with_suffix(".png"))


def _in(config: Config, dtype: str) -> Config:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, dtype=dtype))


def _losses(config: Config, weights: dict[str, Any], steps: int) -> list[float]:
    """The loss of each step."""
    mesh = make_mesh(config)
    step, state = make_step(config, mesh), init_state(config, weights, mesh)
    kept, losses = kept_in_epoch(config, 1), []
    with Batches(config) as data:
        for _ in track(range(steps), description=config.model.dtype, transient=True):
            state, numbers = step(state, place(next(data), mesh), kept=kept.sizes)
            losses.append(numbers["loss"])
    return [float(loss) for loss in jax.device_get(losses)]


def _smooth(values: list[float]) -> np.ndarray:
    return np.convolve(values, np.full(WINDOW, 1 / WINDOW), mode="valid")


def _draw(means: dict[str, np.ndarray], path: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for (name, values), style in zip(means.items(), ("-", "--", ":"), strict=True):
        axes.plot(np.arange(len(values)) + WINDOW, values, style, label=name)
    axes.set(xlabel="step", ylabel=f"loss, mean of {WINDOW} steps", yscale="log")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    start()
