"""Convert checkpoints of the published PyTorch OSTrack to weights of this project, and back.

DropTrack's ``temporal_pos_embed_z`` and ``_x`` are the setting ``model.identity_embeddings`` here.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.errors import UserError
from ostrack_jax.io import write_atomically
from ostrack_jax.models import interpolate
from ostrack_jax.models import weights as model_weights
from ostrack_jax.models.attention import relative_index

from . import recognise, releases
from .files import named, read_tensors

ANCHOR = "backbone.patch_embed.proj.weight"
# What derivatives call a tensor that the release has too.
_ALIASES = {  # DropTrack
    "backbone.temporal_pos_embed_z": "backbone.template_segment_pos_embed",
    "backbone.temporal_pos_embed_x": "backbone.search_segment_pos_embed",
}

Tensors = dict[str, np.ndarray]


def convert(source: Path, config: Config, resize_positions: bool, key: str = "") -> tuple[Tensors, list[str]]:
    """Read a checkpoint and convert its ``net``; weights by dotted name, and notices for the user.

    Args:
      source: a file of torch, or a .safetensors file.
      config: whose model the weights are for.
      resize_positions: whether position embeddings of other crop sizes are interpolated.
      key: where in the file, see `files.find`.

    Raises:
      UserError: as `from_release`; it names the file.
    """
    tensors = read_tensors(source, key)
    try:
        tensors = named(tensors, ANCHOR)
        return _resized(tensors, config) if resize_positions else (from_release(tensors, config), [])
    except UserError as e:
        raise UserError(f"{source}: {e}") from e


def from_release(tensors: Mapping[str, np.ndarray], config: Config) -> Tensors:
    """Convert the published ``net`` to weights by dotted name.

    Raises:
      UserError: the network is another kind's or another config's, which the message names; or tensors are missing,
        unexpected, misshapen or of the wrong kind, all of them at once.
    """
    tensors = named(tensors, ANCHOR)
    recognise.check_command(tensors, "ostrack")
    recognise.check_settings(recognise.ostrack_settings(tensors), config.model)
    for name, ours in _ALIASES.items():
        if name in tensors and ours not in tensors:
            tensors[ours] = tensors.pop(name)
    for name, index in _indices(config.model).items():  # follow from the sizes: checked, not kept
        if name in tensors and not np.array_equal(tensors.pop(name), index):
            raise UserError(f"{name} is not the index between the config's template and search region")
    return releases.to_ours(tensors, releases.ostrack(config.model), model_weights.weight_shapes(config.model))


def _resized(tensors: Mapping[str, np.ndarray], config: Config) -> tuple[Tensors, list[str]]:
    """`from_release` of a ``net`` of other crop sizes, and a notice for each position embedding interpolated."""
    shown = recognise.ostrack_settings(tensors)
    sizes = {name: shown[name] for name in recognise.SIZES if name in shown}
    weights = from_release(tensors, replace(config, model=replace(config.model, **sizes)))
    weights, notices = interpolate.fitted(config.model, weights)
    model_weights.check(config.model, weights)
    return weights, notices


def to_release(weights: Mapping[str, np.ndarray], config: Config) -> Tensors:
    """Convert weights to the published ``net``, in its order; the exact inverse of `from_release`, and raises as it."""
    shapes = model_weights.weight_shapes(config.model)
    return releases.to_release(weights, releases.ostrack(config.model), shapes) | _indices(config.model)


def _indices(model: ModelConfig) -> Tensors:
    """The published network's buffers of indices into its table of relative positions."""
    if not model.relative_positions:
        return {}
    index = relative_index((model.template_size // model.patch) ** 2, (model.search_size // model.patch) ** 2)
    return {f"backbone.blocks.{i}.attn.relative_position_index": index.astype(np.int64) for i in range(model.depth)}


def export(path: Path, weights: Mapping[str, np.ndarray], config: Config) -> int:
    """Write weights as a checkpoint that the PyTorch code loads; the number of its tensors.

    Raises:
      UserError: the weights do not fit the config; PyTorch is not installed.
    """
    tensors = to_release(weights, config)
    try:
        import torch  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as e:
        raise UserError("writing a PyTorch checkpoint needs PyTorch: pip install 'ostrack-jax[torch]'") from e
    net = OrderedDict((name, torch.from_numpy(np.array(value))) for name, value in tensors.items())
    buffer = io.BytesIO()
    # The release stores how long a network was trained; weights alone do not know, their config does.
    torch.save({"epoch": config.train.epochs, "net_type": "OSTrack", "net": net}, buffer)
    write_atomically(path, buffer.getvalue())
    return len(net)
