"""Convert a ViT of the MAE release into weights to start a training from.

The backbone is the file's. Its position embedding is interpolated to the template's and the search region's grids,
and the patch kernel where the config's patch size is another, both as the published code does. The head is left to
its own initialisation. Pretraining files (with a decoder) and fine-tuned ones (with a classifier) both serve.

Example (`python -m convert.mae` in a checkout):
  ostrack convert mae mae_pretrain_vit_base.pth --config vitb_256_mae_ce_32x4_ep300 --output weights/mae
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.models.interpolate import resize_kernel, resize_positions

from . import tables
from .files import read_tensors
from .ostrack import check_output, save

ARGUMENTS = ("IN.pth",)
IMAGE = 224  # pixels: the side that MAE was trained at
_LEFT_OUT = ("decoder_", "mask_token", "head.", "fc_norm.")


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    command.define_config(flags)
    absl_flags.DEFINE_string(
        "output", None, "where to write: a directory, or X.safetensors", flag_values=flags, required=True
    )
    absl_flags.DEFINE_integer("seed", 42, "of what the file does not give: the head", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Convert the file."""
    config = command.read_config(flags)
    output = Path(flags.output)
    check_output(output)
    source = Path(arguments[0])
    tensors = read_tensors(source, "model")
    with tables.told_of(source):
        weights, notices = from_release(tensors, config, flags.seed)
    for notice in notices:
        print(f"notice: {notice}", file=sys.stderr)
    print(f"{source}: the backbone -> {save(output, weights, config)}")
    return 0


def from_release(
    tensors: Mapping[str, np.ndarray], config: Config, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """An MAE file's ``model`` as our weights, by dotted name, and what a person should know of them.

    Args:
      tensors: the file's, of the pretraining or the fine-tuned variant.
      config: whose model the weights are for.
      seed: of the head's initialisation, and the final norm's where the file has none.

    Raises:
      UserError: tensors missing, unexpected, misshapen or of the wrong kind; all of them at once.
    """
    from ostrack_jax.models.weights import initial_weights, weight_shapes

    tensors = tables.without_wrapper(tensors)
    table, notices = tables.mae(config.model.depth), []
    if "fc_norm.weight" in tensors and "norm.weight" not in tensors:
        del table["norm.weight"], table["norm.bias"]
        notices.append("a fine-tuned file, with fc_norm in place of norm: the final norm keeps its initial value")
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_LEFT_OUT)}
    fitted = _fit(encoder, config.model)
    backbone = tables.to_ours(fitted, table, weight_shapes(config.model))
    for name, size in (("template", config.model.template_size), ("search", config.model.search_size)):
        grid = _grid(encoder["pos_embed"])
        assert grid is not None  # else it would not have fitted
        backbone[f"backbone.pos_embed_{name}"] = resize_positions(grid, size // config.model.patch)
    return initial_weights(config.model, seed) | backbone, notices


def _fit(encoder: Mapping[str, np.ndarray], model: ModelConfig) -> dict[str, np.ndarray]:
    """The encoder with kernel and positions at the config's patch size; what has an odd shape stays as it is."""
    out = dict(encoder)
    kernel = encoder.get("patch_embed.proj.weight")
    if kernel is not None and kernel.ndim == 4 and kernel.shape[:2] == (model.width, 3):
        side = kernel.shape[2]
        if side == kernel.shape[3] and side not in (0, model.patch):
            out["patch_embed.proj.weight"] = resize_kernel(kernel, model.patch)
    positions, side = encoder.get("pos_embed"), IMAGE // model.patch
    grid = None if positions is None else _grid(positions)
    # Unused in the forward pass: only carried along, with the class token's position first.
    if positions is not None and grid is not None and grid.shape[0] != side:
        resized = resize_positions(grid, side)[None]
        out["pos_embed"] = np.concatenate([positions[:, :1].astype(np.float32), resized], 1)
    return out


def _grid(positions: np.ndarray) -> np.ndarray | None:
    """The grid (h, h, channels) in (1, 1 + h * h, channels), without the class token; None for another shape."""
    if positions.ndim != 3 or positions.shape[0] != 1 or positions.shape[1] < 2 or not positions.size:
        return None
    side = math.isqrt(positions.shape[1] - 1)
    if side * side != positions.shape[1] - 1:
        return None
    return positions[0, 1:].reshape(side, side, -1)


if __name__ == "__main__":
    sys.exit(command.run(command.load(__name__), sys.argv[1:], "python -m convert.mae"))
