"""Convert a ViT of the MAE release into weights to start a training from.

The backbone is the file's; positions and patch kernel are interpolated to the config's sizes as the published code
does; the head is left to its own initialisation. Pretraining files (with a decoder) and fine-tuned ones (with a
classifier) both serve.

Example (`python -m convert.mae` in a checkout):
  ostrack convert mae mae_pretrain_vit_base.pth --config vitb_256_mae_ce_32x4_ep300 --output weights/mae
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
_LEFT_OUT = ("decoder_", "mask_token", "head.", "fc_norm.")
define = backbone.define


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Convert the file."""
    return backbone.convert(flags, Path(arguments[0]), from_release)


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
    tensors = backbone.recognised(tensors, "mae", config.model)
    backbone.check_layer_scale(config.model, False)
    table, notices = tables.vit(config.model.depth), []
    if "fc_norm.weight" in tensors and "norm.weight" not in tensors:
        del table["norm.weight"], table["norm.bias"]
        notices.append("a fine-tuned file, with fc_norm in place of norm: the final norm keeps its initial value")
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_LEFT_OUT)}
    return backbone.with_fresh(backbone.fit(encoder, table, config.model), config, seed), notices


if __name__ == "__main__":
    sys.exit(command.run(command.load(__name__), sys.argv[1:], "python -m convert.mae"))
