"""How much memory a device needs for a training step, by the compiled step's own analysis; nothing is run or allocated.

The step is compiled from shapes alone, for the devices of this machine or, with ``--topology``, for TPUs that are not
there (``pip install 'ostrack-jax[tpu]'``). ``needed`` is what comes in (state and batch), what goes out next to it, and
what the step holds in between. The compiler decides the last: XLA's for the CPU, which computes bfloat16 by way of
float32, says little of a GPU's.

Example:
  python benchmarks/memory.py --batches 8,32,128 --dtypes bfloat16 --output benchmarks/results/memory_gpu.json
  python benchmarks/memory.py --topology v5e:2x4 --batches 128 --output benchmarks/results/memory_v5e.json
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from rich.progress import track
from timing import MODELS, show, start, write
from timing import define as timing_flags

from ostrack_jax import config as configs
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.profiling.latency import timed_compile
from ostrack_jax.training.schedule import kept_in_epoch
from ostrack_jax.training.sharding import make_mesh, over_batch
from ostrack_jax.training.step import abstract_state, make_step


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    timing_flags(
        flags,
        models=(MODELS[1::2], "named configs"),
        batches=(["8", "16", "32", "64", "128"], "pairs in a step, over all devices"),
        dtypes=(["float32", "bfloat16"], "of the computation"),
        remat=(["false", "true"], "whether activations are computed again"),
        shards=(["1"], "devices over which the state is split"),
    )
    absl_flags.DEFINE_string("topology", None, "TPUs to compile for, e.g. v5e:2x4; none needed", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Compile each, print a table, write JSON."""
    devices = _devices(flags.topology)
    axes = flags.models, flags.dtypes, flags.remat, flags.shards, flags.batches
    output = flags.output
    rows: list[dict[str, Any]] = json.loads(output.read_text())["steps"] if output and output.exists() else []
    for model, dtype, remat, shard, batch in track(list(itertools.product(*axes)), "compiling"):
        cell = {"model": model, "dtype": dtype, "remat": remat == "true", "shard": int(shard), "batch": int(batch)}
        if any(cell.items() <= row.items() for row in rows):
            continue
        overrides = [f"model.dtype={dtype}", f"model.remat={remat}", f"train.shard={shard}", f"train.batch={batch}"]
        rows.append(cell | analysis(configs.load(model, overrides), devices))
        settings = {"devices": len(devices), "device": devices[0].device_kind, "topology": flags.topology}
        write(flags.output, "memory", settings, {"steps": rows})
    shown = []
    for row in rows:
        gib = {f"{name}_gib": f"{row[name] / 2**30:.2f}" for name in ("arguments", "needed") if name in row}
        shown.append({"arguments_gib": "", "needed_gib": "too much", **row, **gib})
    columns = {name: f"{{{name}}}" for name in ("model", "dtype", "remat", "shard", "batch")}
    columns |= {"state and batch, GiB": "{arguments_gib}", "needed, GiB": "{needed_gib}"}
    show(f"memory of a training step on each of {len(devices)} x {devices[0].device_kind}", columns, shown)


def analysis(config: Config, devices: list[Any]) -> dict[str, Any]:
    """Bytes on each device for a step of the first epoch, in which every search token is kept.

    Where the compiler finds that the step does not fit the devices it was asked for: ``failed``, what it said.
    """
    mesh, model, batch = make_mesh(config, devices), config.model, config.train.batch
    state, split, kept = abstract_state(config, mesh), over_batch(mesh), kept_in_epoch(config, 1)
    sides = {"template": model.template_size, "search": model.search_size}
    crops = {name: jax.ShapeDtypeStruct((batch, s, s, 3), np.uint8, sharding=split) for name, s in sides.items()}
    boxes = {f"{name}_box": jax.ShapeDtypeStruct((batch, 4), np.float32, sharding=split) for name in sides}
    try:
        compiled, seconds = timed_compile(make_step(config, mesh), state, crops | boxes, None, kept=kept.sizes)
    except jax.errors.JaxRuntimeError as e:
        if "RESOURCE_EXHAUSTED" not in str(e):
            raise
        return {"failed": " ".join(str(e).split())[:300]}
    found = compiled.memory_analysis()
    extra = found.output_size_in_bytes - found.alias_size_in_bytes  # the new state lies where the old one did
    return {
        "arguments": found.argument_size_in_bytes,
        "between": found.temp_size_in_bytes,
        "needed": found.argument_size_in_bytes + found.temp_size_in_bytes + extra,
        "compile_seconds": round(seconds, 1),
    }


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
