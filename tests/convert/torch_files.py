"""Checkpoints written byte by byte, without torch: honest ones and others. A helper of the tests beside it."""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ostrack_jax import config as configs
from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.models.weights import weight_shapes
from tests import standin

STORAGES = {
    np.dtype("<f4"): "Float",
    np.dtype("<f8"): "Double",
    np.dtype("<f2"): "Half",
    np.dtype(ml_dtypes.bfloat16): "BFloat16",
    np.dtype("<i8"): "Long",
    np.dtype("<i4"): "Int",
    np.dtype("i1"): "Char",
    np.dtype("u1"): "Byte",
    np.dtype("?"): "Bool",
}


class Raw(bytes):
    """Opcodes that push one value, put into a pickle as they are."""


def encode(value: Any, storages: list[np.ndarray]) -> bytes:
    """The opcodes of protocol 2 that push ``value``; arrays go to ``storages`` and become tensors, as torch does it."""
    match value:
        case Raw():
            return value
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"\x8a\x08" + struct.pack("<q", value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(encode(item, storages) for item in value) + b"t"
        case list():
            return b"](" + b"".join(encode(item, storages) for item in value) + b"e"
        case dict():
            pairs = (encode(key, storages) + encode(item, storages) for key, item in value.items())
            return name("collections", "OrderedDict") + b")R(" + b"".join(pairs) + b"u"
        case np.ndarray():
            storages.append(value)
            strides = tuple(math.prod(value.shape[i + 1 :]) for i in range(value.ndim))
            kind = Raw(name("torch", STORAGES[value.dtype] + "Storage"))
            return tensor(("storage", kind, str(len(storages) - 1), "cuda:0", value.size), 0, value.shape, strides)
    raise TypeError(type(value))


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def tensor(identity: Any, offset: Any, shape: Any, strides: Any) -> bytes:
    """A call of torch's rebuild function over a storage with any arguments, honest or not."""
    hooks = Raw(name("collections", "OrderedDict") + b")R")
    storage = Raw(encode(identity, []) + b"Q")
    arguments = (storage, offset, shape, strides, False, hooks)
    return name("torch._utils", "_rebuild_tensor_v2") + encode(arguments, []) + b"R"


def pickled(content: Any, storages: list[np.ndarray] | None = None) -> bytes:
    """A whole pickle of protocol 2."""
    return b"\x80\x02" + encode(content, [] if storages is None else storages) + b"."


def write_zip(path: Path, content: Any, pickle: bytes | None = None, **extra: bytes) -> Path:
    """The archive form; ``pickle`` in place of ``content``'s own, ``extra`` members over the usual ones."""
    storages: list[np.ndarray] = []
    members = {"data.pkl": pickled(content, storages), "byteorder": b"little"}
    members |= {f"data/{i}": value.tobytes() for i, value in enumerate(storages)}
    members |= {"version": b"3\n"} | extra
    if pickle is not None:
        members["data.pkl"] = pickle
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(f"archive/{member}", data)
    return path


def write_legacy(path: Path, content: Any, little_endian: bool = True) -> Path:
    """The form before torch 1.6."""
    storages: list[np.ndarray] = []
    body = pickled(content, storages)
    magic = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little") + b"."
    parts = [magic, pickled(1001), pickled({"protocol_version": 1001, "little_endian": little_endian}), body]
    parts.append(pickled([str(i) for i in range(len(storages))]))
    parts += [struct.pack("<q", value.size) + value.tobytes() for value in storages]
    path.write_bytes(b"".join(parts))
    return path


def small_config(**model: Any) -> Config:
    """A network so small that a test of all its tensors takes no time."""
    values = configs.to_dict(configs.load("tiny"))
    values["model"] |= {"width": 24, "depth": 2, "heads": 3, "head_channels": 16, "patch": 16}
    values["model"] |= {"template_size": 32, "search_size": 64, "eliminate_at": (1,), "keep_ratio": (0.7,)} | model
    return configs.freeze(values)


def release_tensors(config: Config) -> dict[str, np.ndarray]:
    """Stand-in values for every tensor that the release would have for ``config``."""
    model = config.model
    standin.VIT["small-test"] = (model.width, model.depth, model.heads)
    shapes = standin.shapes(model.search_size, model.template_size, "small-test", model.head_channels, model.patch)
    return standin.weights(shapes)


def mae_tensors(config: Config, patch: int) -> dict[str, np.ndarray]:
    """Stand-in values for an MAE encoder of the config's width and depth."""
    standin.VIT["small-test"] = (config.model.width, config.model.depth, config.model.heads)
    return standin.weights(standin.mae_shapes("small-test", patch))


def quick_weights(model: ModelConfig, seed: int) -> dict[str, np.ndarray]:
    """Some value for every tensor, at once: the network's own initialisation takes seconds."""
    rng = np.random.RandomState(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in weight_shapes(model).items()}
