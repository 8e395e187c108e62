"""How long a training step takes: compile time, step time, pairs/s, memory, next to the machine's own matrix rate.

Each case (a config, dtype, batch) runs in turn with a large matrix product in its dtype. ``floor`` is the time that
three forward passes' MACs, as the paper counts them, would take at the rate of that product; TFLOP/s are the model's
own, 6 per MAC with attention's products. Models with elimination are timed at their final keep ratio, and with
--scheduled also half way down the schedule, in the compiled size that serves it.

Example:
  python benchmarks/train_step.py --batches 8 --rounds 5 --output benchmarks/results/train_step_cpu.json
  python benchmarks/train_step.py --batches 32,128 --dtypes bfloat16 --steps 20 --output train_step_gpu.json
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from rich.console import Console
from timing import MODELS, interleaved, matrix_product, matrix_rate, show, start, write
from timing import define as timing_flags

from ostrack_jax import config as configs
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.models.attention import chosen
from ostrack_jax.models.weights import initial_weights
from ostrack_jax.profiling.latency import random_crops, timed_compile
from ostrack_jax.profiling.macs import as_the_paper_counts, macs
from ostrack_jax.training.schedule import Kept, kept_at
from ostrack_jax.training.sharding import make_mesh, place, replicated
from ostrack_jax.training.step import init_state, make_step

COLUMNS = {
    "model": "{model}",
    "dtype": "{dtype}",
    "batch": "{batch}",
    "kept": "{kept_tokens}",
    "compile s": "{compile_s:.1f}",
    "step s": "{step_s:.3f}",
    "pairs/s": "{pairs_per_s:.1f}",
    "over floor": "{over_floor:.2f}",
    "TFLOP/s": "{model_tflops_per_s:.2f}",
    "GB": "{gigabytes:.1f}",
}


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    dtypes, batches = (["float32"], "float32, bfloat16, or both"), (["8"], "pairs in one step")
    timing_flags(flags, rounds=5, least=3, models=(MODELS, "named configs"), batches=batches, dtypes=dtypes)
    absl_flags.DEFINE_integer("steps", 1, "steps waited for together (more on an accelerator)", 1, flag_values=flags)
    absl_flags.DEFINE_bool("scheduled", False, "also a keep ratio half way down the schedule", flag_values=flags)
    absl_flags.DEFINE_multi_string("set", [], "changes a setting of every config: train.shard=2", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Measure case by case, print a table, write JSON."""
    rows: list[dict[str, Any]] = []
    settings = {name: flags[name].value for name in ("rounds", "steps", "set")}
    for name, dtype, batch in itertools.product(flags.models, flags.dtypes, flags.batches):
        overrides = [f"model.dtype={dtype}", f"train.batch={batch}", *flags.set]
        if int(batch) % 32:
            overrides.insert(2, "train.bn_group=0")
        config = configs.load(name, overrides)
        for share in (0.0, 0.5) if flags.scheduled and config.model.keep_ratio else (0.0,):
            row: dict[str, Any] = {}
            for row in _case(config, kept_at(config, share), flags.rounds, flags.steps):
                write(flags.output, "train_step", settings, {"cases": [*rows, row]})
            rows.append(row)
            line = f"batch {batch}: {row['step_s']:.3f} s, {row['over_floor']:.2f} of floor"
            Console(stderr=True).print(f"{name} {dtype} {line}", highlight=False)
    for row in rows:
        row["kept_tokens"] = "/".join(map(str, row["kept"]))
        row["gigabytes"] = (row["memory_held_bytes"] + row["memory_scratch_bytes"]) / 1e9
    show(f"training step; {jax.device_count()} {jax.devices()[0].device_kind}", COLUMNS, rows, 150)


def _case(config: Config, kept: Kept, rounds: int, steps: int) -> Iterator[dict[str, Any]]:
    """Yield one case's row once it is compiled, and after each round."""
    model, batch, devices = config.model, config.train.batch, jax.device_count()
    known, step = _step(config, kept, steps)
    yield {"model": config.name, **known}
    parts = macs(model, kept.exact)
    for times in interleaved({"matmul": matrix_product(model.dtype), "step": step}, rounds, {"matmul": 10}):
        rate, seconds = matrix_rate(times["matmul"]), float(np.median(times["step"])) / steps
        floor = 3 * batch * as_the_paper_counts(parts) / (rate * devices)
        yield {
            "model": config.name,
            "dtype": model.dtype,
            "batch": batch,
            "kept": kept.exact,
            "sizes": kept.sizes,
            "attention": chosen(model),
            "devices": devices,
            "step_s": seconds,
            "step_s_all": [t / steps for t in times["step"]],
            "matmul_gmacs_per_s": rate / 1e9,
            "pairs_per_s": batch / seconds,
            "floor_s": floor,
            "over_floor": seconds / floor,
            "model_tflops_per_s": 6 * batch * sum(parts.values()) / seconds / 1e12,
            **known,
        }


def _step(config: Config, kept: Kept, steps: int) -> tuple[dict[str, Any], Callable[[], object]]:
    """Seconds to compile and memory of one device in bytes, and a function that runs ``steps`` steps."""
    mesh = make_mesh(config)
    state = init_state(config, initial_weights(config.model, 0), mesh)
    box = np.tile(np.array([[0.4, 0.4, 0.2, 0.2]], np.float32), (config.train.batch, 1))
    crops = random_crops(config.model, config.train.batch)
    data = place(crops | {"template_box": box, "search_box": box}, mesh)
    valid = None if kept.valid is None else replicated(kept.valid, mesh)
    compiled, seconds = timed_compile(make_step(config, mesh), state, data, valid, kept=kept.sizes)
    memory = compiled.memory_analysis()

    def run() -> None:
        nonlocal state
        numbers: dict[str, Any] = {}
        for _ in range(steps):
            state, numbers = compiled(state, data, valid)
        jax.block_until_ready(numbers)
        if not bool(numbers["finite"]):
            raise UserError("a loss or gradient was not finite: the steps after it did other work")

    return {
        "compile_s": seconds,
        "memory_held_bytes": memory.argument_size_in_bytes,  # state and batch
        "memory_scratch_bytes": memory.temp_size_in_bytes,  # in addition to them
    }, run


if __name__ == "__main__":
    start()
