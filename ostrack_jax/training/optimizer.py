"""AdamW with two learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optax

from ostrack_jax.config import Config
from ostrack_jax.training.schedule import learning_rate

BACKBONE = "backbone."


def optimizer(config: Config) -> optax.GradientTransformation:
    """Clip by the global norm, AdamW with decay on every parameter, the backbone at its own smaller rate.

    Parameters are a flat dict by dotted name.
    """

    def in_backbone(params: Mapping[str, Any]) -> dict[str, bool]:
        return {name: name.startswith(BACKBONE) for name in params}

    train = config.train
    return optax.chain(
        optax.clip_by_global_norm(train.clip_norm),
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
        optax.add_decayed_weights(train.weight_decay),
        optax.scale_by_learning_rate(learning_rate(config)),
        optax.masked(optax.scale(train.backbone_lr_scale), in_backbone),
    )
