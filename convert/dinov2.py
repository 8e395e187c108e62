"""Convert a ViT of the DINOv2 release into weights to start a training from.

The backbone is the file's, LayerScale included: the config needs model.layer_scale above 0. The positions (of 518
pixels) are interpolated to the config's grids. The patch kernel (14 pixels) is too where the config has another patch,
and divided by the growth of its area: an evenly coloured patch then gives the token it gave. The tracker has no class
token: it is carried along, with its position, for `ViT.plain`. A .npz file with the release's names serves as well.
ViT-g (a gated MLP) is another network and refused.

Example (`python -m convert.dinov2` in a checkout):
  ostrack convert dinov2 dinov2_vits14_pretrain.pth --config vits_256_dinov2_ce_32x4_ep300 --output weights/dinov2
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
from ostrack_jax.errors import UserError

from . import backbone, tables

ARGUMENTS = (Place("FILE"),)
_LEFT_OUT = ("mask_token", "register_tokens", "head.")
define = backbone.define


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Convert the file."""
    return backbone.convert(flags, Path(arguments[0]), from_release)


def from_release(
    tensors: Mapping[str, np.ndarray], config: Config, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """A DINOv2 file's tensors as our weights, by dotted name, and what a person should know of them.

    Args:
      tensors: the file's.
      config: whose model the weights are for.
      seed: of the head's initialisation.

    Raises:
      UserError: a network with a gated MLP; a config without LayerScale; tensors missing, unexpected, misshapen or
        of the wrong kind, all of them at once.
    """
    if any(".mlp.w12." in name for name in tensors):
        raise UserError("its MLP is gated (SwiGLU, as in DINOv2's ViT-g); expected ViT-S, ViT-B or ViT-L")
    tensors = backbone.recognised(tensors, "dinov2", config.model)
    backbone.check_layer_scale(config.model, True)
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_LEFT_OUT)}
    notices = []
    if "register_tokens" in tensors:
        notices.append("its register tokens are left out: the network meets its tokens without them")
    fitted = backbone.fit(encoder, tables.vit(config.model.depth, layer_scale=True), config.model)
    patch = encoder["patch_embed.proj.weight"].shape[-1]
    if patch != config.model.patch:
        fitted[backbone.KERNEL] *= np.float32((patch / config.model.patch) ** 2)
        notices.append(f"its patch kernel of {patch} pixels is resized to {config.model.patch}")
    carried, own = fitted[backbone.POSITIONS].shape[1], encoder["pos_embed"].shape[1]
    if carried != own:
        notices.append(
            f"of the pretraining's positions {carried} in place of the file's {own} are carried along, unused in the "
            "tracker: the file's own come with its patch and model.pretraining_size (14 and 518)"
        )
    return backbone.with_fresh(fitted, config, seed), notices


if __name__ == "__main__":
    sys.exit(command.run(command.load(__name__), sys.argv[1:], "python -m convert.dinov2"))
