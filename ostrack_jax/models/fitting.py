"""Weights made at other crop sizes. Enters: weights by name, a config. Leaves: the same for its sizes, and notices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ostrack_jax.config import ModelConfig
from ostrack_jax.models.interpolate import resize_positions


def fitted(config: ModelConfig, weights: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """``weights`` with position embeddings for the config's crops, and a notice for each that was resized.

    Bicubic, as the release makes those of 384 from a backbone trained at 224. All else stays as it is; whether it
    fits is for `weights.check` to say.
    """
    out, notices = dict(weights), []
    for name, size in (("template", config.template_size), ("search", config.search_size)):
        key, side = f"backbone.pos_embed_{name}", size // config.patch
        positions = out.get(key)
        if positions is None or np.ndim(positions) != 2 or len(positions) == side * side:
            continue
        old = math.isqrt(len(positions))
        if old * old == len(positions) and old > 0:
            out[key] = resize_positions(np.asarray(positions).reshape(old, old, -1), side)
            notices.append(f"{key} resized from {old} x {old} to {side} x {side} patches")
    return out, notices
