"""Pack a checkpoint to 8 bits, or cut out its first blocks for a shallower network.

Example: python benchmarks/gpu/weights.py pack small init.safetensors
         python benchmarks/gpu/weights.py cut small fast.safetensors benchmarks/gpu/vits4_168.py
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import cv2
import numpy as np

from ostrack_jax.checkpoint.files import load_weights, save_safetensors
from ostrack_jax.config import load


def resize_positions(positions: np.ndarray, side: int) -> np.ndarray:
    """Resize position embeddings, a row a token of a square grid, to a grid of ``side``."""
    before = math.isqrt(len(positions))
    grid = np.asarray(positions, np.float32).reshape(before, before, -1)
    planes = (np.ascontiguousarray(plane) for plane in np.moveaxis(grid, -1, 0))
    resized = [cv2.resize(plane, (side, side), interpolation=cv2.INTER_CUBIC) for plane in planes]
    return np.stack(resized, -1).reshape(side * side, -1)


def main(what: str, checkpoint: str, output: str, name: str = "") -> None:
    """Write the 8-bit weights."""
    config, weights = load_weights(checkpoint)
    if what == "cut":
        config = load(name)
        model = config.model
        sides = {
            "backbone.pos_embed_search": model.search_size // model.patch,
            "backbone.pos_embed_template": model.template_size // model.patch,
        }
        weights = {
            key: resize_positions(value, sides[key]) if key in sides else value
            for key, value in weights.items()
            if ".blocks." not in key or int(key.split(".")[2]) < model.depth
        }
    save_safetensors(Path(output), weights, config, eight_bit=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
