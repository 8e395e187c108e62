"""Tensors as torch pickles them. Enters: the arguments of a pickled rebuild call. Leaves: checked `StoredTensor`s.

A tensor is a view (offset, shape, strides; all in elements) of a storage, a flat run of numbers that lies elsewhere
in the file. Nothing is read here; that no view reaches beyond its storage is checked before anything is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .names import Inert, Name, brief, malformed

MAX_DIMENSIONS = 16
MAX_LENGTH = 1 << 40

_DTYPES: dict[str, Any] = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "BFloat16": ml_dtypes.bfloat16,
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
    "ComplexFloat": "<c8",
    "ComplexDouble": "<c16",
    "QInt8": "i1",
    "QUInt8": "u1",
    "QInt32": "<i4",
}
STORAGE_TYPES = {f"torch.{name}Storage": np.dtype(dtype) for name, dtype in _DTYPES.items()}
STORAGE_TYPES["torch.storage.UntypedStorage"] = np.dtype("u1")


@dataclass(frozen=True)
class Storage:
    """A run of ``count`` numbers that the file keeps under ``key``."""

    key: str
    dtype: np.dtype
    count: int

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A view of a storage: offset, shape and strides in elements; never beyond the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, data: bytes) -> np.ndarray:
        """The tensor as a read-only array over ``data``, the storage's bytes."""
        if 0 in self.shape:
            return np.empty(self.shape, self.storage.dtype)
        run = np.frombuffer(data, self.storage.dtype, self.storage.count)[self.offset :]
        strides = tuple(stride * self.storage.dtype.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(run, self.shape, strides, writeable=False)


def storage_of(identity: object) -> Storage | Name:
    """A storage from torch's persistent id ("storage", type, key, device, count[, view of another storage]).

    The device is of no interest. An id of the kind "module" (old files: a class with its source) is the class's name.
    """
    if not isinstance(identity, tuple) or len(identity) < 2:
        raise malformed(f"{brief(identity)} in place of a storage")
    kind, named, *rest = identity
    if not isinstance(named, Name) or kind not in ("storage", "module"):
        raise malformed(f"{brief(kind)} of {brief(named)} in place of a storage")
    if kind == "module":
        return named
    if len(rest) not in (3, 4) or (len(rest) == 4 and rest[3] is not None):
        raise malformed("a storage that is a view of another, as torch before 0.4 wrote")
    key, _, count = rest[:3]
    if not isinstance(key, str) or type(count) is not int or not 0 <= count <= MAX_LENGTH:
        raise malformed("a storage without key or length")
    if named.full not in STORAGE_TYPES:
        raise malformed(f"{brief(named)} in place of a type of numbers")
    return Storage(key, STORAGE_TYPES[named.full], count)


def rebuild_tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    """torch's ``_rebuild_tensor``, with or without ``_v2``: (storage, offset, shape, strides, ...), checked."""
    if len(arguments) < 4:
        raise malformed("a tensor without storage, offset, shape and strides")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage):
        raise malformed(f"a tensor over {brief(storage)}")
    if not _lengths(shape) or not _lengths(strides) or len(shape) != len(strides) or not _lengths((offset,)):
        raise malformed("a tensor whose offset, shape or strides are no lengths")
    if math.prod(n for n in shape if n) > MAX_LENGTH:
        raise malformed(f"a tensor of more than {MAX_LENGTH} numbers")
    if 0 not in shape:
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if last >= storage.count or math.prod(shape) > storage.count:
            raise malformed(f"a tensor of shape {shape} that reaches beyond its {storage.count} numbers")
    return StoredTensor(storage, offset, shape, strides)


def rebuild_parameter(arguments: tuple[Any, ...]) -> Any:
    """torch's ``_rebuild_parameter(tensor, requires_grad, hooks)``: the tensor."""
    if not arguments or not isinstance(arguments[0], (StoredTensor, Inert)):
        raise malformed("a parameter without a tensor")
    return arguments[0]


def rebuild_dict(arguments: tuple[Any, ...]) -> dict[Any, Any] | Inert:
    """``OrderedDict()``, whose items follow. Python 2's form, with all items as an argument, stays a record."""
    return Inert("collections.OrderedDict", arguments) if arguments else {}


def _lengths(values: object) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) <= MAX_DIMENSIONS
        and all(type(n) is int and 0 <= n <= MAX_LENGTH for n in values)
    )


def _stays_a_name(arguments: tuple[Any, ...]) -> Any:
    raise malformed("a storage type that is called")


REBUILD: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": rebuild_dict,
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
} | {name: _stays_a_name for name in STORAGE_TYPES}
