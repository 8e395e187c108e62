"""How long a training step takes: compile time, step time, pairs/s, memory, beside the machine's own matrix rate.

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
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from rich.console import Console
from timing import MODELS, interleaved, matrix_product, matrix_rate, start, write
from timing import define as timing_flags

from ostrack_jax import config as configs
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.models.attention import chosen
from ostrack_jax.models.weights import initial_weights
from ostrack_jax.profiling.macs import as_the_paper_counts, macs
from ostrack_jax.training.schedule import Kept, kept_at
from ostrack_jax.training.sharding import make_mesh, place, replicated
from ostrack_jax.training.step import init_state, make_step
from ostrack_jax.visualization.table import Table


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
    _show(rows)


def _case(config: Config, kept: Kept, rounds: int, steps: int) -> Iterator[dict[str, Any]]:
    """Yield one case's row once it is compiled, and after each round."""
    compile_s, memory, step = _step(config, kept, steps)
    yield {"model": config.name, "compile_s": compile_s, **memory}
    product = matrix_product(config.model.dtype)
    for times in interleaved({"matmul": product, "step": step}, rounds, {"matmul": 10}):
        yield {**_row(config, kept, times, steps), "compile_s": compile_s, **memory}


def _row(config: Config, kept: Kept, times: dict[str, list[float]], steps: int) -> dict[str, Any]:
    """Make a case's row of the seconds measured so far."""
    model, batch = config.model, config.train.batch
    rate = matrix_rate(times["matmul"])
    seconds, devices = float(np.median(times["step"])) / steps, jax.device_count()
    parts = macs(model, kept.exact)
    floor = 3 * batch * as_the_paper_counts(parts) / (rate * devices)
    return {
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
    }


def _step(config: Config, kept: Kept, steps: int) -> tuple[float, dict[str, Any], Callable[[], object]]:
    """Seconds to compile, memory, and a function that runs ``steps`` steps."""
    mesh = make_mesh(config)
    state = init_state(config, initial_weights(config.model, 0), mesh)
    rng, batch = np.random.default_rng(0), config.train.batch
    sizes = {"template": config.model.template_size, "search": config.model.search_size}
    crops = {name: rng.integers(0, 256, (batch, size, size, 3), np.uint8) for name, size in sizes.items()}
    box = np.tile(np.array([[0.4, 0.4, 0.2, 0.2]], np.float32), (batch, 1))
    data = place(crops | {"template_box": box, "search_box": box}, mesh)
    valid = None if kept.valid is None else replicated(kept.valid, mesh)
    began = time.perf_counter()
    compiled = make_step(config, mesh).lower(state, data, valid, kept=kept.sizes).compile()
    compile_s = time.perf_counter() - began
    analysis = (
        compiled.memory_analysis()
    )  # of one device, in bytes: state and batch, and what a step needs next to them
    memory = {
        "memory_held_bytes": analysis.argument_size_in_bytes,
        "memory_scratch_bytes": analysis.temp_size_in_bytes,
    }
    holder = [state]

    def go() -> None:
        for _ in range(steps):
            holder[0], numbers = compiled(holder[0], data, valid)
        jax.block_until_ready(numbers)  # pyright: ignore[reportPossiblyUnboundVariable] (steps is 1 or more)
        if not bool(numbers["finite"]):  # pyright: ignore[reportPossiblyUnboundVariable]
            raise UserError("a loss or gradient was not finite: the steps after it did other work")

    return compile_s, memory, go


def _show(rows: list[dict[str, Any]]) -> None:
    columns = ["model", "dtype", "batch", "kept", "compile s", "step s", "pairs/s", "over floor", "TFLOP/s", "GB"]
    cells = [
        [
            *(row["model"], row["dtype"], str(row["batch"]), "/".join(map(str, row["kept"]))),
            *(f"{row['compile_s']:.1f}", f"{row['step_s']:.3f}", f"{row['pairs_per_s']:.1f}"),
            *(f"{row['over_floor']:.2f}", f"{row['model_tflops_per_s']:.2f}"),
            f"{(row['memory_held_bytes'] + row['memory_scratch_bytes']) / 1e9:.1f}",
        ]
        for row in rows
    ]
    title = f"training step; {jax.device_count()} {jax.devices()[0].device_kind}"
    Table(title, columns, cells).print(Console(width=150))


if __name__ == "__main__":
    start()
