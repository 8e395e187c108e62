"""The tensors of each release and their names here.

A table maps a release's name to our dotted name and the layout between them, in the order of the release's files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ostrack_jax.config import ModelConfig
from ostrack_jax.errors import UserError, listed

from .pickles import brief

SHOWN = 10  # of each kind of misfit; a wrong config misfits everywhere

Array = np.ndarray
Shapes = Mapping[str, tuple[int, ...]]


class Layout(NamedTuple):
    """How a release's tensor becomes ours and back; exact inverses of each other."""

    to_ours: Callable[[Array], Array]
    to_release: Callable[[Array], Array]
    counter: bool = False  # an integer, int64 in the release and int32 here; all else is float32 here


Table = dict[str, tuple[str, Layout]]

SAME = Layout(lambda x: x, lambda x: x)
COUNTER = Layout(lambda x: x, lambda x: x, counter=True)
LINEAR = Layout(lambda x: x.T, lambda x: x.T)  # (out, in) - (in, out)
KERNEL = Layout(lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1))  # (o, i, h, w) - (h, w, i, o)
TOKENS = Layout(lambda x: x[0], lambda x: x[None])  # (1, n, c) - (n, c)
VECTOR = Layout(lambda x: x[0, 0], lambda x: x[None, None])  # (1, 1, c) - (c)


def _layer(theirs: str, ours: str, layout: Layout) -> Table:
    """A layer with a kernel, and its bias."""
    return {f"{theirs}weight": (f"{ours}kernel", layout), f"{theirs}bias": (f"{ours}bias", SAME)}


def _norm(theirs: str, ours: str) -> Table:
    return {f"{theirs}weight": (f"{ours}scale", SAME), f"{theirs}bias": (f"{ours}bias", SAME)}


def _within(theirs: str, ours: str, table: Table) -> Table:
    return {theirs + name: (ours + place, layout) for name, (place, layout) in table.items()}


_ATTENTION = _layer("attn.qkv.", "attn.qkv.", LINEAR) | _layer("attn.proj.", "attn.proj.", LINEAR)
_MLP = _layer("mlp.fc1.", "mlp.fc1.", LINEAR) | _layer("mlp.fc2.", "mlp.fc2.", LINEAR)
_BLOCK = _norm("norm1.", "norm1.") | _ATTENTION | _norm("norm2.", "norm2.") | _MLP
_SCALES: Table = {"ls1.gamma": ("scale1", SAME), "ls2.gamma": ("scale2", SAME)}
_RELATIVE: Table = {"attn.relative_position_bias_table": ("attn.relative_positions", SAME)}
_UNUSED: Table = {"cls_token": ("cls_token", SAME), "pos_embed": ("pos_embed", SAME)}
_POSITIONS: Table = {"pos_embed_z": ("pos_embed_template", TOKENS), "pos_embed_x": ("pos_embed_search", TOKENS)}
_IDENTITIES: Table = {  # the release's option SEP_SEG
    "template_segment_pos_embed": ("identity_template", VECTOR),
    "search_segment_pos_embed": ("identity_search", VECTOR),
}
_AUGREG = {  # parts of names in the AugReg release, and in the others
    **{"Transformer/posembed_input/pos_embedding": "pos_embed", "Transformer/encoder_norm/": "norm."},
    **{"LayerNorm_0/": "norm1.", "LayerNorm_2/": "norm2.", "MultiHeadDotProductAttention_1/": "attn."},
    **{"MlpBlock_3/Dense_0/": "mlp.fc1.", "MlpBlock_3/Dense_1/": "mlp.fc2.", "embedding/": "patch_embed.proj."},
    **{"attn.out/": "attn.proj.", "query/": "query.", "key/": "key.", "value/": "value."},
    **{".kernel": ".weight", ".scale": ".weight"},
}
_BRANCHES = {"ctr": "score", "offset": "offset", "size": "size"}


def ostrack(model: ModelConfig) -> Table:
    """The 242 tensors (at depth 12) of ``net`` in a published OSTrack checkpoint, and those of its options."""
    block = _BLOCK | _RELATIVE if model.relative_positions else _BLOCK
    tokens = _POSITIONS | _IDENTITIES if model.identity_embeddings else _POSITIONS
    table = _within("backbone.", "backbone.", _UNUSED | tokens | _encoder(model.depth, block))
    for theirs, ours in _BRANCHES.items():
        for i in range(4):
            conv, norm = f"box_head.conv{i + 1}_{theirs}.", f"head.{ours}.norms.{i}."
            table |= _layer(f"{conv}0.", f"head.{ours}.convs.{i}.", KERNEL) | _norm(f"{conv}1.", norm)
            table |= {
                f"{conv}1.running_mean": (f"{norm}mean", SAME),
                f"{conv}1.running_var": (f"{norm}var", SAME),
                f"{conv}1.num_batches_tracked": (f"{norm}count", COUNTER),
            }
        table |= _layer(f"box_head.conv5_{theirs}.", f"head.{ours}.final.", KERNEL)
    return table


def vit(depth: int, layer_scale: bool = False) -> Table:
    """The encoder in a file of the MAE, DeiT or (with LayerScale) DINOv2 release."""
    return _within("", "backbone.", _UNUSED | _encoder(depth, _BLOCK | _SCALES if layer_scale else _BLOCK))


def _encoder(depth: int, block: Table) -> Table:
    table = _layer("patch_embed.proj.", "patch_embed.", KERNEL)
    for i in range(depth):
        table |= _within(f"blocks.{i}.", f"blocks.{i}.", block)
    return table | _norm("norm.", "norm.")


def augreg_as_vit(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Give an AugReg file's tensors the names and layouts of `vit`, query, key and value in one; others as they are."""
    out = {}
    for name, value in tensors.items():
        new = "cls_token" if name == "cls" else re.sub(r"^Transformer/encoderblock_(\d+)/", r"blocks.\1.", name)
        for theirs, ours in _AUGREG.items():
            new = new.replace(theirs, ours)
        if re.search(r"\.attn\.(query|key|value)\.", new):  # (c, m, d) and (m, d), m heads of d
            value = value.reshape(len(value), -1) if value.ndim == 3 else value.reshape(-1)
        elif new.endswith("attn.proj.weight"):  # (m, d, c)
            value = value.reshape(-1, value.shape[-1])
        out[new] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T if value.ndim == 2 else value
    for name in [name for name in out if ".attn.query." in name]:
        parts = [name.replace("query", part) for part in ("query", "key", "value")]
        if out.keys() >= {*parts}:
            out[name.replace("query", "qkv")] = np.concatenate([out.pop(part) for part in parts])
    return out


def to_ours(tensors: Mapping[str, Array], table: Table, shapes: Shapes) -> dict[str, Array]:
    """Give a release's tensors our names and layouts: float32 (a half's value is kept), counters int32.

    Args:
      tensors: by the release's names, any float dtype.
      table: which tensors there must be, and where they go.
      shapes: of ours, by our names.

    Raises:
      UserError: tensors missing, unexpected, misshapen or with values of the wrong kind; all of them at once.
    """
    expected = {  # nothing is computed: the arrays have no memory of their own
        name: layout.to_release(np.broadcast_to(np.float32(0), shapes[place])).shape
        for name, (place, layout) in table.items()
    }
    _check(tensors, expected, {name for name, (_, layout) in table.items() if layout.counter})
    return {
        place: np.array(layout.to_ours(tensors[name]), np.int32 if layout.counter else np.float32, order="C")
        for name, (place, layout) in table.items()
    }


def to_release(weights: Mapping[str, Array], table: Table, shapes: Shapes) -> dict[str, Array]:
    """Give our weights the release's names and layouts, the exact inverse of `to_ours`; raises as it does."""
    expected = {place: shapes[place] for place, _ in table.values()}
    _check(weights, expected, {place for place, layout in table.values() if layout.counter})
    return {
        name: np.array(layout.to_release(weights[place]), np.int64 if layout.counter else np.float32, order="C")
        for name, (place, layout) in table.items()
    }


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
    found = "; ".join(f"{len(names)} {kind}: {listed(names, SHOWN)}" for kind, names in problems.items() if names)
    if found:
        raise UserError(f"the tensors do not fit the config; {found}")


def _problem(tensor: Array, counter: bool) -> str:
    """Describe what is wrong with a tensor's values; empty if nothing is."""
    # ml_dtypes' bfloat16 is not np.floating
    kind = "f" if tensor.dtype.name == "bfloat16" else tensor.dtype.kind
    if kind not in ("iu" if counter else "f"):
        return f"is {tensor.dtype}, expected {'an integer' if counter else 'floats'}"
    with np.errstate(over="ignore", invalid="ignore"):
        fits = (tensor < 2**31).all() if counter else np.isfinite(tensor.astype(np.float32)).all()
    return "" if fits else f"holds values beyond {'31 bits' if counter else 'float32, or NaN'}"
