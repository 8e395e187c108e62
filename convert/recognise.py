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

Shown = dict[str, tuple[Any, str]]  # a setting's value and the tensor that shows it


def check_command(tensors: Mapping[str, Any], command: str) -> None:
    """Raise `UserError` where the file is for another of the converters than ``command``."""
    for pattern, what, commands in _KINDS:
        if any(re.search(pattern, name) for name in tensors):
            if command not in commands:
                right = " or ".join(f"`ostrack convert {name}`" for name in commands)
                raise UserError(f"holds {what}; expected {right or 'the file that its authors published'}")
            return


def check_settings(shown: Shown, model: ModelConfig) -> None:
    """Raise `UserError` where a file shows other settings than the config's; names those, and configs, that fit."""
    others = {name: value for name, (value, _) in shown.items() if value != getattr(model, name)}
    if not others:
        return
    found = [f"{name} {value} (by {shown[name][1]}), not {getattr(model, name)}" for name, value in others.items()]
    resize = "; or --resize_positions, to interpolate the position embeddings" if others.keys() <= {*SIZES} else ""
    if "width" in others and "heads" not in shown:  # no tensor's shape shows the heads
        heads = {size["width"]: size["heads"] for size in configs.VIT_SIZES.values()}
        others |= {"heads": heads[others["width"]]} if others["width"] in heads else {}
    flags = " ".join(f"--config.model.{name}={value}" for name, value in others.items())
    settings = {name: value for name, (value, _) in shown.items()}
    fit = [name for name in configs.names() if settings.items() <= vars(configs.load(name).model).items()]
    named = f"--config {listed(fit, _NAMED)}; or " if fit else ""
    text = f"they are of model.{', '.join(found)}; give {named}{flags}{resize}"
    raise UserError(f"the tensors do not fit the config: {text}")


def ostrack_settings(tensors: Mapping[str, np.ndarray]) -> Shown:
    """The settings that the tensors of an OSTrack network imply; one of an odd shape implies none."""
    shown = vit_settings(tensors, "backbone.")
    kernel = tensors.get(name := "backbone.patch_embed.proj.weight")
    patch = kernel.shape[2] if kernel is not None and kernel.ndim == 4 else 0
    if patch:
        shown["patch"] = patch, name
        for setting, name, first in (
            ("pretraining_size", "backbone.pos_embed", 1),
            ("template_size", "backbone.pos_embed_z", 0),
            ("search_size", "backbone.pos_embed_x", 0),
        ):
            if name in tensors and (side := _side(tensors[name], first)):
                shown[setting] = side * patch, name
    first = tensors.get(name := "box_head.conv1_ctr.0.weight")
    if first is not None and first.ndim == 4:
        shown["head_channels"] = first.shape[0], name
    for setting, names in _OPTIONS.items():
        found = next((name for ending in names if (name := f"backbone.{ending}") in tensors), None)
        shown[setting] = found is not None, found or f"the absence of backbone.{names[0]}"
    return shown


def vit_settings(tensors: Mapping[str, np.ndarray], before: str = "") -> Shown:
    """The width and depth that the tensors of an encoder imply."""
    bias = tensors.get(name := f"{before}patch_embed.proj.bias")
    width: Shown = {"width": (len(bias), name)} if bias is not None and bias.ndim == 1 else {}
    return width | _depth(tensors, rf"{before}blocks\.(\d{{1,3}})\.")


def augreg_settings(tensors: Mapping[str, np.ndarray]) -> Shown:
    """The same of an AugReg file, and its heads."""
    query = tensors.get(name := "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel")
    shown = _depth(tensors, r"Transformer/encoderblock_(\d{1,3})/")
    if query is None or query.ndim != 3:
        return shown
    return {"width": (query.shape[0], name), "heads": (query.shape[1], name), **shown}


def _depth(tensors: Mapping[str, np.ndarray], block: str) -> Shown:
    """The last block's number, by a pattern of its tensors' names."""
    found = {int(match[1]): name for name in tensors if (match := re.match(block, name))}
    return {"depth": (max(found) + 1, found[max(found)])} if found else {}


def _side(positions: np.ndarray, first: int) -> int:
    """The side in patches of a square grid of positions (1, first + side * side, c); 0 where it is none."""
    count = positions.shape[1] - first if positions.ndim == 3 else 0
    side = math.isqrt(max(count, 0))
    return side if side * side == count else 0
