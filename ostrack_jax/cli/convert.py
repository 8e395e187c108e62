"""Turn published weights into a checkpoint of this project, and back.

Example:
  ostrack convert ostrack OSTrack_ep0300.pth.tar --config vitb_256_mae_ce_32x4_ep300 --output weights/256
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.paths import Place, define_path
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError

COMMANDS = {
    "ostrack": "a checkpoint of the published PyTorch OSTrack, or back to one",
    "mae": "a backbone of the MAE release, to start a training from",
    "deit": "the same of the DeiT release (ImageNet-1k)",
    "augreg": "the same of the AugReg release (ImageNet-21k, .npz)",
    "dinov2": "the same of the DINOv2 release",
}
_TORCH_SUFFIXES = (".tar", ".pth", ".pt")


class OSTrack:
    """Convert a checkpoint of the published PyTorch OSTrack into weights of this project, or back.

    The file (of torch, or a .safetensors file) is read without torch and without running anything in it; every one of
    its tensors must fit the config. DropTrack's temporal_pos_embed_z and _x are the setting model.identity_embeddings
    here. With --resize_positions a file of other crop sizes fits: its position embeddings are interpolated. What comes
    out is a weights directory, or a .safetensors file where the output is named so. With --export, weights of this
    project are written as a file that the PyTorch code loads (its network's state under "net"); that needs PyTorch.

    Example:
      ostrack convert ostrack OSTrack_ep0300.pth.tar --config vitb_256_mae_ce_32x4_ep300 --output weights/256
      ostrack convert ostrack OSTrack_ep0300.pth.tar --config vitb_384_mae_ce_32x4_ep300 --resize_positions \\
          --output weights/384_of_256
      ostrack convert ostrack --export weights/256 --config vitb_256_mae_ce_32x4_ep300 --output OSTrack_ep0300.pth.tar
    """

    ARGUMENTS = (Place("[FILE]"),)

    def define(self, flags: absl_flags.FlagValues) -> None:
        """Declare the flags."""
        _define(flags, "where to write: a directory, X.safetensors, or with --export X.pth.tar")
        text = "weights of this project (directory, run or .safetensors) to write for PyTorch"
        define_path("export", None, text, flags)
        text = "interpolate the position embeddings of a file of other crop sizes to the config's"
        absl_flags.DEFINE_boolean("resize_positions", False, text, flag_values=flags)

    def main(self, flags: absl_flags.FlagValues, arguments: list[str]) -> None:
        """Convert in the direction that the flags ask for."""
        config = command.read_config(flags)
        if bool(arguments) == bool(flags.export):
            raise UserError("expected either a file to convert or --export DIR")
        if flags.export:
            _export(flags.export, config, flags.output)
            return
        _check_output(flags.output)
        source = Path(arguments[0])
        weights, notices = _module("ostrack").convert(source, config, flags.resize_positions, flags.key)
        _save(source, f"{len(weights)} tensors", weights, notices, config, flags.output)


@dataclass
class Backbone:
    """A command that converts the pretrained backbone of a release."""

    release: str
    ARGUMENTS = (Place("FILE"),)

    def define(self, flags: absl_flags.FlagValues) -> None:
        """Declare the flags."""
        _define(flags, "where to write: a directory, or X.safetensors")
        absl_flags.DEFINE_integer("seed", 42, "of what the file does not give: the head", flag_values=flags)

    def main(self, flags: absl_flags.FlagValues, arguments: list[str]) -> None:
        """Convert from file to file."""
        config = command.read_config(flags)
        _check_output(flags.output)
        from ostrack_jax.models.devices import devices

        devices()  # the head's initial weights are computed
        source = Path(arguments[0])
        weights, notices = _module("backbones").convert(self.release, source, config, flags.seed, flags.key)
        _save(source, "the backbone", weights, notices, config, flags.output)


class Mae(Backbone):
    """Convert a ViT of the MAE release into weights to start a training from.

    The backbone is the file's; positions and patch kernel are interpolated to the config's sizes as the published code
    does; the head keeps its own initialisation. Pretraining files (with a decoder) and fine-tuned ones (with a
    classifier) both serve.

    Example:
      ostrack convert mae mae_pretrain_vit_base.pth --config vitb_256_mae_ce_32x4_ep300 --output weights/mae
    """


class Deit(Backbone):
    """Convert a ViT of the DeiT release (supervised on ImageNet-1k) into weights to start a training from.

    The backbone is the file's; positions and patch kernel are interpolated to the config's sizes; the classifier is
    left out and the tracker's head keeps its own initialisation. A distilled file's second token and its position are
    left out too.

    Example:
      ostrack convert deit deit_base_patch16_224-b5f2ef4d.pth --config vitb_256_in1k_ce_32x4_ep300 \\
          --output weights/deit
    """


class AugReg(Backbone):
    """Convert a ViT of the AugReg release (ImageNet-21k; its official .npz file) into weights to start a training from.

    The backbone is the file's; positions and patch kernel are interpolated to the config's sizes; the classifier is
    left out and the tracker's head keeps its own initialisation. These networks saw pixels as -1 .. 1, the tracker
    normalises by ImageNet's mean and standard deviation: the patch kernel and its bias are rewritten for that, so that
    an image gives the tokens it gave. The files of the first ViT release (ImageNet-21k without AugReg) have the same
    names.

    Example:
      ostrack convert augreg B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0.npz \\
          --config vitb_256_in21k_ce_32x4_ep300 --output weights/in21k
    """


class DinoV2(Backbone):
    """Convert a ViT of the DINOv2 release into weights to start a training from.

    The backbone is the file's, LayerScale included: the config needs model.layer_scale above 0. The positions (of 518
    pixels) are interpolated to the config's grids. The patch kernel (14 pixels) is too where the config has another
    patch, and divided by the growth of its area: an evenly coloured patch then gives the token it gave. The tracker has
    no class token: it is kept, with its position, for `ViT.plain`. A .npz file with the release's names serves as well.
    ViT-g (a gated MLP) is another network and refused.

    Example:
      ostrack convert dinov2 dinov2_vits14_pretrain.pth --config vits_256_dinov2_ce_32x4_ep300 --output weights/dinov2
    """


MEMBERS = {
    "ostrack": OSTrack(),
    "mae": Mae("mae"),
    "deit": Deit("deit"),
    "augreg": AugReg("augreg"),
    "dinov2": DinoV2("dinov2"),
}


def _define(flags: absl_flags.FlagValues, output: str) -> None:
    """Declare the flags of every converter."""
    command.define_config(flags)
    define_path("output", None, output, flags, writes="either", required=True)
    text = "the network's key in the file, such as model_ema, or a prefix of its names (default: found)"
    absl_flags.DEFINE_string("key", "", text, flag_values=flags)


def _check_output(output: Path) -> None:
    """Raise `UserError` where weights cannot be written to ``output``, before any work is done."""
    if output.suffix in _TORCH_SUFFIXES:
        raise UserError(f"--output {output}: expected a directory or X.safetensors (a PyTorch file needs --export DIR)")
    if output.is_file() != (output.suffix == ".safetensors") and output.exists():
        raise UserError(f"--output {output}: expected a directory or a file X.safetensors")


def _save(
    source: Path, what: str, weights: Mapping[str, np.ndarray], notices: list[str], config: Config, output: Path
) -> None:
    """Print the notices, write weights to a directory or a .safetensors file, and print where and their hash."""
    from ostrack_jax.checkpoint.files import save_safetensors, save_weights

    for notice in notices:
        print(f"notice: {notice}", file=sys.stderr)
    if output.suffix == ".safetensors":
        save_safetensors(output, weights, config)
        written = f"{output}"
    else:
        written = f"{output} (sha256 {save_weights(output, weights, config)})"
    print(f"{source}: {what} -> {written}")


def _export(source: Path, config: Config, output: Path) -> None:
    """Write the weights at ``source`` for PyTorch."""
    from ostrack_jax.checkpoint.files import load_weights
    from ostrack_jax.models.devices import devices

    devices()  # on which a run's checkpoints are read
    if output.suffix not in _TORCH_SUFFIXES or output.is_dir():
        raise UserError(f"--output {output}: expected a file X.pth.tar, X.pth or X.pt")
    _, weights = load_weights(source)
    try:
        written = _module("ostrack").export(output, weights, config)
    except UserError as e:
        raise UserError(f"{source}: {e}") from e
    print(f"{source}: {written} tensors -> {output}")


def _module(name: str) -> Any:
    """Import a module of the package `convert`: inside `ostrack_jax` in a wheel, next to it in a checkout.

    There too as a part of `ostrack_jax`: another project's top-level package of that name could come first.
    """
    sys.modules["ostrack_jax"].__path__.append(str(Path(__file__).parents[2]))
    return importlib.import_module(f"ostrack_jax.convert.{name}")
