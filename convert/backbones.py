"""Convert the pretrained backbones of four releases: MAE, DeiT, AugReg and DINOv2.

The position embedding is interpolated to the template's and the search region's grids (the class token's place is
dropped), and the patch kernel where the config's patch size is another, both as the published code does. The class
token and the positions of the pretraining are kept for export, at the config's ``pretraining_size``. The head keeps its
own initialisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as model_weights
from ostrack_jax.models.embed import IMAGENET_MEAN, IMAGENET_STD
from ostrack_jax.models.interpolate import resize_grid, resize_positions

from . import recognise, releases
from .files import named, read_tensors

KERNEL, BIAS, POSITIONS = "backbone.patch_embed.kernel", "backbone.patch_embed.bias", "backbone.pos_embed"
LEFT_OUT = {  # by release, how the names of what the tracker has no use for begin
    "mae": ("decoder_", "mask_token", "head.", "fc_norm."),
    "deit": ("head.", "head_dist.", "dist_token"),
    "augreg": ("head/", "pre_logits/"),
    "dinov2": ("mask_token", "register_tokens", "head."),
}

Tensors = dict[str, np.ndarray]


def convert(release: str, source: Path, config: Config, seed: int, key: str = "") -> tuple[Tensors, list[str]]:
    """Read a file of a release and convert it, see `from_release`; ``key``: where in the file, see `files.find`."""
    tensors = read_tensors(source, key)
    try:
        return from_release(release, tensors, config, seed)
    except UserError as e:
        raise UserError(f"{source}: {e}") from e


def from_release(
    release: str, tensors: Mapping[str, np.ndarray], config: Config, seed: int
) -> tuple[Tensors, list[str]]:
    """Convert a file's tensors to weights by dotted name, and notices for the user.

    Args:
      release: mae, deit, augreg or dinov2.
      tensors: the file's.
      config: whose model the weights are for.
      seed: of the initialisation of what the file does not give.

    Raises:
      UserError: the file is another release's or for another config, which the message names; or tensors are missing,
        unexpected, misshapen or of the wrong kind, all of them at once.
    """
    model, notices = config.model, []
    if release == "dinov2" and any(".mlp.w12." in name for name in tensors):
        raise UserError("its MLP is gated (SwiGLU, as in DINOv2's ViT-g); expected ViT-S, ViT-B or ViT-L")
    tensors = named(tensors, "patch_embed.proj.weight")
    recognise.check_command(tensors, release)
    settings = {}
    if release == "augreg":
        query = tensors.get("Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel")
        settings = {"heads": query.shape[1]} if query is not None and query.ndim == 3 else {}
        tensors = releases.augreg_as_vit(tensors)
    recognise.check_settings(recognise.vit_settings(tensors) | settings, model)
    _check_layer_scale(model, release == "dinov2")

    table = releases.vit(model.depth, layer_scale=release == "dinov2")
    encoder = {name: value for name, value in tensors.items() if not name.startswith(LEFT_OUT[release])}
    if release == "mae" and "fc_norm.weight" in tensors and "norm.weight" not in tensors:
        del table["norm.weight"], table["norm.bias"]
        notices.append("a fine-tuned file, with fc_norm in place of norm: the final norm keeps its initial value")
    if release == "deit" and "dist_token" in tensors:
        positions = encoder.get("pos_embed")
        if positions is not None and positions.ndim == 3 and positions.shape[1] > 1:
            encoder["pos_embed"] = np.delete(positions, 1, axis=1)  # class, distillation, then the grid
        notices.append("a distilled file: its distillation token and that token's position are left out")
    if "register_tokens" in tensors and release == "dinov2":
        notices.append("its register tokens are left out: the network meets its tokens without them")

    fitted = _fit(encoder, table, model)
    if release == "dinov2":
        notices += _scale_kernel(fitted, encoder, model)
    if release == "augreg":
        _see_imagenet(fitted)
        notices.append(
            "made for pixels within -1 .. 1: patch kernel and bias are rewritten for ImageNet's mean and deviation"
        )
    return model_weights.initial_weights(model, seed) | fitted, notices


def _check_layer_scale(model: ModelConfig, has: bool) -> None:
    """Raise `UserError` where the config has LayerScale and the release has not, or the reverse."""
    if has and not model.layer_scale:
        raise UserError("the network has LayerScale: expected config.model.layer_scale above 0, such as 1e-5")
    if model.layer_scale and not has:
        raise UserError(f"the network has no LayerScale: expected config.model.layer_scale 0, not {model.layer_scale}")


def _fit(tensors: Tensors, table: releases.Table, model: ModelConfig) -> Tensors:
    """Give the backbone our names, and kernel and positions the config's sizes.

    Args:
      tensors: by the release's names; of positions the class token's first, then the grid's.
      table: which tensors there must be, and where they go.
      model: whose backbone it becomes.

    Raises:
      UserError: tensors missing, unexpected, misshapen or of the wrong kind; all of them at once.
    """
    shapes = model_weights.weight_shapes(model)
    # of these two any size will do
    kernel, positions = tensors.get("patch_embed.proj.weight"), tensors.get("pos_embed")
    if kernel is not None and kernel.ndim == 4 and kernel.shape[2] == kernel.shape[3] > 0:
        shapes[KERNEL] = (*kernel.shape[2:], 3, model.width)
    if positions is not None and recognise.grid_side(positions.shape, 1):
        shapes[POSITIONS] = (*positions.shape[:2], model.width)
    out = releases.to_ours(tensors, table, shapes)
    if out[KERNEL].shape[0] != model.patch:
        out[KERNEL] = resize_grid(out[KERNEL], model.patch)
    positions, side = out[POSITIONS], recognise.grid_side(out[POSITIONS].shape, 1)
    square, grid = positions[0, 1:].reshape(side, side, -1), model.pretraining_size // model.patch
    if side != grid:
        out[POSITIONS] = np.concatenate([positions[:, :1], resize_positions(square, grid)[None]], axis=1)
    for name, size in (("template", model.template_size), ("search", model.search_size)):
        out[f"{POSITIONS}_{name}"] = resize_positions(square, size // model.patch)
    return out


def _scale_kernel(fitted: Tensors, encoder: Tensors, model: ModelConfig) -> list[str]:
    """Divide a resized patch kernel by the growth of its area, so that an even patch gives the token it gave."""
    patch, notices = encoder["patch_embed.proj.weight"].shape[-1], []
    if patch != model.patch:
        fitted[KERNEL] *= np.float32((patch / model.patch) ** 2)
        notices.append(f"its patch kernel of {patch} pixels is resized to {model.patch}")
    kept, own = fitted[POSITIONS].shape[1], encoder["pos_embed"].shape[1]
    if kept != own:
        notices.append(
            f"of the pretraining's positions {kept} in place of the file's {own} are kept for export, unused in the "
            "tracker: the file's own come with its patch and model.pretraining_size (14 and 518)"
        )
    return notices


def _see_imagenet(fitted: Tensors) -> None:
    """Rewrite kernel and bias in place: with y = (p - mean) / std, the network's 2 p - 1 is 2 std y + 2 mean - 1."""
    kernel = fitted[KERNEL].astype(np.float64)  # (h, w, 3, c)
    shift = np.einsum("hwic,i->c", kernel, 2 * np.array(IMAGENET_MEAN) - 1)
    fitted[BIAS] = (fitted[BIAS] + shift).astype(np.float32)
    fitted[KERNEL] = (kernel * (2 * np.array(IMAGENET_STD))[:, None]).astype(np.float32)
