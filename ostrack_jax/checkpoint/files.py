"""Weights on disk: arrays by dotted name with their config, in a directory or one file.

`load_weights` reads a weights directory (``config.json`` and ``weights.safetensors``); one ``.safetensors`` file with
the config in its header; a training's workdir (the newest checkpoint), ``WORKDIR/best``, or one checkpoint of either,
``WORKDIR/checkpoints/STEP``; and by its name a network that is shipped with the package.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from ostrack_jax import config as configs
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_json, write_atomically, write_json
from ostrack_jax.weights import locate, names

if TYPE_CHECKING:
    from ostrack_jax.checkpoint.steps import TrainCheckpoints

WEIGHTS_FILE, CONFIG_FILE = "weights.safetensors", "config.json"

_FOREIGN = (".tar", ".pth", ".pt", ".bin", ".ckpt", ".npz")  # endings of what `ostrack convert` reads
_SCALES = "/scales"  # after a tensor's name: of its output channels; dotted names hold no slash
_LEAST_FOR_8_BIT = 20_000  # numbers of a matrix: what is smaller stays float32


def sha256(weights: Mapping[str, np.ndarray]) -> str:
    """One hash over all names, types, shapes and values, whatever their order and form on disk."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = np.asarray(weights[name])
        digest.update(f"{name} {value.dtype.str} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def save_safetensors(path: Path, weights: Mapping[str, np.ndarray], config: Config, eight_bit: bool = False) -> None:
    """Save the weights and, in the header, the config as one file.

    With ``eight_bit`` large matrices become int8 with a float32 scale for each output channel (the last axis): a
    quarter of the size, every value within 1/254 of its channel's largest. `load_weights` reads them back to float32.
    """
    arrays = {name: np.array(value, order="C") for name, value in weights.items()}
    if eight_bit:
        arrays = dict(part for name, value in arrays.items() for part in _eight_bit(name, value))
    write_atomically(path, safetensors_bytes(arrays, metadata={"config": json.dumps(configs.to_dict(config))}))


def save_weights(directory: Path, weights: Mapping[str, np.ndarray], config: Config) -> str:
    """Write a weights directory that `load_weights` reads; the weights' SHA-256."""
    save_safetensors(directory / WEIGHTS_FILE, weights, config)
    save_config(directory, config)
    return sha256(weights)


def save_config(directory: Path, config: Config) -> None:
    """Write the config as JSON, for people and for `load_weights`."""
    write_json(directory / CONFIG_FILE, configs.to_dict(config))


def load_weights(path: Path | str) -> tuple[Config, dict[str, np.ndarray]]:
    """Config and weights (float32; counters int32) by dotted name from any of the forms.

    Of a run that averages its weights (``ema``) the averages. A newest checkpoint that is corrupt is skipped with a
    warning; one that is asked for by its step is an error.

    Raises:
      UserError: neither a checkpoint at ``path`` nor a shipped network of that name, or it is invalid.
    """
    path = locate(path)
    if path.is_file() and path.suffix == ".safetensors":
        return _load_safetensors(path)
    if (path / WEIGHTS_FILE).is_file():
        return _load_safetensors(path / WEIGHTS_FILE)
    if not path.exists():
        raise UserError(f"no checkpoint at {path}; networks in the package: {', '.join(names())}")
    # orbax takes a second to import: only what a training left needs it
    from ostrack_jax.checkpoint.steps import BEST, STEPS, TrainCheckpoints

    if path.name.isdigit() and (path / "about").is_dir():
        return _of_step(TrainCheckpoints(path.parent), int(path.name))
    for directory in (path, path / STEPS):
        found = TrainCheckpoints(directory)
        if found.steps():
            return found.newest(lambda step, found=found: _of_step(found, step))[1]
    for file in [path] if path.is_file() else sorted(path.iterdir()):
        if file.suffix in _FOREIGN:
            raise _unconverted(file)
    raise UserError(
        f"{path} is not a checkpoint: expected {WEIGHTS_FILE} (convert), a .safetensors file or a run with finished "
        f"checkpoints (WORKDIR, WORKDIR/{BEST}, WORKDIR/{STEPS}/STEP)"
    )


def _of_step(found: TrainCheckpoints, step: int) -> tuple[Config, dict[str, np.ndarray]]:
    return configs.freeze(found.about(step)["config"]), found.weights(step)


def load_config(directory: Path) -> Config:
    """The config next to weights or in a workdir."""
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"no {CONFIG_FILE} in {directory}")
    return configs.freeze(read_json(path))


def _load_safetensors(path: Path) -> tuple[Config, dict[str, np.ndarray]]:
    try:
        with safe_open(path, framework="numpy") as f:
            config = json.loads((f.metadata() or {})["config"])
            stored = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a mapping
    except KeyError as e:
        raise _unconverted(path) from e
    except (SafetensorError, ValueError, OSError) as e:
        raise UserError(f"{path} is truncated or not a safetensors file: {e}") from e
    return configs.freeze(config), _float32(stored)


def _unconverted(path: Path) -> UserError:
    """The error for a file of another project."""
    command = f"ostrack convert ostrack {shlex.quote(str(path))} --config NAME --output DIR"
    return UserError(
        f"{path} is not of this project: convert it first, `{command}` (a backbone alone: mae, deit, augreg or dinov2 "
        "in place of the second ostrack), and give DIR"
    )


def _eight_bit(name: str, value: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """A tensor as it is stored: int8 and scales where it is a large matrix, else unchanged."""
    if value.dtype != np.float32 or value.ndim < 2 or value.size <= _LEAST_FOR_8_BIT:
        return [(name, value)]
    largest = np.abs(value).max(axis=tuple(range(value.ndim - 1)))
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return [(name, np.rint(value / scales).astype(np.int8)), (name + _SCALES, scales)]


def _float32(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by name, those in 8 bits times their scales."""
    return {
        name: value * stored[name + _SCALES] if name + _SCALES in stored else value
        for name, value in stored.items()
        if not name.endswith(_SCALES)
    }
