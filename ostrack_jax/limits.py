"""What values the settings may have. Enters: a `Config`. Leaves: nothing, or an error that names the setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostrack_jax.errors import UserError, unknown

if TYPE_CHECKING:
    from ostrack_jax.config import Config, ModelConfig

TEMPLATE_ROWS = ("ctr_point", "ctr_rec", "gt_box", "all", "paper_centre")

_POSITIVE = {
    "model": ("width", "depth", "heads", "patch", "mlp_ratio", "template_factor", "search_factor"),
    "pairs": ("max_gap",),
    "train": (
        "batch",
        "epochs",
        "pairs_per_epoch",
        "lr",
        "drop_factor",
        "clip_norm",
        "save_every",
        "log_every",
        "accumulate",
        "shard",
    ),
}
_NOT_NEGATIVE = {
    "model": ("layer_scale",),
    "pairs": ("min_frames", "min_visible", "centre_jitter", "scale_jitter"),
    "train": (
        *("seed", "lr_batch", "backbone_lr_scale", "drop_epoch", "warmup_epochs", "weight_decay", "keep_checkpoints"),
        *("giou_weight", "l1_weight", "focal_weight", "bn_group", "validate_every", "validation_pairs", "workers"),
        *("picture_every", "save_minutes"),
    ),
    "track": ("margin",),
}
_SHARES = {
    "pairs": (
        *("grayscale", "flip", "brightness"),
        *("contrast", "saturation", "tint", "blur", "coarse", "occlude"),
    )
}


def check(config: Config) -> None:
    """Values no run can have, told in one line each."""
    for table, fits, right in (
        (_POSITIVE, lambda value: value > 0, "a value above 0"),
        (_NOT_NEGATIVE, lambda value: value >= 0, "0 or more"),
        (_SHARES, lambda value: 0 <= value <= 1, "a share between 0 and 1"),
    ):
        for group, keys in table.items():
            for key in keys:
                value = getattr(getattr(config, group), key)
                if not fits(value):
                    raise UserError(f"config.{group}.{key}: expected {right}, found {value}")
    _check_model(config.model)
    train = config.train
    if not 0 <= train.keep_from_epoch <= train.keep_until_epoch:
        raise UserError("config.train.keep_from_epoch: must lie between 0 and keep_until_epoch")
    if train.bn_group and train.batch % train.bn_group and train.batch > train.bn_group:
        raise UserError(f"config.train.bn_group: {train.bn_group} does not divide the batch {train.batch}")
    if train.batch % train.accumulate:
        raise UserError(f"config.train.accumulate: {train.accumulate} does not divide the batch {train.batch}")
    part = train.batch // train.accumulate
    if train.accumulate > 1 and (not train.bn_group or part % train.bn_group):
        raise UserError(
            f"config.train.accumulate: parts of {part} pairs do not hold whole groups of bn_group={train.bn_group} "
            "(0 is the whole batch, which no part holds)"
        )
    if not 0 <= train.ema < 1:
        raise UserError(f"config.train.ema: {train.ema} must lie in [0, 1)")
    if train.schedule not in ("step", "cosine"):
        raise unknown("config.train.schedule", train.schedule, ("step", "cosine"))
    for name, data in config.data.items():
        if data.use not in ("train", "validation"):
            raise unknown(f"config.data.{name}.use", data.use, ("train", "validation"))
        if data.weight < 0:
            raise UserError(f"config.data.{name}.weight: expected 0 or more, found {data.weight}")


def _check_model(model: ModelConfig) -> None:
    for name in ("template_size", "search_size"):
        if getattr(model, name) <= 0 or getattr(model, name) % model.patch:
            raise UserError(f"config.model.{name}: {getattr(model, name)} is no multiple of the patch {model.patch}")
    if model.pretraining_size < model.patch:
        raise UserError(f"config.model.pretraining_size: {model.pretraining_size} is less than the patch {model.patch}")
    if model.width % model.heads:
        raise UserError(f"config.model.heads: the width {model.width} does not divide into {model.heads} heads")
    if model.head_channels <= 0 or model.head_channels % 8:
        raise UserError(f"config.model.head_channels: {model.head_channels} does not halve three times")
    if len(model.eliminate_at) != len(model.keep_ratio):
        raise UserError(f"config.model.keep_ratio: {len(model.keep_ratio)} ratios for {len(model.eliminate_at)} blocks")
    if list(model.eliminate_at) != sorted(set(model.eliminate_at)) or any(
        not 0 <= block < model.depth for block in model.eliminate_at
    ):
        raise UserError(f"config.model.eliminate_at: {model.eliminate_at} must rise and lie below {model.depth}")
    if any(not 0 < ratio <= 1 for ratio in model.keep_ratio):
        raise UserError(f"config.model.keep_ratio: {model.keep_ratio} must lie in (0, 1]")
    if not 0 <= model.joint_from < model.depth:
        raise UserError(f"config.model.joint_from: {model.joint_from} must lie below the depth {model.depth}")
    if model.eliminate_at and model.eliminate_at[0] < model.joint_from:
        raise UserError(
            f"config.model.eliminate_at: block {model.eliminate_at[0]} has no joint attention to rank candidates by, "
            f"which begins at joint_from={model.joint_from}"
        )
    if model.relative_positions and model.eliminate_at:
        raise UserError("config.model.relative_positions: expected no elimination (eliminate_at=(), keep_ratio=())")
    if not 0 < model.init_std <= 1:
        raise UserError(f"config.model.init_std: {model.init_std} must lie in (0, 1]")
    if not 0 <= model.drop_path < 1:
        raise UserError(f"config.model.drop_path: {model.drop_path} must lie in [0, 1)")
    for key, value, choices in (
        ("template_rows", model.template_rows, TEMPLATE_ROWS),
        ("dtype", model.dtype, ("float32", "bfloat16", "float64")),
        ("attention", model.attention, ("auto", "xla", "cudnn")),
    ):
        if value not in choices:
            raise unknown(f"config.model.{key}", value, choices)
    if model.attention == "cudnn" and model.dtype != "bfloat16":
        raise UserError(f"config.model.attention: cudnn computes in bfloat16, found config.model.dtype={model.dtype}")
