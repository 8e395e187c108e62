"""A training step: compile time, step time, pairs/s, memory, next to the machine's own matrix rate.

Each case (a config, dtype, batch) runs in turn with a large matrix product in its dtype. ``floor`` is the time that
three forward passes' MACs, as the paper counts them, would take at the rate of that product; TFLOP/s are the model's
own, 6 per MAC with attention's products. Models with elimination are timed at their final keep ratio, and with
--scheduled also half way down the schedule, in the compiled size that serves it.

With --memory nothing is run or allocated: the step of the first epochs, in which every search token is kept, is
compiled from shapes alone for the devices of this machine or, with --topology, for TPUs that are not there (pip install
'ostrack-jax[tpu]'). ``needed`` is what comes in (state and batch), what goes out next to it, and what the step holds in
between. The compiler decides the last: XLA's for the CPU, which computes bfloat16 by way of float32, says little of a
GPU's.

Example:
  python benchmarks/train_step.py --batches 8 --rounds 5 --output benchmarks/results/train_step_cpu.json
  python benchmarks/train_step.py --batches 32,128 --dtypes bfloat16 --steps 20 --output train_step_gpu.json
  python benchmarks/train_step.py --memory --topology v5e:2x4 --batches 128 --output memory_v5e.json
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
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
from ostrack_jax.training.sharding import make_mesh, over_batch, place, replicated
from ostrack_jax.training.step import abstract_state, init_state, make_step

TIMED = "model dtype batch kept compile_s step_s pairs_per_s over_floor model_tflops_per_s gigabytes"
MEASURED = "model dtype remat shard batch arguments_gib needed_gib failed"


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    dtypes, batches = (["float32"], "float32, bfloat16, or both"), (["8"], "pairs in one step, over all devices")
    timing_flags(flags, rounds=5, least=3, models=(MODELS, "named configs"), batches=batches, dtypes=dtypes)
    absl_flags.DEFINE_integer("steps", 1, "steps waited for together (more on an accelerator)", 1, flag_values=flags)
    absl_flags.DEFINE_bool("scheduled", False, "also a keep ratio half way down the schedule", flag_values=flags)
    absl_flags.DEFINE_multi_string("set", [], "changes a setting of every config: train.shard=2", flag_values=flags)
    absl_flags.DEFINE_bool("memory", False, "memory alone, without running a step", flag_values=flags)
    absl_flags.DEFINE_string("topology", None, "TPUs to compile for, e.g. v5e:2x4; none needed", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Measure case by case, print a table, write JSON."""
    cases = []
    for name, dtype, batch in itertools.product(flags.models, flags.dtypes, flags.batches):
        group = ["train.bn_group=0"] if int(batch) % 32 else []
        cases.append(configs.load(name, [f"model.dtype={dtype}", f"train.batch={batch}", *group, *flags.set]))
    if flags.memory:
        measure_memory(cases, flags)
        return
    rows: list[dict[str, Any]] = []
    settings = {name: flags[name].value for name in ("rounds", "steps", "set")}
    for config in cases:
        for share in (0.0, 0.5) if flags.scheduled and config.model.keep_ratio else (0.0,):
            rows.append({})
            for row in _case(config, kept_at(config, share), flags.rounds, flags.steps):
                rows[-1] = row
                write(flags.output, "train_step", settings, {"cases": rows})
            print(f"{config.name} batch {config.train.batch}: {rows[-1]['step_s']:.3f} s", file=sys.stderr)
    for row in rows:
        row["gigabytes"] = (row["memory_held_bytes"] + row["memory_scratch_bytes"]) / 1e9
    show(f"training step; {jax.device_count()} {jax.devices()[0].device_kind}", TIMED, rows)


def measure_memory(cases: list[Config], flags: absl_flags.FlagValues) -> None:
    """Compile each case, print a table, write JSON; ``failed`` is what the compiler said of a step too large."""
    devices = _devices(flags.topology)
    settings = {"devices": len(devices), "device": devices[0].device_kind, "topology": flags.topology}
    rows: list[dict[str, Any]] = []
    for config in cases:
        model, train = config.model, config.train
        row = {"model": config.name, "dtype": model.dtype, "remat": model.remat}
        row |= {"shard": train.shard, "batch": train.batch}
        try:
            compiled, seconds = _compile(config, kept_at(config, 1.0), devices)
        except jax.errors.JaxRuntimeError as e:
            if "RESOURCE_EXHAUSTED" not in str(e):
                raise
            row["failed"] = " ".join(str(e).split())[:300]
        else:
            found = compiled.memory_analysis()
            held, between = found.argument_size_in_bytes, found.temp_size_in_bytes
            extra = found.output_size_in_bytes - found.alias_size_in_bytes  # the new state lies where the old one did
            row |= {"arguments": held, "between": between, "needed": held + between + extra}
            row["compile_seconds"] = round(seconds, 1)
        rows.append(row)
        write(flags.output, "memory", settings, {"steps": rows})
    gib = [{f"{key}_gib": row[key] / 2**30 for key in ("arguments", "needed") if key in row} for row in rows]
    title = f"memory of a training step on each of {len(devices)} x {devices[0].device_kind}"
    show(title, MEASURED, [row | sizes for row, sizes in zip(rows, gib, strict=True)])


def _case(config: Config, kept: Kept, rounds: int, steps: int) -> Iterator[dict[str, Any]]:
    """Yield one case's row once it is compiled, and after each round."""
    model, batch, devices, mesh = config.model, config.train.batch, jax.device_count(), make_mesh(config)
    compiled, seconds = _compile(config, kept)
    memory = compiled.memory_analysis()
    known = {
        "model": config.name,
        "compile_s": seconds,
        "memory_held_bytes": memory.argument_size_in_bytes,  # state and batch
        "memory_scratch_bytes": memory.temp_size_in_bytes,  # in addition to them
    }
    yield known
    state = init_state(config, initial_weights(model, 0), mesh)
    box = np.tile(np.array([[0.4, 0.4, 0.2, 0.2]], np.float32), (batch, 1))
    data = place(random_crops(model, batch) | {"template_box": box, "search_box": box}, mesh)
    valid = None if kept.valid is None else replicated(kept.valid, mesh)

    def step() -> None:
        nonlocal state
        numbers: dict[str, Any] = {}
        for _ in range(steps):
            state, numbers = compiled(state, data, valid)
        jax.block_until_ready(numbers)
        if not bool(numbers["finite"]):
            raise UserError("a loss or gradient was not finite: the steps after it did other work")

    parts = macs(model, kept.exact)
    for times in interleaved({"matmul": matrix_product(model.dtype), "step": step}, rounds, {"matmul": 10}):
        rate, seconds = matrix_rate(times["matmul"]), float(np.median(times["step"])) / steps
        floor = 3 * batch * as_the_paper_counts(parts) / (rate * devices)
        yield known | {
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


def _compile(config: Config, kept: Kept, devices: list[Any] | None = None) -> tuple[Any, float]:
    """Compile a step from shapes alone, for ``devices`` (None: this machine's); the executable and the seconds."""
    mesh = make_mesh(config, devices)
    split, batch = over_batch(mesh), config.train.batch
    valid = None if kept.valid is None else replicated(kept.valid, mesh)
    data: dict[str, Any] = {}
    for name, side in (("template", config.model.template_size), ("search", config.model.search_size)):
        data[name] = jax.ShapeDtypeStruct((batch, side, side, 3), np.uint8, sharding=split)
        data[f"{name}_box"] = jax.ShapeDtypeStruct((batch, 4), np.float32, sharding=split)
    return timed_compile(make_step(config, mesh), abstract_state(config, mesh), data, valid, kept=kept.sizes)


def _devices(topology: str | None) -> list[Any]:
    if topology is None:
        return jax.devices()
    from jax.experimental.topologies import get_topology_desc

    try:
        return list(get_topology_desc(topology, platform="tpu").devices)
    except (RuntimeError, ValueError, OSError) as e:
        raise UserError(f"--topology {topology}: cannot compile for it: {' '.join(str(e).split())[:300]}") from e


if __name__ == "__main__":
    start()
