"""What a pickle may name. Enters: the name of a class or function. Leaves: a record in its place, or a refusal.

Nothing that a pickle names is ever called here (see `pickles`), so the list decides no more than which files are
taken for honest: names of the interpreter, torch and numpy are refused but for the few that checkpoints hold.
"""

from __future__ import annotations

import sys
from _compat_pickle import IMPORT_MAPPING
from dataclasses import dataclass, field
from typing import Any

from ostrack_jax.errors import UserError

# Python 2's names for the standard library, and what could stand for it.
_GUARDED = sys.stdlib_module_names | {name.partition(".")[0] for name in IMPORT_MAPPING}
_GUARDED |= {"__builtin__", "__main__", "imp", "distutils", "setuptools", "pip", "pkg_resources"}
_GUARDED |= {"torch", "torchgen", "functorch", "numpy"}

_BUILTINS = "object set frozenset list dict tuple slice bytearray complex int float bool str bytes"
_PATHS = "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"
_NUMPY = "multiarray.scalar multiarray._reconstruct numeric._frombuffer"
_TORCH = "_rebuild_tensor_v3 _rebuild_qtensor _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage"
_TORCH_TYPES = """float16 float32 float64 bfloat16 half float double uint8 int8 int16 int32 int64 long bool complex64
  complex128 uint16 uint32 uint64 contiguous_format preserve_format strided"""

# Values that settings and meters hold beside the weights; nothing here needs them, so they stay records.
HARMLESS = frozenset(
    ["argparse.Namespace", "types.SimpleNamespace", "copyreg._reconstructor", "copy_reg._reconstructor"]
    + ["_codecs.encode", "collections.Counter", "collections.deque", "collections.defaultdict"]
    + ["uuid.UUID", "decimal.Decimal"]
    + [f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _BUILTINS.split()]
    + [f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in _PATHS.split()]
    + [f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")]
    + ["numpy.dtype", "numpy.ndarray"]
    + [f"numpy.{core}.{name}" for core in ("core", "_core") for name in _NUMPY.split()]
    + ["torch.device", "torch.Size", "torch.Tensor", "torch.nn.parameter.Parameter"]
    + [f"torch._utils.{name}" for name in _TORCH.split()]
    + [f"torch.{name}" for name in _TORCH_TYPES.split()]
)


def refused(module: str, name: str) -> bool:
    """Whether a file that names ``module``.``name`` is to be refused; a name of ours is asked about before."""
    return module.partition(".")[0] in _GUARDED and f"{module}.{name}" not in HARMLESS


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the file names, as text."""

    full: str


@dataclass(slots=True, eq=False, repr=False)
class Inert:
    """What the file says of an object whose class is not ours: never constructed, only noted down."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)


def malformed(what: str) -> UserError:
    """The error for a pickle whose parts do not fit together."""
    return UserError(f"damaged pickle: {what}")


def brief(value: object) -> str:
    """A short, printable, one-line text for something a file holds, whatever it is."""
    if isinstance(value, (Name, Inert)):
        return ascii(value.full if isinstance(value, Name) else value.name)[1:-1][:100]
    if isinstance(value, str):
        return ascii(value[:100])
    return f"a {type(value).__name__}"
