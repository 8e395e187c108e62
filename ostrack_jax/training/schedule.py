"""Learning rates by step, and the number of search tokens by epoch.

What changes a value (a rate, the weight of a loss) is a function of `State.step` inside the compiled step; what changes
a shape (the tokens kept) is chosen for each epoch outside it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from ostrack_jax.config import Config, TrainConfig, steps_per_epoch
from ostrack_jax.models.elimination import kept_counts

_BETWEEN = 6  # sizes for the epochs in which the keep ratio falls; with the first and the last ratio's own: 8


class Kept(NamedTuple):
    """Search tokens left after each stage.

    Attributes:
      sizes: of the compiled step, at most 8 in a run.
      valid: how many of them count, where that is fewer; None: all.
    """

    sizes: tuple[int, ...]
    valid: tuple[int, ...] | None

    @property
    def exact(self) -> tuple[int, ...]:
        """The published counts."""
        return self.sizes if self.valid is None else self.valid


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


def keep_share(train: TrainConfig, epoch: int) -> float:
    """Share of the way from the model's keep ratio to 1 in ``epoch`` (the first is 1): 1, then a cosine down to 0."""
    if epoch < train.keep_from_epoch:
        return 1.0
    if epoch >= train.keep_until_epoch:
        return 0.0
    share = (epoch - train.keep_from_epoch) / (train.keep_until_epoch - train.keep_from_epoch)
    return 0.5 * (1 + math.cos(math.pi * share))


def keep_ratio(train: TrainConfig, base: float, epoch: int) -> float:
    """Training's keep ratio in ``epoch``: 1, then a cosine to ``base``, as released."""
    return base + (1 - base) * keep_share(train, epoch)


def kept_in_epoch(config: Config, epoch: int) -> Kept:
    """Search tokens left after each stage in ``epoch``; every stage has the scheduled ratio."""
    return kept_at(config, keep_share(config.train, epoch))


def kept_at(config: Config, share: float) -> Kept:
    """Search tokens left after each stage where the ratios are ``share`` of the way from the model's own to 1.

    On the way the counts are rounded up to one of a few sizes, so that not every epoch compiles.
    """
    exact = _counts(config, share)
    if share in (0.0, 1.0) or not exact:
        return Kept(exact, None)
    return Kept(_counts(config, math.ceil(share * _BETWEEN) / _BETWEEN), exact)


def _counts(config: Config, share: float) -> tuple[int, ...]:
    ratios = tuple(base + (1 - base) * share for base in config.model.keep_ratio)
    return kept_counts(ratios, (config.model.search_size // config.model.patch) ** 2)
