"""The pretrained networks in numpy, with each release's own names and layouts. A helper of the tests beside it."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

Array = np.ndarray
Tensors = dict[str, Array]


def torch_vit(image: Array, tensors: Tensors, heads: int) -> Array:
    """Tokens of a image (side, side, 3), class token first, from the tensors of MAE, DeiT or DINOv2."""
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    x = (image / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    weight = t["patch_embed.proj.weight"]
    x = np.einsum("rhcwi,oihw->rco", _patches(x, weight.shape[-1]), weight).reshape(-1, len(weight))
    x = np.concatenate([t["cls_token"][0], x + t["patch_embed.proj.bias"]]) + t["pos_embed"][0]
    for i in range(sum(name.endswith("attn.qkv.bias") for name in t)):
        b = f"blocks.{i}."
        y = _norm(x, t[f"{b}norm1.weight"], t[f"{b}norm1.bias"])
        qkv = (y @ t[f"{b}attn.qkv.weight"].T + t[f"{b}attn.qkv.bias"]).reshape(len(x), 3, heads, -1)
        mixed = _attend(qkv[:, 0], qkv[:, 1], qkv[:, 2]).reshape(len(x), -1)
        x = x + t.get(f"{b}ls1.gamma", 1.0) * (mixed @ t[f"{b}attn.proj.weight"].T + t[f"{b}attn.proj.bias"])
        y = _norm(x, t[f"{b}norm2.weight"], t[f"{b}norm2.bias"])
        y = _gelu(y @ t[f"{b}mlp.fc1.weight"].T + t[f"{b}mlp.fc1.bias"])
        x = x + t.get(f"{b}ls2.gamma", 1.0) * (y @ t[f"{b}mlp.fc2.weight"].T + t[f"{b}mlp.fc2.bias"])
    return _norm(x, t["norm.weight"], t["norm.bias"])


def augreg_vit(image: Array, tensors: Tensors, depth: int) -> Array:
    """The same from an AugReg file's arrays, of pixels within -1 .. 1."""
    t = {name.removeprefix("Transformer/"): value.astype(np.float64) for name, value in tensors.items()}
    kernel = t["embedding/kernel"]
    x = np.einsum("rhcwi,hwio->rco", _patches(image / 127.5 - 1, len(kernel)), kernel).reshape(-1, kernel.shape[-1])
    x = np.concatenate([t["cls"][0], x + t["embedding/bias"]]) + t["posembed_input/pos_embedding"][0]
    for i in range(depth):
        b = f"encoderblock_{i}/"
        a, m = f"{b}MultiHeadDotProductAttention_1/", f"{b}MlpBlock_3/"
        y = _norm(x, t[f"{b}LayerNorm_0/scale"], t[f"{b}LayerNorm_0/bias"])
        q, k, v = (
            np.einsum("nc,cmd->nmd", y, t[f"{a}{n}/kernel"]) + t[f"{a}{n}/bias"] for n in ("query", "key", "value")
        )
        x = x + np.einsum("nmd,mdc->nc", _attend(q, k, v), t[f"{a}out/kernel"]) + t[f"{a}out/bias"]
        y = _norm(x, t[f"{b}LayerNorm_2/scale"], t[f"{b}LayerNorm_2/bias"])
        y = _gelu(y @ t[f"{m}Dense_0/kernel"] + t[f"{m}Dense_0/bias"])
        x = x + y @ t[f"{m}Dense_1/kernel"] + t[f"{m}Dense_1/bias"]
    return _norm(x, t["encoder_norm/scale"], t["encoder_norm/bias"])


def augreg_tensors(width: int, depth: int, heads: int, patch: int = 16, grid: int = 14) -> Tensors:
    """Values drawn for every array of an AugReg file, its classifier too, under the official names."""
    d, block = width // heads, {}
    for norm in ("LayerNorm_0", "LayerNorm_2"):
        block |= {f"{norm}/scale": (width,), f"{norm}/bias": (width,)}
    for part in ("query", "key", "value"):
        name = f"MultiHeadDotProductAttention_1/{part}"
        block |= {f"{name}/kernel": (width, heads, d), f"{name}/bias": (heads, d)}
    block["MultiHeadDotProductAttention_1/out/kernel"] = (heads, d, width)
    block["MultiHeadDotProductAttention_1/out/bias"] = (width,)
    for name, (a, b) in {"Dense_0": (width, 4 * width), "Dense_1": (4 * width, width)}.items():
        block |= {f"MlpBlock_3/{name}/kernel": (a, b), f"MlpBlock_3/{name}/bias": (b,)}
    shapes = {
        "cls": (1, 1, width),
        "embedding/kernel": (patch, patch, 3, width),
        "embedding/bias": (width,),
        "Transformer/posembed_input/pos_embedding": (1, 1 + grid**2, width),
        "Transformer/encoder_norm/scale": (width,),
        "Transformer/encoder_norm/bias": (width,),
        "pre_logits/kernel": (width, width),
        "pre_logits/bias": (width,),
        "head/kernel": (width, 10),
        "head/bias": (10,),
    }
    shapes |= {f"Transformer/encoderblock_{i}/{name}": shape for i in range(depth) for name, shape in block.items()}
    rng = np.random.RandomState(0)
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def _patches(x: Array, patch: int) -> Array:
    """(side, side, 3) to (rows, patch, columns, patch, 3)."""
    return x.reshape(x.shape[0] // patch, patch, x.shape[1] // patch, patch, 3)


def _norm(x: Array, scale: Array, bias: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * scale + bias


def _gelu(x: Array) -> Array:
    return x * (1 + erf(x / np.sqrt(2))) / 2


def _attend(q: Array, k: Array, v: Array) -> Array:
    logits = np.einsum("nmd,lmd->mnl", q, k) / np.sqrt(q.shape[-1])
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.einsum("mnl,lmd->nmd", weights / weights.sum(-1, keepdims=True), v)
