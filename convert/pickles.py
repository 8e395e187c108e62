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

MOST_NUMBERS = 1 << 40  # of a tensor
_MOST_AXES = 16

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

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.count * self.dtype.itemsize


class StoredTensor(NamedTuple):
    """A view of a storage, as the file describes it: offset, shape and strides in elements."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any

    def checked(self) -> StoredTensor:
        """Return the tensor itself; raise `UserError` where it is malformed or reaches beyond its storage."""
        storage, offset, shape, strides = self
        if not isinstance(storage, Storage):
            raise malformed(f"a tensor over {brief(storage)}")
        if not _sizes(shape) or not _sizes(strides) or len(shape) != len(strides) or not _sizes((offset,)):
            raise malformed("a tensor whose offset, shape or strides are not sizes")
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        numbers = math.prod(n for n in shape if n)
        if numbers > MOST_NUMBERS or (0 not in shape and max(last + 1, numbers) > storage.count):
            raise malformed(f"a tensor of shape {shape} that reaches beyond its {storage.count} numbers")
        return self

    def view(self, data: bytes) -> np.ndarray:
        """View ``data``, the storage's bytes, as a read-only array."""
        storage, offset, shape, strides = self.checked()
        if 0 in shape:
            return np.empty(shape, storage.dtype)
        run = np.frombuffer(data, storage.dtype, storage.count)[offset:]
        in_bytes = tuple(stride * storage.dtype.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(run, shape, in_bytes, writeable=False)


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


_REBUILD: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _Dict,
    "torch._utils._rebuild_tensor": StoredTensor,
    "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, strides, *_: StoredTensor(
        storage, offset, shape, strides
    ),
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
}


# Python's own in Python: the one in C allocates by any length or memo number in the file.
class _Unpickler(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Python's unpickler without access to any class or function but the stand-ins."""

    def __init__(self, file: io.BytesIO | io.BufferedReader, storage_found: Callable[[Storage], None]) -> None:
        super().__init__(file, encoding="latin-1")
        self._storage_found = storage_found

    def find_class(self, module: str, name: str) -> type[Inert]:
        full = f"{module}.{name}"
        if module.partition(".")[0] in _GUARDED and not _HARMLESS.fullmatch(full):
            raise UserError(f"refused: the file asks to run {ascii(full)[1:-1][:100]} on loading")
        return type("Inert", (Inert,), {"full": full})

    def persistent_load(self, pid: Any) -> Any:
        """Read torch's persistent id: ("storage", type, key, device, count[, view of another storage]).

        One of the kind "module" (old files: a class with its source) stands for the class.
        """
        kind, named, *rest = pid if isinstance(pid, tuple) and len(pid) > 1 else ("", pid)
        if kind == "module":
            return named
        dtype = _STORAGES.get(getattr(named, "full", ""))
        if kind != "storage" or dtype is None:
            raise malformed(f"{brief(kind)} of {brief(named)} in place of a storage")
        if len(rest) not in (3, 4) or (len(rest) == 4 and rest[3] is not None):
            raise malformed("a storage that is a view of another, as torch before 0.4 wrote")
        key, _, count = rest[:3]
        if not isinstance(key, str) or not _sizes((count,)):
            raise malformed("a storage without key or length")
        storage = Storage(key, dtype, count)
        self._storage_found(storage)
        return storage


def load(file: io.BytesIO | io.BufferedReader, storage_found: Callable[[Storage], None]) -> Any:
    """Read one pickle; ``file`` is then at its end.

    Args:
      file: at the pickle's first byte.
      storage_found: called with each storage that is named; may raise `UserError`.

    Returns:
      dicts, lists, tuples, sets, scalars, `StoredTensor` and `Inert`. Containers may hold themselves.

    Raises:
      UserError: the pickle is damaged, or asks to run something.
    """
    try:
        return _Unpickler(file, storage_found).load()
    except UserError:
        raise
    except Exception as e:  # the bytes of the file are a program, which may fail in any way
        raise malformed(ascii(str(e))[1:-1][:100] or type(e).__name__) from e


def malformed(what: str) -> UserError:
    """Make the error for a pickle whose parts do not fit together."""
    return UserError(f"damaged pickle: {what}")


def brief(value: object) -> str:
    """Describe something that a file holds in a short, printable, one-line text."""
    if isinstance(value, str):
        return ascii(value[:100])
    full = getattr(value, "full", None)
    return ascii(full)[1:-1][:100] if isinstance(full, str) else f"a {type(value).__name__}"


def _sizes(values: object) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) <= _MOST_AXES
        and all(type(n) is int and 0 <= n <= MOST_NUMBERS for n in values)
    )
