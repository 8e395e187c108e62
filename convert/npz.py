"""The .npz files that numpy writes. Enters: the path of one. Leaves: its arrays by name.

Taken for hostile: nothing is unpickled, and what is read into memory is bounded by the file's own size, for weights
hardly shrink when they are packed.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ostrack_jax.errors import UserError

from .names import brief

EXPANSION = 4  # times the file's size may its arrays have ..
ALLOWANCE = 1 << 26  # .. beyond these bytes
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What zipfile, zlib and numpy's format raise for bytes that are no whole archive of arrays.
_DAMAGE = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
    struct.error,
    zlib.error,
)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the .npz file ``path`` by name.

    Raises:
      UserError: no .npz file, or a damaged one; objects in it; arrays far larger than the file.
    """
    if not zipfile.is_zipfile(path):
        raise UserError("no .npz file, or cut off")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(members, path.stat().st_size)
            return {member.filename.removesuffix(".npy"): _read(archive, member) for member in members}
    except _DAMAGE as e:
        raise UserError(f"damaged or cut off ({brief(str(e))}); fetch it again") from e


def _check(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise `UserError` for what numpy would not have written into a file of ``size`` bytes."""
    names = [member.filename for member in members]
    odd = next((name for name in names if not name.endswith(".npy")), None)
    if odd is not None:
        raise UserError(f"its member {brief(odd)} is no array: not a file that numpy has written")
    if len(set(names)) < len(names):
        raise UserError("refused: two of its members have one name")
    total = sum(member.file_size for member in members)
    if total > EXPANSION * size + ALLOWANCE:
        raise UserError(f"refused: {size} bytes say they hold {total}, more than weights can be packed")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, if the member has just its size."""
    name = brief(member.filename)
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise UserError(f"its array {name} is of the format {version}, expected 1.0 or 2.0")
        shape, fortran, dtype = _HEADERS[version](file)
        if dtype.hasobject or dtype.kind not in "fiub":
            raise UserError(f"refused: its array {name} is of {brief(str(dtype))}, not numbers")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise UserError(f"its array {name} has not the size that its header says")
        values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape, order="F" if fortran else "C")
