"""Weights and training states on disk: `files` (weights alone), `steps` (the checkpoints of a run)."""

from ostrack_jax.checkpoint.files import load_config, load_weights, save_weights, sha256

__all__ = ["load_config", "load_weights", "save_weights", "sha256"]
