"""What the benchmarks share: flags, functions timed in turn, results as JSON, written as they are measured, a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags as absl_flags
from rich.console import Console
from rich.progress import track

from ostrack_jax.cli.command import run
from ostrack_jax.cli.paths import define_path
from ostrack_jax.environment import commit, hardware, versions
from ostrack_jax.io import write_json
from ostrack_jax.visualization.table import Table

Run = Callable[[], object]
MODELS = tuple(f"vitb_{size}_mae_{ce}32x4_ep300" for size in (256, 384) for ce in ("", "ce_"))


def define(flags: absl_flags.FlagValues, rounds: int = 0, least: int = 1, **lists: tuple[Sequence[str], str]) -> None:
    """Declare `--output`, `--rounds` where there are any by default, and flags of several values: default, help."""
    for name, (default, text) in lists.items():
        absl_flags.DEFINE_list(name, list(default), f"{text}, a comma between", flag_values=flags)
    if rounds:
        absl_flags.DEFINE_integer("rounds", rounds, "times each is run", lower_bound=least, flag_values=flags)
    define_path("output", None, "JSON file to write", flags, writes="file")


def start() -> None:
    """Run the program that was started: its `main`, with its flags."""
    sys.exit(run(cast(Any, sys.modules["__main__"]), sys.argv[1:], f"python {sys.argv[0]}"))


def interleaved(
    runs: Mapping[str, Run], rounds: int, often: Mapping[str, int] | None = None, warm_up: int = 2
) -> Iterator[dict[str, list[float]]]:
    """Time each of ``runs`` in turn, ``rounds`` times, after ``warm_up`` unmeasured rounds.

    Those named in ``often`` run so many times a round: short ones next to long ones. One that returns a float has
    measured its seconds itself.

    Yields:
      After each measured round the seconds of all until then, by name: what is written then is there if it ends early.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in track(range(rounds + warm_up), "measuring", transient=True):
        for name, function in runs.items():
            for _ in range((often or {}).get(name, 1)):
                began = time.perf_counter()
                own = function()
                if i >= warm_up:
                    times[name].append(own if isinstance(own, float) else time.perf_counter() - began)
        if i >= warm_up:
            yield times


def matrix_rate(seconds: Sequence[float]) -> float:
    """Multiply-accumulates a second of a `matrix_product` that took these seconds."""
    return _side() ** 3 / float(np.median(seconds))


def matrix_product(dtype: str) -> Run:
    """A run of one large square matrix product in ``dtype`` (float32: true float32), the machine's reference rate."""
    a = jnp.asarray(np.random.default_rng(0).normal(size=(_side(), _side())), dtype)
    product = jax.jit(lambda a: jnp.dot(a, a, precision="highest" if dtype == "float32" else None))
    return lambda: jax.block_until_ready(product(a))


def write(path: Path | None, name: str, settings: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Write results, settings, machine and commit to one JSON file; nothing without a path."""
    if path is not None:
        made = {"versions": versions(), "hardware": hardware(), "commit": commit()}
        write_json(path, {"benchmark": name, **made, "settings": settings, **result})


def show(title: str, names: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Print a table: a line for each of ``rows``, with its values of these ``names``; empty where it lacks one."""
    keys = names.split()
    cells = [[_text(row.get(key, "")) for key in keys] for row in rows]
    Table(title, [key.replace("_", " ") for key in keys], cells).print(Console(width=150))


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "/".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _side() -> int:
    """Large enough to fill the device."""
    return 2048 if jax.default_backend() == "cpu" else 8192
