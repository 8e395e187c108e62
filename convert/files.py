"""The files that weights come in. Enters: the path of a checkpoint. Leaves: its tensors by name, as numpy arrays.

torch writes two forms: a zip archive (torch 1.6 on; a pickle and one uncompressed member for each storage), and before
it five pickles followed by the storages. Both are taken for hostile: nothing is run (`pickles`), nothing is extracted,
and what is read into memory never exceeds the file's own size. torch is not needed. In a safetensors file or an .npz
(`npz`) there is nothing to run.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ostrack_jax.errors import UserError

from . import states
from .names import brief, malformed
from .npz import read_arrays
from .pickles import MAX_BYTES, load
from .tensors import REBUILD, Storage, StoredTensor, storage_of

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
# What zipfile raises for bytes that are no whole archive; OSError for places outside the file.
_DAMAGE = (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError, struct.error)
_FOREIGN = {  # the first bytes of what is downloaded by mistake
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"\x93NUMPY": "a numpy array",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself",
    b"{": "JSON: of a checkpoint in parts this is the index, and no single part holds the network",
    b"<": "a web page: the download did not give the file itself",
}

# Of safetensors, what numpy has; complex numbers and floats of 8 bits or fewer are no weights.
_SAFE_DTYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}

Read = Callable[[Storage], bytes]


def read_tensors(path: Path, key: str = "") -> dict[str, np.ndarray]:
    """The tensors that the checkpoint ``path`` holds, by name; where in it they lie is found, or said by ``key``.

    The arrays have the file's dtypes and may be read-only; see `states.find` for ``key``.

    Raises:
      UserError: no such file; no checkpoint, or a damaged one; one that asks to run something; no tensors in it.
    """
    kind = _kind(path)
    try:
        if kind == "npz":
            return states.find(read_arrays(path), key, np.ndarray)
        if kind == "safetensors":
            return states.find(_read_safetensors(path), key, np.ndarray)
        with path.open("rb") as file:
            return _read_zip(file, key) if kind == "zip" else _read_legacy(file, key)
    except UserError as e:
        raise UserError(f"{path}: {e}") from e


def _kind(path: Path) -> str:
    """Which form the file has, by its first bytes."""
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
        found = "a tar archive, as torch before 0.4 wrote, or a folder that is still packed"
    raise UserError(f"{path} is no checkpoint (torch's, .safetensors or .npz) but {found}")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file, whose library checks that no tensor reaches beyond it."""
    try:
        with safe_open(path, framework="numpy") as file:
            if "config" in (file.metadata() or {}):
                raise UserError("is converted already: it goes to --checkpoint or --init as it is")
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - not a mapping
            if odd := [name for name, kind in kinds.items() if kind not in _SAFE_DTYPES]:
                raise UserError(f"its tensor {brief(odd[0])} is of {kinds[odd[0]]}: expected floats of 16 bits or more")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, TypeError, OSError) as e:
        raise UserError(f"damaged or cut off ({brief(str(e))}); fetch it again") from e


def _read_zip(file: io.BufferedReader, key: str) -> dict[str, np.ndarray]:
    """Read the archive form."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, file.seek(0, io.SEEK_END))
            root = _root(members)
            _check_order(archive, members.get(f"{root}/byteorder"))
            pickle = members[f"{root}/data.pkl"]
            if pickle.file_size > MAX_BYTES:
                raise UserError(f"its pickle is longer than {MAX_BYTES >> 20} MiB, far above any checkpoint's")
            content = load(io.BytesIO(archive.read(pickle)), REBUILD, _storages_in(members, root))
            return _arrays(content, key, lambda storage: archive.read(f"{root}/data/{storage.key}"))
    except _DAMAGE as e:
        raise UserError(f"damaged or cut off ({brief(str(e))}); fetch it again") from e


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by name, if torch can have written them into a file of ``size`` bytes."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename
        if any(p.is_absolute() or p.anchor or ".." in p.parts for p in (PurePosixPath(name), PureWindowsPath(name))):
            raise UserError(f"refused: its member {brief(name)} leads out of the archive")
        if name in members:
            raise UserError(f"refused: it has two members {brief(name)}")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise UserError(f"refused: its member {brief(name)} is compressed or encrypted, which torch never does")
        if member.file_size != member.compress_size:
            raise UserError(f"refused: its member {brief(name)} says two sizes")
        members[name] = member
    if sum(member.file_size for member in members.values()) > size:
        raise UserError("refused: its members together are larger than the file")
    return members


def _root(members: dict[str, zipfile.ZipInfo]) -> str:
    """The folder that everything in the archive lies in."""
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") for name in members):
        raise UserError("a TorchScript archive, not a checkpoint")
    if len(roots) != 1:
        raise UserError("a zip archive but no checkpoint: no data.pkl in it")
    return roots[0]


def _storages_in(members: dict[str, zipfile.ZipInfo], root: str) -> Callable[[object], Any]:
    """Persistent id to storage, if the archive has a member of just its size."""

    def persistent(identity: object) -> Any:
        storage = storage_of(identity)
        if isinstance(storage, Storage):
            member = members.get(f"{root}/data/{storage.key}")
            if member is None or member.file_size != storage.size:
                found = "is missing" if member is None else f"has {member.file_size} bytes"
                raise malformed(f"storage {brief(storage.key)} of {storage.size} bytes {found}")
        return storage

    return persistent


def _check_order(archive: zipfile.ZipFile, member: zipfile.ZipInfo | None) -> None:
    if member is not None and (member.file_size > 16 or archive.read(member) != b"little"):
        raise UserError("written on a big-endian machine; save it again on a little-endian one")


def _read_legacy(file: io.BufferedReader, key: str) -> dict[str, np.ndarray]:
    """Read the form before torch 1.6: magic number, protocol, system, content, keys; then storage after storage."""
    stream = io.BytesIO(file.read(MAX_BYTES))
    seen: dict[str, Storage] = {}

    def persistent(identity: object) -> Any:
        storage = storage_of(identity)
        if isinstance(storage, Storage) and seen.setdefault(storage.key, storage) != storage:
            raise malformed(f"storage {brief(storage.key)} of two kinds")
        return storage

    if load(stream, REBUILD, persistent) != LEGACY_MAGIC:
        raise UserError("a pickle but no checkpoint: torch's magic number is missing")
    if load(stream, REBUILD, persistent) != LEGACY_PROTOCOL:
        raise UserError(f"an old checkpoint of a protocol other than {LEGACY_PROTOCOL}")
    system = load(stream, REBUILD, persistent)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UserError("written on a big-endian machine; save it again on a little-endian one")
    content = load(stream, REBUILD, persistent)
    keys = load(stream, REBUILD, persistent)
    if not isinstance(keys, list) or {k for k in keys if isinstance(k, str)} != seen.keys() or len(keys) != len(seen):
        raise malformed("the list of storages is not that of the tensors")
    places = _places(file, stream.tell(), [seen[k] for k in keys])

    def read(storage: Storage) -> bytes:
        file.seek(places[storage.key])
        return file.read(storage.size)

    return _arrays(content, key, read)


def _places(file: io.BufferedReader, start: int, storages: list[Storage]) -> dict[str, int]:
    """Where each storage's numbers begin: one after another, each behind its count (int64)."""
    end = file.seek(0, io.SEEK_END)
    places: dict[str, int] = {}
    for storage in storages:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8 or start + 8 + storage.size > end:
            raise UserError("cut off within its numbers; fetch it again")
        if struct.unpack("<q", head)[0] != storage.count:
            raise malformed(f"storage {brief(storage.key)} is not of {storage.count} numbers")
        places[storage.key] = start + 8
        start += 8 + storage.size
    return places


def _arrays(content: object, key: str, read: Read) -> dict[str, np.ndarray]:
    """The tensors that ``content`` holds as arrays; each storage is read once."""
    tensors = states.find(content, key, StoredTensor)
    data: dict[str, bytes] = {}
    for tensor in tensors.values():
        storage = tensor.storage
        if storage.key not in data:
            data[storage.key] = read(storage)
        if len(data[storage.key]) != storage.size:
            raise UserError("cut off within its numbers; fetch it again")
    return {name: tensor.view(data[tensor.storage.key]) for name, tensor in tensors.items()}
