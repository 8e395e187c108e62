"""A checkpoint small enough to make and compile in seconds."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
    """A weights folder of a very small untrained model named `small`, and the weights' hash."""
    from ostrack_jax.checkpoint.files import save_weights
    from ostrack_jax.config import Config, ModelConfig
    from ostrack_jax.models.weights import weight_shapes

    model = ModelConfig(width=16, depth=1, heads=2, patch=8, head_channels=8, template_size=16, search_size=32)
    rng = np.random.default_rng(0)
    weights = {
        name: np.abs(rng.normal(0, 0.1, shape)).astype(np.float32) for name, shape in weight_shapes(model).items()
    }
    folder = tmp_path_factory.mktemp("weights")
    return folder, save_weights(folder, weights, Config(name="small", model=model))
