"""Convert a ViT of the DeiT release (supervised on ImageNet-1k) into weights to start a training from.

The backbone is the file's; positions and patch kernel are interpolated to the config's sizes; the classifier is left
out and the tracker's head keeps its own initialisation. A distilled file's second token and its position are left
out too.

Example (`python -m convert.deit` in a checkout):
  ostrack convert deit deit_base_patch16_224-b5f2ef4d.pth --config vitb_256_in1k_ce_32x4_ep300 --output weights/deit
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.paths import Place
from ostrack_jax.config import Config

from . import backbone, tables

ARGUMENTS = (Place("FILE"),)
_LEFT_OUT = ("head.", "head_dist.", "dist_token")
define = backbone.define


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Convert the file."""
    return backbone.convert(flags, Path(arguments[0]), from_release)


def from_release(
    tensors: Mapping[str, np.ndarray], config: Config, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """A DeiT file's ``model`` as our weights, by dotted name, and what a person should know of them.

    Args:
      tensors: the file's, of the plain or the distilled variant.
      config: whose model the weights are for.
      seed: of the head's initialisation.

    Raises:
      UserError: tensors missing, unexpected, misshapen or of the wrong kind; all of them at once.
    """
    tensors = backbone.recognised(tensors, "deit", config.model)
    backbone.check_layer_scale(config.model, False)
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_LEFT_OUT)}
    notices = []
    if "dist_token" in tensors:
        positions = encoder.get("pos_embed")
        if positions is not None and positions.ndim == 3 and positions.shape[1] > 1:
            encoder["pos_embed"] = np.delete(positions, 1, axis=1)  # class, distillation, then the grid
        notices.append("a distilled file: its distillation token and that token's position are left out")
    table = tables.vit(config.model.depth)
    return backbone.with_fresh(backbone.fit(encoder, table, config.model), config, seed), notices


if __name__ == "__main__":
    sys.exit(command.run(command.load(__name__), sys.argv[1:], "python -m convert.deit"))
