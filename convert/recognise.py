"""Recognise the network and the settings of a file, to name the command or the config that fits.

It comes before every tensor is compared: with a wrong command or a wrong config nearly all would be misfits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ostrack_jax import config as configs
from ostrack_jax.config import ModelConfig
from ostrack_jax.errors import UserError, listed

SIZES = ("template_size", "search_size")  # pixels; only position embeddings depend on them

_NAMED = 4  # configs that fit, listed
_KINDS = (  # a pattern of names, what has it, the converters that read it; the first that fits
    (r"(^|\.)box_head\.", "an OSTrack network", ("ostrack",)),
    (r"^Transformer/", "a ViT by the names of the AugReg release", ("augreg",)),
    (r"(^|\.)encoder\.layers?\.\d+\.", "a ViT by the names of another library, not of a release", ()),
    (r"(^|\.)blocks\.\d+\.ls1\.gamma$", "a ViT with LayerScale, as DINOv2's", ("dinov2",)),
    (r"(^|\.)decoder_(embed|blocks)\.", "a ViT of MAE's pretraining", ("mae",)),
    (r"(^|\.)dist_token$", "a distilled DeiT", ("deit",)),
    (r"(^|\.)patch_embed\.proj\.weight$", "a plain ViT, as MAE's and DeiT's", ("mae", "deit")),
)
# Settings by the tensors that a network has for them, see `releases`.
_OPTIONS = {
    "identity_embeddings": ("template_segment_pos_embed", "temporal_pos_embed_z"),
    "relative_positions": ("blocks.0.attn.relative_position_bias_table",),
}

Settings = dict[str, Any]


def check_command(tensors: Mapping[str, Any], command: str) -> None:
    """Raise `UserError` where the file is for another of the converters than ``command``."""
    for pattern, what, commands in _KINDS:
        if any(re.search(pattern, name) for name in tensors):
            if command not in commands:
                right = " or ".join(f"`ostrack convert {name}`" for name in commands)
                raise UserError(f"holds {what}; expected {right or 'the file that its authors published'}")
            return


def check_settings(shown: Settings, model: ModelConfig) -> None:
    """Raise `UserError` where a file shows other settings than the config's; names those, and configs, that fit."""
    others = {name: value for name, value in shown.items() if value != getattr(model, name)}
    if not others:
        return
    found = ", ".join(f"{name} {value}, not {getattr(model, name)}" for name, value in others.items())
    resize = "; or --resize_positions, to interpolate the position embeddings" if others.keys() <= {*SIZES} else ""
    if "width" in others and "heads" not in shown:  # no tensor's shape shows the heads
        heads = {size["width"]: size["heads"] for size in configs.VIT_SIZES.values()}
        others |= {"heads": heads[others["width"]]} if others["width"] in heads else {}
    flags = " ".join(f"--config.model.{name}={value}" for name, value in others.items())
    fit = [name for name in configs.names() if shown.items() <= vars(configs.load(name).model).items()]
    fitting = f"--config {listed(fit, _NAMED)}; or " if fit else ""
    raise UserError(f"the tensors do not fit the config: they are of model.{found}; give {fitting}{flags}{resize}")


def ostrack_settings(tensors: Mapping[str, np.ndarray]) -> Settings:
    """The settings that the tensors of an OSTrack network imply; one of an odd shape implies none."""
    shown = vit_settings(tensors, "backbone.")
    kernel = tensors.get("backbone.patch_embed.proj.weight")
    if kernel is not None and kernel.ndim == 4:
        shown["patch"] = kernel.shape[2]
        for setting, name, first in (
            ("pretraining_size", "backbone.pos_embed", 1),
            ("template_size", "backbone.pos_embed_z", 0),
            ("search_size", "backbone.pos_embed_x", 0),
        ):
            if name in tensors and (side := grid_side(tensors[name].shape, first)):
                shown[setting] = side * kernel.shape[2]
    first = tensors.get("box_head.conv1_ctr.0.weight")
    if first is not None and first.ndim == 4:
        shown["head_channels"] = len(first)
    for setting, names in _OPTIONS.items():
        shown[setting] = any(f"backbone.{name}" in tensors for name in names)
    return shown


def vit_settings(tensors: Mapping[str, np.ndarray], before: str = "") -> Settings:
    """The width and depth that the tensors of an encoder imply."""
    bias = tensors.get(f"{before}patch_embed.proj.bias")
    shown = {"width": len(bias)} if bias is not None and bias.ndim == 1 else {}
    blocks = [int(match[1]) for name in tensors if (match := re.match(rf"{before}blocks\.(\d{{1,3}})\.", name))]
    return shown | ({"depth": max(blocks) + 1} if blocks else {})


def grid_side(shape: tuple[int, ...], first: int) -> int:
    """The side in patches of a square grid of positions (1, first + side * side, c); 0 where it is none."""
    count = shape[1] - first if len(shape) == 3 and shape[0] == 1 else 0
    side = math.isqrt(max(count, 0))
    return side if side * side == count else 0
