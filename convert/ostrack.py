"""Convert a checkpoint of the published PyTorch OSTrack into weights of this project, or back.

The file (of torch, or a .safetensors file) is read without torch and without running anything in it; every one of its
tensors must fit the config. DropTrack's temporal_pos_embed_z and _x are the setting model.identity_embeddings here.
With --resize_positions a file of other crop sizes fits: its position embeddings are interpolated. What comes out is
a weights directory, or a .safetensors file where the output is named so. With --export, weights of this project are
written as a file that the PyTorch code loads (its network's state under "net"); that needs PyTorch.

Example (`python -m convert.ostrack` in a checkout):
  ostrack convert ostrack OSTrack_ep0300.pth.tar --config vitb_256_mae_ce_32x4_ep300 --output weights/256
  ostrack convert ostrack OSTrack_ep0300.pth.tar --config vitb_384_mae_ce_32x4_ep300 --resize_positions \\
      --output weights/384_of_256
  ostrack convert ostrack --export weights/256 --config vitb_256_mae_ce_32x4_ep300 --output OSTrack_ep0300.pth.tar
"""

from __future__ import annotations

import io
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.paths import Place, define_path
from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.errors import UserError

from . import recognise, states, tables
from .files import read_tensors

ARGUMENTS = (Place("[FILE]"),)
TORCH_SUFFIXES = (".tar", ".pth", ".pt")
ANCHOR = "backbone.patch_embed.proj.weight"
# What derivatives call a tensor that the release has too.
_ALIASES = {  # DropTrack
    "backbone.temporal_pos_embed_z": "backbone.template_segment_pos_embed",
    "backbone.temporal_pos_embed_x": "backbone.search_segment_pos_embed",
}


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    command.define_config(flags)
    text = "where to write: a directory, X.safetensors, or with --export X.pth.tar"
    define_path("output", None, text, flags, writes="either", required=True)
    text = "weights of this project (directory, run or .safetensors) to write for PyTorch"
    define_path("export", None, text, flags)
    define_key(flags)
    absl_flags.DEFINE_boolean(
        "resize_positions",
        False,
        "interpolate the position embeddings of a file of other crop sizes to the config's",
        flag_values=flags,
    )


def define_key(flags: absl_flags.FlagValues) -> None:
    """Declare the flag that says where in a file the tensors lie."""
    text = "the network's key in the file, such as model_ema, or a prefix of its names (default: found)"
    absl_flags.DEFINE_string("key", "", text, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Convert in the direction that the flags ask for."""
    config = command.read_config(flags)
    output = flags.output
    if bool(arguments) == bool(flags.export):
        raise UserError("expected either a file to convert or --export DIR")
    if flags.export:
        return _export(flags.export, config, output)
    check_output(output)
    source = Path(arguments[0])
    tensors = read_tensors(source, flags.key)
    with tables.told_of(source):
        tensors, notices = states.named(tensors, ANCHOR), []
        if flags.resize_positions:
            weights, notices = resized(tensors, config)
        else:
            weights = from_release(tensors, config)
    for notice in notices:
        print(f"notice: {notice}", file=sys.stderr)
    print(f"{source}: {len(weights)} tensors -> {save(output, weights, config)}")
    return 0


def from_release(tensors: Mapping[str, np.ndarray], config: Config) -> dict[str, np.ndarray]:
    """The published ``net`` as our weights, by dotted name.

    Raises:
      UserError: the network is another kind's or another config's, which the message names; or tensors are missing,
        unexpected, misshapen or of the wrong kind, all of them at once.
    """
    from ostrack_jax.models.weights import weight_shapes

    tensors = states.named(tensors, ANCHOR)
    recognise.check_command(tensors, "ostrack")
    recognise.check_settings(recognise.ostrack_settings(tensors), config.model)
    for name, ours in _ALIASES.items():
        if name in tensors and ours not in tensors:
            tensors[ours] = tensors.pop(name)
    for name, index in _indices(config.model).items():  # follow from the sizes: checked, not kept
        if name in tensors and not np.array_equal(tensors.pop(name), index):
            raise UserError(f"{name} is not the index between the config's template and search region")
    return tables.to_ours(tensors, tables.ostrack(config.model), weight_shapes(config.model))


def resized(tensors: Mapping[str, np.ndarray], config: Config) -> tuple[dict[str, np.ndarray], list[str]]:
    """`from_release` of a ``net`` made at other crop sizes, and a notice for each position embedding interpolated."""
    from ostrack_jax.models import fitting
    from ostrack_jax.models.weights import check

    shown = recognise.ostrack_settings(tensors)
    sizes = {name: shown[name][0] for name in recognise.SIZES if name in shown}
    weights = from_release(tensors, replace(config, model=replace(config.model, **sizes)))
    weights, notices = fitting.fitted(config.model, weights)
    check(config.model, weights)
    return weights, notices


def to_release(weights: Mapping[str, np.ndarray], config: Config) -> dict[str, np.ndarray]:
    """Our weights as the published ``net``, in its order; the exact inverse of `from_release`, and raises as it."""
    from ostrack_jax.models.weights import weight_shapes

    found = tables.to_release(weights, tables.ostrack(config.model), weight_shapes(config.model))
    return found | _indices(config.model)


def _indices(model: ModelConfig) -> dict[str, np.ndarray]:
    """The buffers of the published network that say where in their table relative positions lie."""
    if not model.relative_positions:
        return {}
    from ostrack_jax.models.attention import relative_index

    index = relative_index((model.template_size // model.patch) ** 2, (model.search_size // model.patch) ** 2)
    return {f"backbone.blocks.{i}.attn.relative_position_index": index.astype(np.int64) for i in range(model.depth)}


def write_release(path: Path, tensors: Mapping[str, np.ndarray], epoch: int) -> None:
    """Write ``tensors`` as a checkpoint that the PyTorch code loads.

    Raises:
      UserError: PyTorch is not installed.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as e:
        raise UserError("writing a PyTorch checkpoint needs PyTorch: pip install 'ostrack-jax[torch]'") from e
    from ostrack_jax.io import write_atomically

    net = OrderedDict((name, torch.from_numpy(np.array(value))) for name, value in tensors.items())
    buffer = io.BytesIO()
    torch.save({"epoch": epoch, "net_type": "OSTrack", "net": net}, buffer)
    write_atomically(path, buffer.getvalue())


def check_output(output: Path) -> None:
    """Raise `UserError` where weights cannot be written to ``output``, before any work is done."""
    if output.suffix in TORCH_SUFFIXES:
        raise UserError(f"--output {output}: expected a directory or X.safetensors (a PyTorch file needs --export DIR)")
    if output.suffix == ".safetensors" and output.is_dir():
        raise UserError(f"--output {output}: expected a file, found a directory")
    if output.suffix != ".safetensors" and output.exists() and not output.is_dir():
        raise UserError(f"--output {output}: expected a directory or X.safetensors, found a file")


def save(output: Path, weights: dict[str, np.ndarray], config: Config) -> str:
    """Write weights to a directory or a .safetensors file; a line that says where, and their hash."""
    from ostrack_jax.checkpoint.files import save_safetensors, save_weights

    if output.suffix == ".safetensors":
        save_safetensors(output, weights, config)
        return f"{output}"
    return f"{output} (sha256 {save_weights(output, weights, config)})"


def _export(source: Path, config: Config, output: Path) -> int:
    """Write the weights at ``source`` for PyTorch."""
    from ostrack_jax.checkpoint.files import load_weights
    from ostrack_jax.models.devices import devices

    devices()  # on which a run's checkpoints are read
    if output.suffix not in TORCH_SUFFIXES or output.is_dir():
        raise UserError(f"--output {output}: expected a file X.pth.tar, X.pth or X.pt")
    _, weights = load_weights(source)
    with tables.told_of(source):
        tensors = to_release(weights, config)
    # The release stores how long a network was trained; weights alone do not know, their config does.
    write_release(output, tensors, config.train.epochs)
    print(f"{source}: {len(tensors)} tensors -> {output}")
    return 0


if __name__ == "__main__":
    sys.exit(command.run(command.load(__name__), sys.argv[1:], "python -m convert.ostrack"))
