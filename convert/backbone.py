"""What the converters of pretrained backbones share. Enters: a ViT's tensors by a release's names. Leaves: our weights.

The position embedding is interpolated to the template's and the search region's grids (the class token's place is
dropped), and the patch kernel where the config's patch size is another, both as the published code does. The class
token and the positions of the pretraining are carried along, at the config's ``pretraining_size``. The head is left
to its own initialisation.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.paths import define_path
from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.errors import UserError
from ostrack_jax.models.devices import devices
from ostrack_jax.models.interpolate import resize_grid, resize_positions

from . import recognise, states, tables
from .files import read_tensors
from .ostrack import check_output, define_key, save
from .tables import Array, Shapes, Table

KERNEL, POSITIONS = "backbone.patch_embed.kernel", "backbone.pos_embed"

Tensors = dict[str, np.ndarray]
Notices = list[str]


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    command.define_config(flags)
    text = "where to write: a directory, or X.safetensors"
    define_path("output", None, text, flags, writes="either", required=True)
    absl_flags.DEFINE_integer("seed", 42, "of what the file does not give: the head", flag_values=flags)
    define_key(flags)


def convert(
    flags: absl_flags.FlagValues,
    source: Path,
    from_release: Callable[[Mapping[str, Array], Config, int], tuple[Tensors, Notices]],
) -> int:
    """Convert from file to file: read the tensors, convert them, print the notices, write."""
    config = command.read_config(flags)
    check_output(flags.output)
    devices()  # the head's initial weights are computed
    tensors = read_tensors(source, flags.key)
    with tables.told_of(source):
        weights, notices = from_release(tensors, config, flags.seed)
    for notice in notices:
        print(f"notice: {notice}", file=sys.stderr)
    print(f"{source}: the backbone -> {save(flags.output, weights, config)}")
    return 0


def recognised(tensors: Mapping[str, Array], command: str, model: ModelConfig) -> Tensors:
    """The tensors of a file for the converter ``command`` by the release's names.

    Raises:
      UserError: they are for another converter or another config, which the message names.
    """
    tensors = states.named(tensors, "patch_embed.proj.weight")
    recognise.check_command(tensors, command)
    recognise.check_settings(recognise.vit_settings(tensors), model)
    return tensors


def fit(tensors: Mapping[str, Array], table: Table, model: ModelConfig, parts: Shapes | None = None) -> Tensors:
    """The backbone by our names, kernel and positions at the config's sizes.

    Args:
      tensors: by the release's names; of positions the class token's first, then the grid's.
      table: which tensors there must be, and where they go.
      model: whose backbone it becomes.
      parts: shapes of places that are no tensors of ours but what one is put together from.

    Raises:
      UserError: tensors missing, unexpected, misshapen or of the wrong kind; all of them at once.
    """
    from ostrack_jax.models.weights import weight_shapes

    shapes = dict(weight_shapes(model)) | dict(parts or {})
    patch, grid = model.patch, model.pretraining_size // model.patch
    for name, (place, layout) in table.items():
        if place == KERNEL and name in tensors and tensors[name].ndim == 4:
            height, width = layout.to_ours(tensors[name]).shape[:2]
            if height == width > 0:
                shapes[place] = (height, width, 3, model.width)
        if place == POSITIONS and name in tensors and (side := _grid_side(tensors[name].shape)):
            shapes[place] = (1, 1 + side * side, model.width)
    out = tables.to_ours(tensors, table, shapes)
    if out[KERNEL].shape[0] != patch:
        out[KERNEL] = resize_grid(out[KERNEL], patch)
    positions = out[POSITIONS]
    side = _grid_side(positions.shape)
    square = positions[0, 1:].reshape(side, side, -1)
    if side != grid:
        out[POSITIONS] = np.concatenate([positions[:, :1], resize_positions(square, grid)[None]], axis=1)
    for name, size in (("template", model.template_size), ("search", model.search_size)):
        out[f"{POSITIONS}_{name}"] = resize_positions(square, size // patch)
    return out


def with_fresh(backbone: Mapping[str, Array], config: Config, seed: int) -> Tensors:
    """All weights of the config's model: ``backbone``'s, and the rest as initialised by ``seed``."""
    from ostrack_jax.models.weights import initial_weights

    return initial_weights(config.model, seed) | dict(backbone)


def check_layer_scale(model: ModelConfig, has: bool) -> None:
    """Raise `UserError` where the config wants LayerScale and the release has none, or the reverse."""
    if has and not model.layer_scale:
        raise UserError("the network has LayerScale: expected config.model.layer_scale above 0, say 1e-5")
    if model.layer_scale and not has:
        raise UserError(f"the network has no LayerScale: expected config.model.layer_scale 0, not {model.layer_scale}")


def _grid_side(shape: tuple[int, ...]) -> int:
    """The grid's side in (1, 1 + side * side, channels); 0 for another shape."""
    if len(shape) != 3 or shape[0] != 1 or shape[1] < 2:
        return 0
    side = math.isqrt(shape[1] - 1)
    return side if side * side == shape[1] - 1 else 0
