"""What the timing programs share: functions timed in turn, and results as JSON, written as they are measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

from ostrack_jax.environment import commit, hardware, versions
from ostrack_jax.io import write_atomically

Run = Callable[[], object]


def interleaved(
    runs: Mapping[str, Run], rounds: int, often: Mapping[str, int] | None = None
) -> Iterator[dict[str, list[float]]]:
    """Time each of ``runs`` in turn, ``rounds`` times, after two unmeasured rounds.

    Those named in ``often`` run so many times a round: short ones next to long ones.

    Yields:
      After each measured round the seconds of all until then, by name: what is written then is there if it ends early.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in track(range(rounds + 2), "measuring", transient=True):
        for name, function in runs.items():
            for _ in range((often or {}).get(name, 1)):
                began = time.perf_counter()
                function()
                if i >= 2:
                    times[name].append(time.perf_counter() - began)
        if i >= 2:
            yield times


def side() -> int:
    """Of the square matrix product that stands for the machine's rate: large enough to fill the device."""
    return 2048 if jax.default_backend() == "cpu" else 8192


def matrix_product(dtype: str) -> Run:
    """A run of one `side` x `side` matrix product in ``dtype`` (float32: true float32)."""
    a = jnp.asarray(np.random.default_rng(0).normal(size=(side(), side())), dtype)
    product = jax.jit(lambda a: jnp.dot(a, a, precision="highest" if dtype == "float32" else None))
    return lambda: jax.block_until_ready(product(a))


def write(path: Path | None, name: str, settings: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Write one JSON file with what was measured, how, on what and of which commit; nothing without a path."""
    if path is None:
        return
    made = {"versions": versions(), "hardware": hardware(), "commit": commit()}
    content = json.dumps({"benchmark": name, **made, "settings": settings, **result}, indent=2)
    write_atomically(path, content.encode())
