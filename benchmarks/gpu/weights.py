"""Pack a checkpoint to 8 bits, or cut out its first blocks for a shallower network.

Example: python benchmarks/gpu/weights.py pack small init.safetensors
         python benchmarks/gpu/weights.py cut small fast.safetensors benchmarks/gpu/vits4_168.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from ostrack_jax.checkpoint.files import load_weights, save_safetensors
from ostrack_jax.config import load
from ostrack_jax.models.interpolate import fitted


def main(what: str, checkpoint: str, output: str, name: str = "") -> None:
    """Write the 8-bit weights."""
    config, weights = load_weights(checkpoint)
    if what == "cut":
        config = load(name)
        deeper = tuple(f"backbone.blocks.{block}." for block in range(config.model.depth, 99))
        weights, _ = fitted(config.model, {key: value for key, value in weights.items() if not key.startswith(deeper)})
    save_safetensors(Path(output), weights, config, eight_bit=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
