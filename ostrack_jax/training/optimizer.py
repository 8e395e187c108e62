"""AdamW with two learning rates, and every schedule. Enters: the train config. Leaves: an optax transformation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import optax

from ostrack_jax.config import Config, TrainConfig
from ostrack_jax.models.elimination import kept_counts
from ostrack_jax.pipeline.loader import steps_per_epoch

BACKBONE = "backbone."


def peak_rate(train: TrainConfig) -> float:
    """The head's learning rate: ``lr`` at ``lr_batch`` pairs a step, linear in the batch (as it is where that is 0)."""
    return train.lr * (train.batch / train.lr_batch if train.lr_batch else 1.0)


def learning_rate(config: Config) -> optax.Schedule:
    """Step -> the head's learning rate: linear warm-up, then constant with one drop, or a cosine to zero."""
    train = config.train
    per_epoch, peak = steps_per_epoch(config), peak_rate(train)
    warmup, total = train.warmup_epochs * per_epoch, train.epochs * per_epoch

    def rate(step: Any) -> Any:
        if train.schedule == "cosine":
            share = jnp.clip((step - warmup) / max(total - warmup, 1), 0, 1)
            factor = 0.5 * (1 + jnp.cos(jnp.pi * share))
        else:
            factor = jnp.where(step < train.drop_epoch * per_epoch, 1.0, train.drop_factor)
        return peak * factor * jnp.minimum((step + 1) / max(warmup, 1), 1.0)

    return rate


def keep_ratio(train: TrainConfig, base: float, epoch: int) -> float:
    """Training's keep ratio in ``epoch`` (the first is 1): 1, then a cosine to ``base``, as released."""
    if epoch < train.keep_from_epoch:
        return 1.0
    if epoch >= train.keep_until_epoch:
        return base
    share = (epoch - train.keep_from_epoch) / (train.keep_until_epoch - train.keep_from_epoch)
    return base + (1 - base) * 0.5 * (1 + math.cos(math.pi * share))


def kept_in_epoch(config: Config, epoch: int) -> tuple[int, ...]:
    """Search tokens kept after each stage in ``epoch`` (the first is 1); every stage has the scheduled ratio."""
    model = config.model
    ratios = tuple(keep_ratio(config.train, base, epoch) for base in model.keep_ratio)
    return kept_counts(ratios, (model.search_size // model.patch) ** 2)


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
