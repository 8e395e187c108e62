"""Multiply-accumulates of a forward pass by part, and the number of parameters."""

from __future__ import annotations

import itertools
import math

from ostrack_jax.config import ModelConfig
from ostrack_jax.models.elimination import kept_counts
from ostrack_jax.models.weights import trained_names, weight_shapes


def macs(config: ModelConfig, kept: tuple[int, ...] | None = None) -> dict[str, int]:
    """Multiply-accumulates of one template and one search crop, by part.

    ``kept``: search tokens left after each stage (None: by the config's ratios).

    ``embed``, ``attention`` (qkv and projection), ``mlp`` and ``head`` are what the paper counts; ``products`` are the
    two attention products (q k^T and weights v) that its counter leaves out.
    """
    width, grid = config.width, (config.search_size // config.patch) ** 2
    template = (config.template_size // config.patch) ** 2
    counts = kept_counts(config.keep_ratio, grid) if kept is None else kept
    stages = dict(zip(config.eliminate_at, counts, strict=True))
    parts = {"embed": (template + grid) * 3 * config.patch**2 * width, "attention": 0, "mlp": 0, "products": 0}
    tokens = template + grid
    for block in range(config.depth):
        parts["attention"] += tokens * 4 * width**2
        pairs = tokens**2 if block >= config.joint_from else template**2 + (tokens - template) ** 2
        parts["products"] += 2 * pairs * width
        tokens = template + stages[block] if block in stages else tokens
        parts["mlp"] += tokens * 2 * config.mlp_ratio * width**2
    channels = [config.width, *(config.head_channels >> halvings for halvings in range(4))]
    convolutions = sum(9 * before * after for before, after in itertools.pairwise(channels))
    parts["head"] = grid * (3 * convolutions + 5 * channels[-1])  # a score, an offset of 2 numbers, a size of 2
    return parts


def as_the_paper_counts(parts: dict[str, int]) -> int:
    """All parts but the attention products."""
    return sum(parts.values()) - parts["products"]


def parameters(config: ModelConfig) -> int:
    """Trained numbers."""
    shapes = weight_shapes(config)
    return sum(math.prod(shapes[name]) for name in trained_names(config))
