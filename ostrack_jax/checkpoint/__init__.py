"""Weights and train states on disk: `files` (weights alone, for all who load them), `steps` (a run's checkpoints)."""

from ostrack_jax.checkpoint.files import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    load_config,
    load_weights,
    save_config,
    save_safetensors,
    save_weights,
    sha256,
    write_atomically,
)
from ostrack_jax.checkpoint.steps import BEST, STEPS, BrokenStepError, TrainCheckpoints

__all__ = [
    "BEST",
    "CONFIG_FILE",
    "STEPS",
    "WEIGHTS_FILE",
    "BrokenStepError",
    "TrainCheckpoints",
    "load_config",
    "load_weights",
    "save_config",
    "save_safetensors",
    "save_weights",
    "sha256",
    "write_atomically",
]
