"""Keep a step that was not finite in a file, and run it again to find the first NaN.

The file is one .safetensors with every array of the state and the batch, and the config and the step in its header.
"""

from __future__ import annotations

import dataclasses
import json
import math
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from ostrack_jax.config import Config, freeze, steps_per_epoch, to_dict
from ostrack_jax.errors import UserError, listed
from ostrack_jax.io import write_atomically
from ostrack_jax.training.schedule import kept_in_epoch
from ostrack_jax.training.sharding import make_mesh, place, replicated
from ostrack_jax.training.step import State, abstract_state, make_step

_BATCH = "batch/"


def keep_step(path: Path, config: Config, step: int, state: State, batch: Mapping[str, jax.Array]) -> None:
    """Write the state before ``step`` (the first is 1), as a step that is not finite leaves it, and its batch."""

    def on_host(x: jax.Array) -> np.ndarray:
        if not x.is_fully_addressable and not x.is_fully_replicated:
            x = multihost_utils.process_allgather(x, tiled=True)  # of several hosts, each of which asks
        return np.array(x, order="C")

    arrays = {_name(path): on_host(leaf) for path, leaf in jax.tree.leaves_with_path(state)}
    arrays |= {_BATCH + name: on_host(value) for name, value in batch.items()}
    if jax.process_index() == 0:
        header = {"config": json.dumps(to_dict(config)), "step": str(step)}
        write_atomically(path, safetensors_bytes(arrays, metadata=header))


def run_again(path: Path, console: Console) -> bool:
    """Run a kept step again and print its numbers and, where it is not finite, the place; whether it is finite.

    It runs on as many of the devices here as its batch divides over, whatever it was trained on.

    Raises:
      UserError: no such file, or not one of ours.
    """
    if not path.is_file():
        raise UserError(f"--replay: no file {path}")
    try:
        with safe_open(path, framework="numpy") as f:
            metadata, arrays = f.metadata() or {}, {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
        config, step = freeze(json.loads(metadata["config"])), int(metadata["step"])
    except (SafetensorError, KeyError, ValueError, OSError) as e:
        raise UserError(f"{path} is truncated or not kept by a training run: {e}") from e
    train, count = config.train, math.gcd(config.train.batch // config.train.accumulate, jax.device_count())
    config = dataclasses.replace(config, train=dataclasses.replace(train, shard=math.gcd(train.shard, count)))
    mesh = make_mesh(config, jax.devices()[:count])
    kept = kept_in_epoch(config, (step - 1) // steps_per_epoch(config) + 1)
    valid = None if kept.valid is None else replicated(kept.valid, mesh)
    batch = {name.removeprefix(_BATCH): value for name, value in arrays.items() if name.startswith(_BATCH)}

    def step_numbers(debug: bool) -> dict[str, Any]:
        like = abstract_state(config, mesh)
        try:
            state = jax.tree.map_with_path(lambda at, leaf: jax.device_put(arrays[_name(at)], leaf.sharding), like)
        except KeyError as e:
            raise UserError(f"{path} does not fit its own config: {e} is missing") from e
        state = state._replace(finite=jax.device_put(jnp.array(True), state.finite.sharding))
        with jax.debug_nans(debug):
            return jax.device_get(make_step(config, mesh)(state, place(batch, mesh), valid, kept=kept.sizes)[1])

    first = ""
    try:
        found = step_numbers(debug=True)
    except FloatingPointError as e:
        frames = [frame for frame in traceback.extract_tb(e.__traceback__) if "/ostrack_jax/" in frame.filename]
        inner = next((frame for frame in reversed(frames) if frame.filename != __file__ and frame.line), None)
        at = f" at {inner.filename}:{inner.lineno}, `{inner.line}`" if inner else ""
        first, found = f"; first NaN{at}: {str(e).splitlines()[0]}", step_numbers(debug=False)
    finite = bool(found.pop("finite"))
    names = ["loss", *(name for name in found if name != "loss")]
    values = "  ".join(f"{name} {found[name].item():.9g}" for name in names)
    given = [name for name, value in arrays.items() if not np.isfinite(value).all()]
    verdict = "finite" if finite else "not finite" + (f"; so are in the file {listed(given)}" if given else "") + first
    console.print(f"step {step} of {config.name}: {values}\n{verdict}", highlight=False, markup=False, soft_wrap=True)
    return finite


def _name(path: Any) -> str:
    return "state/" + jax.tree_util.keystr(path, simple=True, separator="/")
