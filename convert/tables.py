"""The tensors of each release and their places in ours. Enters: arrays by one's names. Leaves: by the other's.

A table maps a release's name to our dotted name and the layout between them, in the order of the release's files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ostrack_jax.config import ModelConfig
from ostrack_jax.errors import UserError

from .names import brief

SHOWN = 10  # of each kind of misfit; a wrong config misfits everywhere

Array = np.ndarray
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """How a release's tensor becomes ours and back; exact inverses of each other."""

    to_ours: Callable[[Array], Array]
    to_release: Callable[[Array], Array]
    counter: bool = False  # an integer, int64 in the release and int32 here; all else is float32 here


SAME = Layout(lambda x: x, lambda x: x)
LINEAR = Layout(lambda x: x.T, lambda x: x.T)  # (out, in) - (in, out)
KERNEL = Layout(lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1))  # (o, i, h, w) - (h, w, i, o)
TOKENS = Layout(lambda x: x[0], lambda x: x[None])  # (1, n, c) - (n, c)
VECTOR = Layout(lambda x: x[0, 0], lambda x: x[None, None])  # (1, 1, c) - (c)
COUNTER = Layout(lambda x: x, lambda x: x, counter=True)

Table = dict[str, tuple[str, Layout]]

_EMBED: Table = {
    "patch_embed.proj.weight": ("patch_embed.kernel", KERNEL),
    "patch_embed.proj.bias": ("patch_embed.bias", SAME),
}
_BLOCK: Table = {
    "norm1.weight": ("norm1.scale", SAME),
    "norm1.bias": ("norm1.bias", SAME),
    "attn.qkv.weight": ("attn.qkv.kernel", LINEAR),
    "attn.qkv.bias": ("attn.qkv.bias", SAME),
    "attn.proj.weight": ("attn.proj.kernel", LINEAR),
    "attn.proj.bias": ("attn.proj.bias", SAME),
    "norm2.weight": ("norm2.scale", SAME),
    "norm2.bias": ("norm2.bias", SAME),
    "mlp.fc1.weight": ("mlp.fc1.kernel", LINEAR),
    "mlp.fc1.bias": ("mlp.fc1.bias", SAME),
    "mlp.fc2.weight": ("mlp.fc2.kernel", LINEAR),
    "mlp.fc2.bias": ("mlp.fc2.bias", SAME),
}
_SCALES: Table = {"ls1.gamma": ("scale1", SAME), "ls2.gamma": ("scale2", SAME)}
_NORM: Table = {"norm.weight": ("norm.scale", SAME), "norm.bias": ("norm.bias", SAME)}
_CONVOLUTION: Table = {
    "0.weight": ("convs.{}.kernel", KERNEL),
    "0.bias": ("convs.{}.bias", SAME),
    "1.weight": ("norms.{}.scale", SAME),
    "1.bias": ("norms.{}.bias", SAME),
    "1.running_mean": ("norms.{}.mean", SAME),
    "1.running_var": ("norms.{}.var", SAME),
    "1.num_batches_tracked": ("norms.{}.count", COUNTER),
}
_UNUSED: Table = {"cls_token": ("cls_token", SAME), "pos_embed": ("pos_embed", SAME)}
_POSITIONS: Table = {
    "pos_embed_z": ("pos_embed_template", TOKENS),
    "pos_embed_x": ("pos_embed_search", TOKENS),
}
_IDENTITIES: Table = {  # the release's option SEP_SEG
    "template_segment_pos_embed": ("identity_template", VECTOR),
    "search_segment_pos_embed": ("identity_search", VECTOR),
}
_RELATIVE: Table = {"attn.relative_position_bias_table": ("attn.relative_positions", SAME)}
_BRANCHES = {"ctr": "score", "offset": "offset", "size": "size"}


def ostrack(model: ModelConfig) -> Table:
    """The 242 tensors (at depth 12) of ``net`` in a published OSTrack checkpoint, and those of its options."""
    block = _BLOCK | _RELATIVE if model.relative_positions else _BLOCK
    tokens = _POSITIONS | _IDENTITIES if model.identity_embeddings else _POSITIONS
    table = _within("backbone.", "backbone.", _UNUSED | tokens | _encoder(model.depth, block))
    for theirs, ours in _BRANCHES.items():
        for i in range(4):
            layer = {name: (place.format(i), layout) for name, (place, layout) in _CONVOLUTION.items()}
            table |= _within(f"box_head.conv{i + 1}_{theirs}.", f"head.{ours}.", layer)
        final: Table = {"weight": ("kernel", KERNEL), "bias": ("bias", SAME)}
        table |= _within(f"box_head.conv5_{theirs}.", f"head.{ours}.final.", final)
    return table


def vit(depth: int, layer_scale: bool = False) -> Table:
    """The encoder in a file of the MAE, DeiT or (with LayerScale) DINOv2 release."""
    return _within("", "backbone.", _UNUSED | _encoder(depth, _BLOCK | _SCALES if layer_scale else _BLOCK))


def _encoder(depth: int, block: Table = _BLOCK) -> Table:
    blocks: Table = {}
    for i in range(depth):
        blocks |= _within(f"blocks.{i}.", f"blocks.{i}.", block)
    return _EMBED | blocks | _NORM


def _within(theirs: str, ours: str, table: Table) -> Table:
    return {theirs + name: (ours + place, layout) for name, (place, layout) in table.items()}


@contextmanager
def told_of(source: Path) -> Iterator[None]:
    """Puts the file's name before what is said of its tensors."""
    try:
        yield
    except UserError as e:
        raise UserError(f"{source}: {e}") from e


def to_ours(tensors: Mapping[str, Array], table: Table, shapes: Shapes) -> dict[str, Array]:
    """A release's tensors by our names: float32 (a half's value is kept), counters int32.

    Args:
      tensors: by the release's names, any float dtype.
      table: which tensors there must be, and where they go.
      shapes: of ours, by our names.

    Raises:
      UserError: tensors missing, unexpected, misshapen or with values of the wrong kind; all of them at once.
    """
    expected = {name: _release_shape(shapes[place], layout) for name, (place, layout) in table.items()}
    _check(tensors, expected, {name for name, (_, layout) in table.items() if layout.counter})
    out: dict[str, Array] = {}
    for name, (place, layout) in table.items():
        dtype = np.int32 if layout.counter else np.float32
        out[place] = np.array(layout.to_ours(tensors[name]), dtype, order="C")
    return out


def to_release(weights: Mapping[str, Array], table: Table, shapes: Shapes) -> dict[str, Array]:
    """Our weights by the release's names, the exact inverse of `to_ours`; raises as it does."""
    _check(
        weights,
        {place: shapes[place] for place, _ in table.values()},
        {place for place, layout in table.values() if layout.counter},
    )
    return {
        name: np.array(layout.to_release(weights[place]), np.int64 if layout.counter else np.float32, order="C")
        for name, (place, layout) in table.items()
    }


def _release_shape(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    return layout.to_release(np.broadcast_to(np.float32(0), shape)).shape


def _check(tensors: Mapping[str, Array], expected: Shapes, counters: set[str]) -> None:
    """Raise one `UserError` for all that does not fit."""
    common = [name for name in expected if name in tensors]
    problems = {
        "missing": [f"{name} {shape}" for name, shape in expected.items() if name not in tensors],
        "unexpected": [f"{brief(name)} {x.shape}" for name, x in tensors.items() if name not in expected],
        "misshapen": [
            f"{name} is {tensors[name].shape}, expected {expected[name]}"
            for name in common
            if tensors[name].shape != expected[name]
        ],
        "unusable": [f"{name} {problem}" for name in common if (problem := _problem(tensors[name], name in counters))],
    }
    told = "; ".join(f"{len(found)} {kind}: {_some(found)}" for kind, found in problems.items() if found)
    if told:
        raise UserError(f"the tensors do not fit the config; {told}")


def _some(found: list[str]) -> str:
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _problem(tensor: Array, counter: bool) -> str:
    """What is wrong with a tensor's values; empty if nothing is."""
    if counter:
        if not np.issubdtype(tensor.dtype, np.integer):
            return f"is {tensor.dtype}, expected an integer"
        return "" if (tensor >= 0).all() and (tensor < 2**31).all() else "does not fit 31 bits"
    # ml_dtypes' bfloat16 is no np.floating
    if not np.issubdtype(tensor.dtype, np.floating) and tensor.dtype.name != "bfloat16":
        return f"is {tensor.dtype}, expected floats"
    with np.errstate(over="ignore", invalid="ignore"):
        return "" if np.isfinite(tensor.astype(np.float32)).all() else "holds values beyond float32, or NaN"
