"""Weights and train states on disk. Enters: arrays by dotted name and their config. Leaves: a folder or file, and back.

Three forms, all read by `load_weights`: a weights folder (``config.json`` and ``weights.safetensors``), one
``.safetensors`` file with the config in its header, and a training workdir (``config.json`` and ``checkpoints/STEP``,
written by orbax; its item ``weights`` is readable without the optimizer).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from ostrack_jax import config as configs
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError

WEIGHTS_FILE, CONFIG_FILE, STEPS = "weights.safetensors", "config.json", "checkpoints"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def sha256(weights: Mapping[str, np.ndarray]) -> str:
    """One hash over all names, types, shapes and values, whatever their order and form on disk."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = np.asarray(weights[name])
        digest.update(f"{name} {value.dtype.str} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def save_safetensors(path: Path, weights: Mapping[str, np.ndarray], config: Config) -> None:
    """One file that holds the weights and, in its header, the config."""
    arrays = {name: np.array(value, order="C") for name, value in weights.items()}
    write_atomically(path, safetensors_bytes(arrays, metadata={"config": json.dumps(configs.to_dict(config))}))


def save_weights(directory: Path, weights: Mapping[str, np.ndarray], config: Config) -> str:
    """A weights folder that `load_weights` reads; the weights' SHA-256."""
    save_safetensors(directory / WEIGHTS_FILE, weights, config)
    save_config(directory, config)
    return sha256(weights)


def save_config(directory: Path, config: Config) -> None:
    """The config as JSON, for people and for `load_weights`."""
    write_atomically(directory / CONFIG_FILE, json.dumps(configs.to_dict(config), indent=2).encode())


def load_weights(path: Path) -> tuple[Config, dict[str, np.ndarray]]:
    """Config and weights (float32; counters int32) by dotted name from any of the three forms.

    Raises:
      UserError: nothing there, or not one of ours, or broken.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".safetensors":
        return _load_safetensors(path)
    if (path / WEIGHTS_FILE).is_file():
        return _load_safetensors(path / WEIGHTS_FILE)
    if not path.exists():
        raise UserError(f"no checkpoint at {path}")
    workdir = path if (path / STEPS).is_dir() else path.parent.parent
    if (workdir / CONFIG_FILE).is_file() and (workdir / STEPS).is_dir():
        step = None if workdir == path else int(path.name) if path.name.isdigit() else None
        return load_config(workdir), TrainCheckpoints(workdir / STEPS).weights(step)
    raise UserError(
        f"{path} is no checkpoint: expected {WEIGHTS_FILE} (convert), a .safetensors file or a workdir with {STEPS}/"
    )


def load_config(directory: Path) -> Config:
    """The config beside weights or in a workdir."""
    path = directory / CONFIG_FILE
    try:
        return configs.freeze(json.loads(path.read_bytes()))
    except FileNotFoundError as e:
        raise UserError(f"no {CONFIG_FILE} in {directory}") from e
    except (ValueError, RecursionError) as e:
        raise UserError(f"{path} is no config: {e}") from e


def _load_safetensors(path: Path) -> tuple[Config, dict[str, np.ndarray]]:
    try:
        with safe_open(path, framework="numpy") as f:
            metadata = f.metadata() or {}
            weights = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a mapping
        config = json.loads(metadata["config"])
    except KeyError as e:
        raise UserError(f"{path} holds no config in its header: not written by this project") from e
    except (SafetensorError, ValueError, OSError) as e:
        raise UserError(f"{path} is no whole safetensors file: {e}") from e
    return configs.freeze(config), weights


class TrainCheckpoints:
    """Steps of one run: ``weights`` (flat by name) apart from ``rest`` (optimizer and position), newest kept."""

    def __init__(self, directory: Path, keep: int = 3):
        self.directory, self._keep = directory, keep
        self._manager = self._open() if directory.is_dir() else None

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self.directory.absolute(),
            item_handlers={"weights": ocp.StandardCheckpointHandler(), "rest": ocp.StandardCheckpointHandler()},
            options=ocp.CheckpointManagerOptions(max_to_keep=self._keep, create=False),
        )

    def latest(self) -> int | None:
        """The newest step, or None."""
        return None if self._manager is None else self._manager.latest_step()

    def save(self, step: int, weights: Mapping[str, Any], rest: Any) -> None:
        """Write a step; returns when the arrays are copied, the writing goes on beside the training."""
        if self._manager is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._manager = self._open()
        arguments = ocp.args.Composite(weights=ocp.args.StandardSave(dict(weights)), rest=ocp.args.StandardSave(rest))
        self._manager.save(step, args=arguments)

    def restore(self, step: int, weights: Mapping[str, Any], rest: Any) -> tuple[dict[str, Any], Any]:
        """Read a step onto the shapes, types and shardings of the abstract ``weights`` and ``rest``."""
        assert self._manager is not None
        arguments = ocp.args.Composite(
            weights=ocp.args.StandardRestore(dict(weights)), rest=ocp.args.StandardRestore(rest)
        )
        try:
            out = self._manager.restore(step, args=arguments)
        except (ValueError, KeyError, FileNotFoundError) as e:
            raise UserError(f"{self.directory}/{step} does not fit this config or is broken: {e}") from e
        return out["weights"], out["rest"]

    def weights(self, step: int | None = None) -> dict[str, np.ndarray]:
        """The weights alone, on the host: of ``step``, or of the newest."""
        step = self.latest() if step is None else step
        if self._manager is None or step is None:
            raise UserError(f"no finished checkpoint in {self.directory}")
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        try:
            shapes = self._manager.item_metadata(step)["weights"]
            target = {k: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=device) for k, v in shapes.items()}
            out = self._manager.restore(step, args=ocp.args.Composite(weights=ocp.args.StandardRestore(target)))
        except (ValueError, KeyError, TypeError, FileNotFoundError) as e:
            raise UserError(f"{self.directory}/{step} is broken: {e}") from e
        return {name: np.asarray(value) for name, value in out["weights"].items()}

    def close(self) -> None:
        """Wait until everything is written."""
        if self._manager is not None:
            self._manager.wait_until_finished()
            self._manager.close()
