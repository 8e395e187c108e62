"""Checkpoints small enough to make and compile in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ostrack_jax.checkpoint.files import save_weights
from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.models.weights import weight_shapes

VERY_SMALL = ModelConfig(width=16, depth=1, heads=2, patch=8, head_channels=8, template_size=16, search_size=32)


def save_random_weights(directory: Path, model: ModelConfig = VERY_SMALL) -> str:
    """Write a weights directory of an untrained model named `small`; return the weights' hash."""
    rng = np.random.default_rng(0)
    weights = {
        name: np.abs(rng.normal(0, 0.1, shape)).astype(np.float32) for name, shape in weight_shapes(model).items()
    }
    return save_weights(directory, weights, Config(name="small", model=model))
