"""How long the network alone takes: latency, compile time, parameters, MACs, next to the machine's own matrix rate.

All models and a 2048 x 2048 float32 matrix product run in turn in one process, so that their ratios hold on a shared
machine. ``floor`` is the time the model's MACs (as the paper counts them) would take at the rate of that product.

Example:
  python benchmarks/forward.py --rounds 40 --output benchmarks/results/forward_cpu.json
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from absl import flags as absl_flags
from rich.progress import track
from timing import MODELS, interleaved, matrix_product, matrix_rate, show, start, write
from timing import define as timing_flags

from ostrack_jax import config as configs
from ostrack_jax.models.weights import initial_weights
from ostrack_jax.profiling.latency import compile_forward
from ostrack_jax.profiling.macs import as_the_paper_counts, macs, parameters

COLUMNS = "model median_ms p95_ms floor_ms over_floor by_elimination compile_s"


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    timing_flags(flags, rounds=30, least=3, models=(MODELS, "named configs"))
    absl_flags.DEFINE_integer("batch", 1, "pairs in one forward pass", lower_bound=1, flag_values=flags)
    absl_flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "of the computation", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Measure, print a table, write JSON."""
    rows, runs, rate, gains = {}, {"matmul": matrix_product("float32")}, 0.0, {}
    settings = {"batch": flags.batch, "dtype": flags.dtype, "rounds": flags.rounds}
    for name in track(flags.models, "compiling", transient=True):
        rows[name], runs[name] = _model(name, flags.batch, flags.dtype)
        write(flags.output, "forward", settings, {"models": rows})
    for times in interleaved(runs, flags.rounds):
        rate = matrix_rate(times["matmul"])
        for name, row in rows.items():
            median, floor = float(np.median(times[name])), row["macs_paper"] / rate
            row |= {"median_ms": 1e3 * median, "p95_ms": 1e3 * float(np.quantile(times[name], 0.95))}
            row |= {"floor_ms": 1e3 * floor, "over_floor": median / floor, "rounds": len(times[name])}
        pairs = {name: name.replace("_ce", "") for name in rows if "_ce_" in name}
        gains = {ce: rows[full]["median_ms"] / rows[ce]["median_ms"] for ce, full in pairs.items() if full in rows}
        result = {"matmul_gmacs_per_s": rate / 1e9, "models": rows, "speedup_by_elimination": gains}
        write(flags.output, "forward", settings, result)
    shown = [{"model": name, "by_elimination": gains.get(name, ""), **row} for name, row in rows.items()]
    show(f"forward pass; matrix product {rate / 1e9:.0f} GMAC/s", COLUMNS, shown)


def _model(name: str, batch: int, dtype: str) -> tuple[dict[str, Any], Callable[[], object]]:
    """The static figures of a model, and a function that runs its compiled forward pass once."""
    config = configs.load(name, [f"model.dtype={dtype}"]).model
    forward = compile_forward(config, initial_weights(config, 0), batch)
    parts = {part: batch * count for part, count in macs(config).items()}
    row = {
        "compile_s": forward.compile_seconds,
        "parameters": parameters(config),
        "macs_by_part": parts,
        "macs_paper": as_the_paper_counts(parts),
        "macs_with_products": sum(parts.values()),
    }
    return row, forward.run


if __name__ == "__main__":
    start()
