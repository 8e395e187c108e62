"""Check a run's settings and data sets before anything is compiled."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np

from ostrack_jax.config import Config, steps_per_epoch
from ostrack_jax.errors import UserError, unknown
from ostrack_jax.models.weights import trained_names, weight_shapes
from ostrack_jax.pipeline.loader import Use, make_one, open_sources
from ostrack_jax.pipeline.sampling import Source, is_eligible
from ostrack_jax.training.images import use_of
from ostrack_jax.training.schedule import peak_rate
from ostrack_jax.training.step import is_frozen

_SAMPLE = 50  # sequences of a set that are looked at


def check_settings(config: Config) -> Iterator[str]:
    """Yield the settings that will never come into effect, a line each.

    Raises:
      UserError: settings that no run can have.
    """
    train, model, steps = config.train, config.model, steps_per_epoch(config)
    if train.validate_every:
        steps_per_epoch(config, "validation")
    names = weight_shapes(model).keys()
    for start in train.freeze:
        if not start or not any(name.startswith(start) for name in names):
            raise unknown("beginning of a parameter's name in config.train.freeze:", start, names)
    if all(is_frozen(config, name) for name in trained_names(model)):
        raise UserError(f"config.train.freeze: {train.freeze} leaves no parameter to train")
    of = f"config.train.epochs={train.epochs}"
    if train.schedule == "step" and train.drop_epoch >= train.epochs:
        yield f"config.train.drop_epoch={train.drop_epoch}: with {of} the learning rate never drops"
    if train.warmup_epochs >= train.epochs:
        yield f"config.train.warmup_epochs={train.warmup_epochs:g}: with {of} the learning rate never reaches its peak"
    if model.keep_ratio and train.keep_until_epoch > train.epochs:
        yield f"config.train.keep_until_epoch={train.keep_until_epoch}: with {of} more tokens are kept than the model's"
    if train.save_minutes and train.log_every >= steps:
        yield (
            f"config.train.save_minutes={train.save_minutes:g}: a run saves at multiples of log_every="
            f"{train.log_every} steps, and none lies within an epoch of {steps}"
        )


def open_checked(config: Config) -> dict[Use, tuple[Source, ...]]:
    """The data sets of the training and, where it has such, of its validations and images; each gives a pair.

    Raises:
      UserError: one is missing, has no sequence, or gives no pair.
    """
    uses: list[Use] = ["train"]
    if config.train.validate_every or (config.train.picture_every and use_of(config) == "validation"):
        uses.append("validation")
    opened: dict[Use, tuple[Source, ...]] = {use: open_sources(config, use) for use in uses}
    for use, sources in opened.items():
        for source in sources:
            make_one(config, use, source)
    return opened


def describe(
    config: Config, workdir: Path, origin: str, step: int, devices: int, sources: Mapping[Use, tuple[Source, ...]]
) -> str:
    """The first lines of a run: start, devices, learning rate and data; or that nothing is left to train."""
    train = config.train
    if step >= train.epochs * steps_per_epoch(config):
        return (
            f"{config.name}: all {train.epochs} epochs are done ({origin}): nothing is left to train. More epochs: "
            f"--config.train.epochs=N above {train.epochs}; another run from these weights: --init {workdir} and "
            "another --workdir"
        )
    shapes = weight_shapes(config.model)
    sizes = {name: math.prod(shapes[name]) for name in trained_names(config.model)}
    frozen = sum(size for name, size in sizes.items() if is_frozen(config, name))
    rate, hosts = peak_rate(train), f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
    lines = [
        f"{config.name}: from {origin}; {devices} {jax.devices()[0].platform} device(s){hosts}; batch {train.batch}; "
        f"learning rate {rate:.3g} (backbone {rate * train.backbone_lr_scale:.3g}); "
        f"{frozen:,} of {sum(sizes.values()):,} parameters frozen",
        *(f"{use}: {', '.join(eligible(config, source) for source in of)}" for use, of in sources.items()),
    ]
    return "\n".join(lines)


def eligible(config: Config, source: Source) -> str:
    """How many sequences of a set `is_eligible` leaves; of a large one by a random sample."""
    count, left = len(source.sequences), 0
    sample = np.random.default_rng(0).permutation(count)[:_SAMPLE].tolist()
    for i in sample:
        with contextlib.suppress(UserError, OSError):  # drawn again in training, and counted there
            left += is_eligible(source.sequences[i], config.pairs)
    if len(sample) < count:
        return f"{source.name} {left / len(sample):.0%} of {count:,} sequences (by {len(sample)} of them)"
    return f"{source.name} {left:,} of {count:,} sequences"
