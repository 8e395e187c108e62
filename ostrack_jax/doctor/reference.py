"""Compare the network's forward pass on this machine with a stored reference.

`reference.npz` holds two pairs of crops and the outputs of a small network with known weights, computed in float64.
"""

from __future__ import annotations

import zlib
from importlib import resources

import jax
import numpy as np
from flax import nnx

from ostrack_jax.config import ModelConfig
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.models.weights import model_of, weight_shapes

TOLERANCE = 1e-4  # of boxes (fractions of the search region) and score maps
MODEL = ModelConfig(
    width=128,
    depth=3,
    heads=2,
    head_channels=64,
    template_size=64,
    search_size=128,
    eliminate_at=(1,),
    keep_ratio=(0.7,),
)


def load() -> dict[str, np.ndarray]:
    """The stored reference: `template`, `search` (uint8 crops), `boxes`, `score_map`, `eliminated` (rising)."""
    with resources.as_file(resources.files("ostrack_jax.doctor") / "reference.npz") as path, np.load(path) as stored:
        return dict(stored)


def known_weights(config: ModelConfig) -> dict[str, np.ndarray]:
    """Weights that each depend on their own name alone, from a stream that numpy keeps frozen."""
    return {name: _tensor(name, shape) for name, shape in weight_shapes(config).items()}


def check_forward() -> Finding:
    """Run the network on jax's default device and compare."""
    stored = load()
    graph, state = nnx.split(model_of(MODEL, known_weights(MODEL)))

    @jax.jit
    def forward(state: nnx.State, template: jax.Array, search: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        out = nnx.merge(graph, state)(template, search, details=True)
        return out.boxes, out.score_map, out.eliminated[0]

    boxes, score_map, eliminated = jax.device_get(forward(state, stored["template"], stored["search"]))
    same = np.array_equal(np.sort(eliminated), stored["eliminated"])
    error = max(np.abs(boxes - stored["boxes"]).max(), np.abs(score_map - stored["score_map"]).max())
    if same and error <= TOLERANCE:
        return Finding("ok", f"forward pass agrees with the stored reference (largest difference {error:.1e})")
    tokens = "the same" if same else "other"
    text = f"forward pass differs from the stored reference by {error:.1e} and eliminates {tokens} tokens"
    fix = f"expected at most {TOLERANCE:.0e}; another version of jax or of the driver, or JAX_PLATFORMS=cpu, shows more"
    return Finding("wrong", text, fix)


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("count"):
        return np.zeros(shape, np.int32)
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("var"):
        value = 1.0 + 0.2 * np.tanh(noise)
    elif name.endswith("scale"):
        value = 1.0 + 0.1 * noise
    elif name.endswith("kernel"):
        gain = 1.6 if "qkv" in name else 1.0 if "score.final" in name else 0.3 if "final" in name else 1.4
        value = gain / np.sqrt(np.prod(shape[:-1])) * noise
    elif name.endswith(("bias", "mean")):
        value = 0.05 * noise + (0.5 if name.endswith("offset.final.bias") else 0.0)
    else:  # position embeddings
        value = 0.4 * noise
    return value.astype(np.float32)
