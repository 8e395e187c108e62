"""Convert a ViT of the AugReg release (ImageNet-21k; its official .npz file) into weights to start a training from.

The backbone is the file's; positions and patch kernel are interpolated to the config's sizes; the classifier is left
out and the tracker's head keeps its own initialisation. These networks saw pixels as -1 .. 1, the tracker normalises
by ImageNet's mean and standard deviation: the patch kernel and its bias are rewritten for that, so that a picture
gives the tokens it gave. The files of the first ViT release (ImageNet-21k without AugReg) have the same names.

Example (`python -m convert.augreg` in a checkout):
  ostrack convert augreg B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0.npz \\
      --config vitb_256_in21k_ce_32x4_ep300 --output weights/in21k
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.paths import Place
from ostrack_jax.config import Config, ModelConfig

from . import backbone, recognise
from .tables import SAME, Layout, Table

ARGUMENTS = (Place("FILE"),)
_LEFT_OUT = ("head/", "pre_logits/")
_PARTS = {"query": "q", "key": "k", "value": "v"}
define = backbone.define


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Convert the file."""
    return backbone.convert(flags, Path(arguments[0]), from_release)


def from_release(
    tensors: Mapping[str, np.ndarray], config: Config, seed: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """An AugReg file's arrays as our weights, by dotted name, and what a person should know of them.

    Args:
      tensors: the file's.
      config: whose model the weights are for.
      seed: of the head's initialisation.

    Raises:
      UserError: tensors missing, unexpected, misshapen or of the wrong kind; all of them at once.
    """
    model = config.model
    recognise.check_command(tensors, "augreg")
    recognise.check_settings(recognise.augreg_settings(tensors), model)
    backbone.check_layer_scale(model, False)
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_LEFT_OUT)}
    fitted = backbone.fit(encoder, table(model.depth, model.heads), model, _part_shapes(model))
    for i in range(model.depth):
        at = f"backbone.blocks.{i}.attn."
        for kind in ("kernel", "bias"):
            parts = [fitted.pop(f"{at}{part}.{kind}") for part in _PARTS.values()]
            fitted[f"{at}qkv.{kind}"] = np.concatenate(parts, axis=-1)
    _see_imagenet(fitted)
    notice = "made for pixels within -1 .. 1: patch kernel and bias are rewritten for ImageNet's mean and deviation"
    return backbone.with_fresh(fitted, config, seed), [notice]


def table(depth: int, heads: int) -> Table:
    """The encoder's arrays by their official names; query, key and value still apart."""
    flat_bias = Layout(lambda x: x.reshape(-1), lambda x: x.reshape(heads, -1))  # (m, d) - (m d)
    into = Layout(lambda x: x.reshape(len(x), -1), lambda x: x.reshape(len(x), heads, -1))  # (c, m, d) - (c, m d)
    out = Layout(lambda x: x.reshape(-1, x.shape[-1]), lambda x: x.reshape(heads, -1, x.shape[-1]))  # (m, d, c)
    found: Table = {
        "cls": ("backbone.cls_token", SAME),
        "Transformer/posembed_input/pos_embedding": (backbone.POSITIONS, SAME),
        "embedding/kernel": (backbone.KERNEL, SAME),
        "embedding/bias": ("backbone.patch_embed.bias", SAME),
        "Transformer/encoder_norm/scale": ("backbone.norm.scale", SAME),
        "Transformer/encoder_norm/bias": ("backbone.norm.bias", SAME),
    }
    for i in range(depth):
        theirs, ours = f"Transformer/encoderblock_{i}/", f"backbone.blocks.{i}."
        for layer, place in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            found |= {f"{theirs}{layer}/{kind}": (f"{ours}{place}.{kind}", SAME) for kind in ("scale", "bias")}
        attention = f"{theirs}MultiHeadDotProductAttention_1/"
        for name, part in _PARTS.items():
            found[f"{attention}{name}/kernel"] = (f"{ours}attn.{part}.kernel", into)
            found[f"{attention}{name}/bias"] = (f"{ours}attn.{part}.bias", flat_bias)
        found[f"{attention}out/kernel"] = (f"{ours}attn.proj.kernel", out)
        found[f"{attention}out/bias"] = (f"{ours}attn.proj.bias", SAME)
        for layer, place in (("Dense_0", "fc1"), ("Dense_1", "fc2")):
            for kind in ("kernel", "bias"):
                found[f"{theirs}MlpBlock_3/{layer}/{kind}"] = (f"{ours}mlp.{place}.{kind}", SAME)
    return found


def _part_shapes(model: ModelConfig) -> dict[str, tuple[int, ...]]:
    kinds = {"kernel": (model.width, model.width), "bias": (model.width,)}
    return {
        f"backbone.blocks.{i}.attn.{part}.{kind}": shape
        for i in range(model.depth)
        for part in _PARTS.values()
        for kind, shape in kinds.items()
    }


def _see_imagenet(fitted: dict[str, np.ndarray]) -> None:
    """Rewrite kernel and bias in place: with y = (p - mean) / std, the network's 2 p - 1 is 2 std y + 2 mean - 1."""
    from ostrack_jax.models.embed import IMAGENET_MEAN, IMAGENET_STD

    kernel = fitted[backbone.KERNEL].astype(np.float64)  # (h, w, 3, c)
    shift = np.einsum("hwic,i->c", kernel, 2 * np.array(IMAGENET_MEAN) - 1)
    bias = fitted["backbone.patch_embed.bias"]
    fitted["backbone.patch_embed.bias"] = (bias + shift).astype(np.float32)
    fitted[backbone.KERNEL] = (kernel * (2 * np.array(IMAGENET_STD))[:, None]).astype(np.float32)


if __name__ == "__main__":
    sys.exit(command.run(command.load(__name__), sys.argv[1:], "python -m convert.augreg"))
