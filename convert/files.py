"""Read the tensors of a weights file: torch's two forms, safetensors or .npz.

torch writes a zip archive (since 1.6; a pickle, and one uncompressed member for each storage), and wrote five pickles
followed by the storages. Nothing in a file is run (see `pickles`), nothing is extracted, and what is read into memory
is bounded by the file's own size. torch is not needed.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ostrack_jax.errors import UserError

from . import states
from .pickles import Storage, StoredTensor, brief, load, malformed

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
EXPANSION = 4  # times the size of an .npz file may its arrays have (weights hardly shrink when they are packed) ..
ALLOWANCE = 1 << 26  # .. beyond these bytes
# What the libraries raise for bytes that are not a complete file; OSError for places outside the file.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, SafetensorError, EOFError, OSError),
    *(ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, MemoryError),
)
_FOREIGN = {  # the first bytes of what is downloaded by mistake
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"\x93NUMPY": "a numpy array",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself",
    b"{": "JSON: of a checkpoint in parts this is the index, and no single part holds the network",
    b"<": "a web page: the download did not give the file itself",
}
# Of safetensors, what numpy has; complex numbers and floats of 8 bits or fewer are not weights.
_SAFE_DTYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}
_BIG_ENDIAN = "written on a big-endian machine; save it again on a little-endian one"

Tensors = dict[str, np.ndarray]


def read_tensors(path: Path, key: str = "") -> Tensors:
    """Read the tensors that the checkpoint ``path`` holds, by name.

    The arrays have the file's dtypes and may be read-only. Where in the file they lie is found, or given by ``key``
    (see `states.find`).

    Raises:
      UserError: no such file; not a checkpoint, or a damaged one; one that asks to run something; no tensors in it.
    """
    read = {"npz": _read_npz, "safetensors": _read_safetensors, "zip": _read_zip, "legacy": _read_legacy}[_kind(path)]
    try:
        return read(path, key)
    except UserError as e:
        raise UserError(f"{path}: {e}") from e
    except _DAMAGE as e:
        raise UserError(f"{path}: damaged or cut off ({brief(str(e))}); fetch it again") from e


def _kind(path: Path) -> str:
    """Recognise a file's form by its first bytes."""
    if not path.exists():
        raise UserError(f"no checkpoint {path}")
    if not path.is_file():
        raise UserError(f"{path} is no file; expected a checkpoint")
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise UserError(f"{path} is empty")
    if head.startswith(b"PK\x03\x04"):
        return "npz" if path.suffix == ".npz" else "zip"
    if head.startswith(b"\x80"):  # a pickle's first opcode since protocol 2
        return "legacy"
    if head[8:9] == b"{":  # behind the header's length
        return "safetensors"
    found = next((what for start, what in _FOREIGN.items() if head.lstrip().startswith(start)), "something else")
    if head[257:262] == b"ustar":
        found = "a tar archive, as torch before 0.4 wrote, or a directory that is still packed"
    raise UserError(f"{path} is no checkpoint (torch's, .safetensors or .npz) but {found}")


def _read_safetensors(path: Path, key: str) -> Tensors:
    """Read a safetensors file, whose library checks that no tensor reaches beyond it."""
    with safe_open(path, framework="numpy") as file:
        if "config" in (file.metadata() or {}):
            raise UserError("is converted already: it goes to --checkpoint or --init as it is")
        names = list(file.keys())
        for name in names:
            if (kind := file.get_slice(name).get_dtype()) not in _SAFE_DTYPES:
                raise UserError(f"its tensor {brief(name)} is of {kind}: expected floats of 16 bits or more")
        return states.find({name: file.get_tensor(name) for name in names}, key, np.ndarray)


def _read_npz(path: Path, key: str) -> Tensors:
    """Read numpy's archive, in which nothing is unpickled."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        total = sum(member.file_size for member in archive.infolist())
    if total > EXPANSION * size + ALLOWANCE:
        raise UserError(f"refused: {size} bytes claim to hold {total}, more than weights can be packed")
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise UserError(f"its member {brief(name)} is not an array of numbers")
    return states.find(arrays, key, np.ndarray)


def _read_zip(path: Path, key: str) -> Tensors:
    """Read the archive form."""
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise UserError("refused: its members together are larger than the file (torch never compresses them)")
        roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
        if any(name.endswith("/constants.pkl") for name in members):
            raise UserError("a TorchScript archive, not a checkpoint")
        if len(roots) != 1:
            raise UserError("a zip archive but no checkpoint: no data.pkl in it")
        at = roots[0]
        if f"{at}/byteorder" in members and archive.read(f"{at}/byteorder") != b"little":
            raise UserError(_BIG_ENDIAN)

        def check(storage: Storage) -> None:
            member = members.get(f"{at}/data/{storage.key}")
            if member is None or member.file_size != storage.size:
                found = "is missing" if member is None else f"has {member.file_size} bytes"
                raise malformed(f"storage {brief(storage.key)} of {storage.size} bytes {found}")

        content = load(io.BytesIO(archive.read(f"{at}/data.pkl")), check)
        tensors = _found(content, key)
        storages = {tensor.storage for tensor in tensors.values()}
        data = {storage: archive.read(f"{at}/data/{storage.key}") for storage in storages}
    return {name: tensor.view(data[tensor.storage]) for name, tensor in tensors.items()}


def _read_legacy(path: Path, key: str) -> Tensors:
    """Read the form before torch 1.6: magic number, protocol, system, content, keys; then storage after storage."""
    seen: dict[str, Storage] = {}

    def remember(storage: Storage) -> None:
        if seen.setdefault(storage.key, storage) != storage:
            raise malformed(f"storage {brief(storage.key)} of two kinds")

    with path.open("rb") as file:
        if load(file, remember) != LEGACY_MAGIC:
            raise UserError("a pickle but no checkpoint: torch's magic number is missing")
        if load(file, remember) != LEGACY_PROTOCOL:
            raise UserError(f"an old checkpoint of a protocol other than {LEGACY_PROTOCOL}")
        system = load(file, remember)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise UserError(_BIG_ENDIAN)
        tensors = _found(load(file, remember), key)
        keys: Any = load(file, remember)
        if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(seen):
            raise malformed("the list of storages is not that of the tensors")
        needed = {tensor.storage for tensor in tensors.values()}
        data: dict[Storage, bytes] = {}
        left = path.stat().st_size - file.tell()
        for storage in (seen[str(name)] for name in keys):
            left -= 8 + storage.size
            if left < 0:
                raise UserError("cut off within its numbers; fetch it again")
            if struct.unpack("<q", file.read(8))[0] != storage.count:
                raise malformed(f"storage {brief(storage.key)} is not of {storage.count} numbers")
            if storage in needed:
                data[storage] = file.read(storage.size)
            else:
                file.seek(storage.size, io.SEEK_CUR)
    return {name: tensor.view(data[tensor.storage]) for name, tensor in tensors.items()}


def _found(content: object, key: str) -> dict[str, StoredTensor]:
    """Find the network's tensors and check that none reaches beyond its storage."""
    return {name: tensor.checked() for name, tensor in states.find(content, key, StoredTensor).items()}
