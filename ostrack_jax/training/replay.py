"""A step that was not finite, kept and run again. Enters: the state before it, its batch. Leaves: a file; its causes.

The file is one .safetensors with every array of the state and the batch, and the config and the step in its header.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from ostrack_jax.config import Config, freeze, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.io import write_atomically
from ostrack_jax.pipeline.loader import steps_per_epoch
from ostrack_jax.training import causes
from ostrack_jax.training.schedule import kept_in_epoch
from ostrack_jax.training.sharding import make_mesh, place, replicated
from ostrack_jax.training.start import blank_state
from ostrack_jax.training.step import State, make_step

_BATCH, _STATE = "batch", "state"


def keep(
    config: Config, workdir: Path, step: int, state: State, batch: Mapping[str, jax.Array], tell: Callable[[str], None]
) -> UserError:
    """Write ``workdir/replay_STEP.safetensors`` and look for the causes; the error that tells of both.

    ``state`` is the one before ``step`` (the first is 1), as a step that is not finite leaves it; ``batch`` the step's.
    """
    path = workdir / f"replay_{step}.safetensors"
    state, host_batch = _on_host(state), _on_host(batch)
    if jax.process_index() == 0:
        header = {"config": json.dumps(to_dict(config)), "step": str(step)}
        arrays = {
            name: np.array(value, order="C") for name, value in _named({_STATE: state, _BATCH: host_batch}).items()
        }
        write_atomically(path, safetensors_bytes(arrays, metadata=header))
    tell(f"step {step}: loss or gradient not finite; looking for the cause")
    found = causes.find(config, state, host_batch, kept_in_epoch(config, epoch_of(config, step)))
    return UserError(
        f"step {step}: loss or gradient not finite: {found.told()}; the run stops here. The step is kept: "
        f"ostrack train --replay {path}"
    )


def run_again(path: Path, console: Console) -> bool:
    """Run the step in the file that `keep` wrote again and tell of every element; whether it is finite this time.

    Raises:
      UserError: no such file, or not one of ours.
    """
    config, step, arrays = _read(path)
    config, mesh = _for_these_devices(config)
    state, batch = _restored(path, config, arrays, mesh)
    kept = kept_in_epoch(config, epoch_of(config, step))
    found = causes.find(config, _on_host(state), batch, kept)
    valid = None if kept.valid is None else replicated(kept.valid, mesh)
    _, numbers = make_step(config, mesh)(state, place(batch, mesh), valid, kept=kept.sizes)
    told = {name: value.item() for name, value in jax.device_get(numbers).items()}
    finite = bool(told.pop("finite"))
    found.show(console)
    values = "  ".join(f"{name} {told[name]:.9g}" for name in sorted(told, key=lambda name: (name != "loss", name)))
    verdict = "finite" if finite else f"not finite: {found.told()}"
    console.print(f"step {step} of {config.name}: {values}\n{verdict}", highlight=False, soft_wrap=True)
    return finite


def epoch_of(config: Config, step: int) -> int:
    """The epoch that a step lies in; the first of each is 1."""
    return (step - 1) // steps_per_epoch(config) + 1


def _for_these_devices(config: Config) -> tuple[Config, Mesh]:
    """As many of the devices here as its batch divides over, whatever it was trained on."""
    train = config.train
    count = math.gcd(train.batch // train.accumulate, jax.device_count())
    config = dataclasses.replace(config, train=dataclasses.replace(train, shard=math.gcd(train.shard, count)))
    return config, make_mesh(config, jax.devices()[:count])


def _named(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _on_host(tree: Any) -> Any:
    """All of every array, also of what several hosts share; every host must ask."""

    def whole(x: Any) -> np.ndarray:
        if isinstance(x, jax.Array) and not x.is_fully_addressable and not x.is_fully_replicated:
            return np.asarray(multihost_utils.process_allgather(x, tiled=True))
        return np.asarray(x)

    return jax.tree.map(whole, tree)


def _read(path: Path) -> tuple[Config, int, dict[str, np.ndarray]]:
    if not path.is_file():
        raise UserError(f"--replay: no file {path}")
    try:
        with safe_open(path, framework="numpy") as f:
            metadata = f.metadata() or {}
            arrays = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a mapping
        return freeze(json.loads(metadata["config"])), int(metadata["step"]), arrays
    except KeyError as e:
        raise UserError(f"{path}: no config and step in its header: not kept by a training run") from e
    except (SafetensorError, ValueError, RecursionError, OSError) as e:
        raise UserError(f"{path} is no whole file of a step: {e}") from e


def _restored(path: Path, config: Config, arrays: dict[str, np.ndarray], mesh: Mesh) -> tuple[State, dict[str, Any]]:
    """The state on the devices and the batch on the host, as the config wants them."""
    model, b = config.model, config.train.batch
    sides = {"template": model.template_size, "search": model.search_size}
    batch: dict[str, Any] = {name: jax.ShapeDtypeStruct((b, s, s, 3), np.uint8) for name, s in sides.items()}
    batch |= {f"{name}_box": jax.ShapeDtypeStruct((b, 4), np.float32) for name in sides}
    wanted = {_STATE: blank_state(config, mesh), _BATCH: batch}
    names = _named(wanted)
    wrong = [name for name, like in names.items() if name not in arrays or not _fits(arrays[name], like)]
    if wrong or len(names) != len(arrays):
        raise UserError(f"{path} does not fit its own config: {', '.join(wrong[:5]) or 'it holds more'}")

    def value(name: str, like: Any) -> Any:
        return jax.device_put(arrays[name], like.sharding) if isinstance(like, jax.Array) else arrays[name]

    values = [value(name, like) for name, like in names.items()]
    tree = jax.tree.unflatten(jax.tree.structure(wanted), values)
    state: State = tree[_STATE]
    finite = jax.device_put(jnp.array(True), state.finite.sharding)
    return state._replace(finite=finite), tree[_BATCH]


def _fits(array: np.ndarray, like: Any) -> bool:
    return array.shape == like.shape and array.dtype == like.dtype
