"""Read the network's tensors of a file: torch's two forms, safetensors or .npz.

torch writes a zip archive (since 1.6; a pickle, and one uncompressed member for each storage), and wrote five pickles
followed by the storages. Nothing in a file is run (see `pickles`), nothing is extracted, and what is read into memory
is bounded by the file's own size. torch is not needed.
"""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from ostrack_jax.errors import UserError, listed

from .pickles import StoredTensor, brief, load

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of torch's older form
EXPANSION = 4  # times the size of an .npz file may its arrays have (weights hardly shrink when they are packed) ..
ALLOWANCE = 1 << 26  # .. beyond these bytes
USUAL = ("net", "model", "state_dict")  # taken before other keys: of the OSTrack release, of MAE and DeiT, of others
_WRAPPERS = ("module", "_orig_mod")  # put into names by torch's data parallel and compiled modules
_DEEPEST = 3  # keys on the way to the tensors
_LISTED = 10
# What the libraries raise for bytes that are not a complete file.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, SafetensorError, EOFError, OSError, ValueError, TypeError),
    *(KeyError, IndexError, ArithmeticError, NotImplementedError, RuntimeError, MemoryError),
)

Tensors = dict[str, np.ndarray]
Value = TypeVar("Value")


def read_tensors(path: Path, key: str = "") -> Tensors:
    """Read the tensors that the checkpoint ``path`` holds, by name.

    The arrays have the file's dtypes and may be read-only. Where in the file they lie is found, or given by ``key``
    (see `find`).

    Raises:
      UserError: no such file; not a checkpoint, or a damaged one; one that asks to run something; no tensors in it.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint {path}: expected a file")
    with path.open("rb") as file:
        head = file.read(40)
    try:
        if head.startswith(b"PK"):
            return _read_npz(path, key) if path.suffix == ".npz" else _read_zip(path, key)
        if head.startswith(b"\x80"):  # a pickle's first opcode since protocol 2
            return _read_legacy(path, key)
        if head[8:9] == b"{":  # behind the header's length
            return _read_safetensors(path, key)
        raise UserError(f"not a checkpoint (torch's, .safetensors or .npz): it begins with {ascii(head)[2:-1]!r}")
    except UserError as e:
        raise UserError(f"{path}: {e}") from e
    except _DAMAGE as e:
        raise UserError(f"{path}: damaged or cut off ({brief(str(e))}); fetch it again") from e


def _read_safetensors(path: Path, key: str) -> Tensors:
    """Read a safetensors file, whose library checks that no tensor reaches beyond it."""
    with safe_open(path, framework="numpy") as file:
        if "config" in (file.metadata() or {}):
            raise UserError("is converted already: it goes to --checkpoint or --init as it is")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return find(tensors, key, np.ndarray)


def _read_npz(path: Path, key: str) -> Tensors:
    """Read numpy's archive, in which nothing is unpickled."""
    with zipfile.ZipFile(path) as archive:
        _check_size(archive, EXPANSION * path.stat().st_size + ALLOWANCE)
    with np.load(path, allow_pickle=False) as archive:
        return find(dict(archive), key, np.ndarray)


def _read_zip(path: Path, key: str) -> Tensors:
    """Read the archive form."""
    with zipfile.ZipFile(path) as archive:
        _check_size(archive, path.stat().st_size)  # torch never compresses them
        names = archive.namelist()
        roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise UserError("a zip archive but no checkpoint: no data.pkl in it")
        root = roots[0]
        _check_order(f"{root}byteorder" not in names or archive.read(f"{root}byteorder") == b"little")
        content, _ = load(io.BytesIO(archive.read(f"{root}data.pkl")))
        tensors = find(content, key, StoredTensor)
        data = {name: archive.read(f"{root}data/{name}") for name in {t.storage.key for t in tensors.values()}}
    return {name: tensor.view(data[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_legacy(path: Path, key: str) -> Tensors:
    """Read the form before torch 1.6: magic number, protocol, system, content, keys; then storage after storage."""
    with path.open("rb") as file:
        if load(file)[0] != MAGIC or load(file)[0] != PROTOCOL:
            raise UserError("a pickle but no checkpoint of torch: its magic number is missing")
        _check_order(load(file)[0]["little_endian"])
        content, storages = load(file)
        tensors, data = find(content, key, StoredTensor), {}
        keys, at = load(file)[0], file.tell()
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        for name in keys:
            size = struct.unpack_from("<q", whole, at)[0] * storages[name].dtype.itemsize
            data[name], at = whole[at + 8 : at + 8 + size], at + 8 + size
    return {name: tensor.view(data[tensor.storage.key]) for name, tensor in tensors.items()}


def _check_size(archive: zipfile.ZipFile, most: int) -> None:
    total = sum(member.file_size for member in archive.infolist())
    if total > most:
        raise UserError(f"refused: its members together are larger than the file ({total} bytes), as weights never are")


def _check_order(little_endian: bool) -> None:
    if not little_endian:
        raise UserError("written on a big-endian machine; save it again on a little-endian one")


def find(content: object, key: str, kind: type) -> dict[str, Any]:
    """Find the dict of tensors that a checkpoint's ``content`` holds.

    Args:
      content: what the file holds; its containers may hold themselves.
      key: where to look: a key, several joined by dots, or a prefix of the tensors' names; empty: wherever there is
        one dict of tensors, that of the first of `USUAL` where there are several.
      kind: the class of a tensor.

    Raises:
      UserError: none there, several to choose from, or something else among the tensors.
    """
    states = _states(content, kind)
    if key in states:
        found = states[key]
    else:
        found = states.get(_choose(states), {})
        if key:
            short = {_bare(name): value for name, value in found.items() if isinstance(name, str)}
            found = {name[len(key) + 1 :]: value for name, value in short.items() if name.startswith(f"{key}.")}
    if not found:
        holds = content if isinstance(content, dict) else [content]
        what, there = repr(key) if key else "tensors by name", ", ".join(map(brief, list(holds)[:_LISTED]))
        raise UserError(f"holds no {what} but {there or 'nothing'} (of a network, save its state_dict())")
    odd = [f"{brief(n)} ({brief(v)})" for n, v in found.items() if not (isinstance(v, kind) and type(n) is str)]
    if odd:
        raise UserError(f"holds {len(odd)} values that are not tensors: {listed(odd)}")
    return found


def named(tensors: Mapping[str, Value], anchor: str) -> dict[str, Value]:
    """Give tensors the names that the release gives them: without the prefixes of training code.

    Args:
      tensors: by the file's names.
      anchor: a name of the release; what stands before it in the file is taken from every name.

    Raises:
      UserError: two tensors of one name then, or several networks in one file.
    """
    out = {_bare(name): value for name, value in tensors.items()}
    prefixes = [name.removesuffix(anchor) for name in out if name.endswith(f".{anchor}")]
    if anchor not in out and prefixes:
        if len(prefixes) > 1:
            networks = listed((brief(prefix[:-1]) for prefix in prefixes), _LISTED)
            raise UserError(f"holds several networks: choose one by --key, of {networks}")
        out = {name.removeprefix(prefixes[0]): value for name, value in out.items()}
    if len(out) < len(tensors):
        raise UserError("a tensor is there twice, with a prefix (module., _orig_mod., ..) and without")
    return out


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _states(content: object, kind: type) -> dict[str, dict[Any, Any]]:
    """Every dict most of whose values are tensors, by the keys that lead there, joined by dots."""
    found: dict[str, dict[Any, Any]] = {}
    seen: set[int] = set()
    level = {"": content}
    for _ in range(_DEEPEST + 1):
        below: dict[str, Any] = {}
        for path, at in level.items():
            if not isinstance(at, dict) or id(at) in seen:
                continue
            seen.add(id(at))
            if 2 * sum(isinstance(value, kind) for value in at.values()) > len(at):
                found.setdefault(path, at)
            else:
                start = f"{path}." if path else ""
                below |= {f"{start}{name}": value for name, value in at.items() if isinstance(name, str)}
        level = below
    return found


def _choose(states: Mapping[str, object]) -> str:
    """Choose the keys of the one to take.

    Raises:
      UserError: several, none of which goes before the others.
    """
    for usual in USUAL:
        under = [where for where in states if usual in where.split(".")]
        if len(under) == 1:
            return under[0]
    if len(states) > 1:
        raise UserError(f"holds several sets of tensors: choose one by --key, of {listed(map(brief, states), _LISTED)}")
    return next(iter(states), "")
