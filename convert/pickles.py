"""Read torch's pickles without running anything in them.

A pickle names classes and functions and asks to call them. Here every name becomes a class made for this one file
that does nothing (`Inert`) but for the few that make a checkpoint: ordered dicts and torch's tensors. No module is
imported, so nothing that a file names is ever run. Names of Python, numpy and torch that no checkpoint needs are
refused: such a file is not a checkpoint.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import sys
from _compat_pickle import IMPORT_MAPPING
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from ostrack_jax.errors import UserError

# Python 2's names of the standard library too, and what could stand for it.
_GUARDED = sys.stdlib_module_names | {name.partition(".")[0] for name in IMPORT_MAPPING}
_GUARDED |= {"__builtin__", "__main__", "imp", "distutils", "setuptools", "pip", "pkg_resources"}
_GUARDED |= {"torch", "torchgen", "functorch", "numpy"}
# What checkpoints hold next to the weights: settings, meters, dates, optimizers.
_HARMLESS = re.compile(
    r"""argparse\.Namespace | types\.SimpleNamespace | copy_?reg\._reconstructor | _codecs\.encode
    | collections\.(OrderedDict|Counter|deque|defaultdict) | uuid\.UUID | decimal\.Decimal
    | (builtins|__builtin__)\.(object|set|frozenset|list|dict|tuple|slice|bytearray|complex|int|float|bool|str|bytes)
    | pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path | datetime\.(datetime|date|time|timedelta|timezone)
    | numpy\.(dtype|ndarray) | numpy\._?core\.(multiarray\.(scalar|_reconstruct)|numeric\._frombuffer)
    | torch\.(\w+Storage|storage\.UntypedStorage|device|Size|Tensor|nn\.parameter\.Parameter)
    | torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor)
    | torch\._utils\._rebuild_meta_tensor_no_storage
    | torch\.(float|double|half|bfloat|long|u?int|bool|complex)\d* | torch\.(contiguous_format|preserve_format|strided)
    """,
    re.VERBOSE,
)
_DTYPES: dict[str, Any] = {
    **{"Double": "<f8", "Float": "<f4", "Half": "<f2", "BFloat16": ml_dtypes.bfloat16},
    **{"Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?"},
    **{"ComplexFloat": "<c8", "ComplexDouble": "<c16", "QInt8": "i1", "QUInt8": "u1", "QInt32": "<i4"},
}
_STORAGES = {f"torch.{name}Storage": np.dtype(dtype) for name, dtype in _DTYPES.items()}
_STORAGES["torch.storage.UntypedStorage"] = np.dtype("u1")


# Storages and tensors are tuples, which a pickle cannot change once they are made.
class Storage(NamedTuple):
    """A run of ``count`` numbers that the file keeps under ``key``."""

    key: str
    dtype: np.dtype
    count: int


class StoredTensor(NamedTuple):
    """A view of a storage, as the file describes it: offset, shape and strides in elements."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any

    def view(self, data: bytes | memoryview) -> np.ndarray:
        """View ``data``, the storage's bytes, as a read-only array; an error where the tensor reaches beyond them."""
        dtype, size = self.storage.dtype, self.storage.dtype.itemsize
        if math.prod(self.shape) > self.storage.count or len(data) != self.storage.count * size:
            raise ValueError(f"a tensor of shape {self.shape} over {len(data)} bytes")
        if 0 in self.shape:
            return np.empty(self.shape, dtype)
        return np.ndarray(self.shape, dtype, data, self.offset * size, [stride * size for stride in self.strides])


class _Dict(dict[Any, Any]):
    """An ordered dict, whose attributes (a state dict's ``_metadata``) are not needed."""

    def __setstate__(self, state: object) -> None:
        """Ignore the attributes."""


class Inert:
    """Stand-in for whatever a file names: calling it, its items and its attributes do nothing.

    Attributes:
      full: the name in the file.
    """

    full = ""

    def __new__(cls, *arguments: Any, **_: Any) -> Any:
        """Make the value of a known name, else a stand-in."""
        rebuild = _REBUILD.get(cls.full)
        return rebuild(*arguments) if rebuild else super().__new__(cls)

    def _ignore(self, *_: Any) -> None: ...

    append = extend = add = __setitem__ = __setstate__ = _ignore


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> StoredTensor:
    return StoredTensor(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_REBUILD: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _Dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}


# Python's own in Python: the one in C allocates by any length or memo number in the file.
class _Unpickler(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Python's unpickler without access to any class or function but the stand-ins; notes the storages by key."""

    def __init__(self, file: io.BytesIO | io.BufferedReader) -> None:
        super().__init__(file, encoding="latin-1")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> type[Inert]:
        full = f"{module}.{name}"
        if module.partition(".")[0] in _GUARDED and not _HARMLESS.fullmatch(full):
            raise UserError(f"refused: the file asks to run {ascii(full)[1:-1][:100]} on loading")
        return type("Inert", (Inert,), {"full": full})

    def persistent_load(self, pid: Any) -> Any:
        """Read torch's persistent id: ("storage", type, key, device, count[, view of another storage]).

        One of the kind "module" (old files: a class with its source) stands for the class.
        """
        kind, named, *rest = pid
        if kind == "module":
            return named
        key, _, count, *view = rest
        if kind != "storage" or view not in ([], [None]):  # a view of another, as torch before 0.4 wrote
            raise ValueError(f"{brief(kind)} in place of a storage")
        self.storages[key] = storage = Storage(key, _STORAGES[named.full], count)
        return storage


def load(file: io.BytesIO | io.BufferedReader) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle and the storages that it names; ``file``, at its first byte, is then at its end.

    Returns:
      dicts, lists, tuples, sets, scalars, `StoredTensor` and `Inert`, containers of which may hold themselves; and the
      storages by key.

    Raises:
      UserError: the pickle is damaged, or asks to run something.
    """
    unpickler = _Unpickler(file)
    try:
        return unpickler.load(), unpickler.storages
    except UserError:
        raise
    except Exception as e:  # the bytes of the file are a program, which may fail in any way
        raise UserError(f"damaged pickle: {brief(str(e))}") from e


def brief(value: object) -> str:
    """Describe something that a file holds in a short, printable, one-line text."""
    if isinstance(value, str):
        return ascii(value[:100])
    full = getattr(value, "full", None)
    return ascii(full)[1:-1][:100] if isinstance(full, str) else f"a {type(value).__name__}"
