"""Files: paths as users type them, reading of text and JSON, atomic writing."""

from __future__ import annotations

import codecs
import errno
import functools
import json
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ostrack_jax.errors import UserError

_log = logging.getLogger(__name__)
_MOST_BYTES = 16 * 2**20  # of a text file
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)  # of file systems without locks
# `gs:/bucket` is what a path makes of `gs://bucket`; one letter alone is a drive.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def local_path(text: str) -> Path:
    """The file or directory that ``text`` names.

    A leading ``~`` or ``~user`` is a home directory, which the shell leaves alone behind an equals sign. Else what
    exists under the name is meant, whatever is in it, and after ``./`` nothing has a special meaning.

    Raises:
      UserError: an empty name, an address such as ``gs://bucket/run``, a home directory that does not exist; the
        message begins with ``text``, as it was typed.
    """
    if not text or "\0" in text:
        raise UserError(f"{text!r}: expected the name of a file or directory")
    home = text == "~" or text.startswith("~/")
    if not home and os.path.lexists(text):
        return Path(text)
    if _ADDRESS.match(text):
        raise UserError(f"{text}: an address, expected a file or directory of this machine (mount it, or copy it here)")
    if not text.startswith("~"):
        return Path(text)
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise UserError(f"{text}: no such home directory (./{text} is a file or directory here)")
    return Path(expanded)


def cache_directory() -> Path:
    """Return where indexes and executables are kept; it need not exist."""
    if given := os.environ.get("OSTRACK_CACHE"):
        return local_path(given)
    return local_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ostrack_jax"


def unfinished(path: Path) -> Path:
    """A free name next to ``path`` for the file while it is written; short where that of ``path`` is very long."""
    # Processes of several machines or containers may have one number.
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")


def must_be_text(path: Path) -> None:
    """Raise `UserError` where ``path`` is not UTF-8, which the libraries of checkpoints and records need."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as e:
        raise UserError(f"{path} is not UTF-8 text: expected another name for the directory") from e


def open_file(path: Path | str, buffering: int = -1) -> BinaryIO:
    """Open a file to read its bytes; an `OSError`, and no waiting, for a pipe, a device or a directory."""

    def at_once(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    file = open(path, "rb", buffering, opener=at_once)  # noqa: SIM115 - it is the caller's to close
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return file


def read_text(path: Path, most_bytes: int | None = None) -> str:
    """Read a text file in UTF-8 or, with its byte-order mark, UTF-16.

    Raises:
      UserError: it cannot be read, or is larger than ``most_bytes`` (16 MiB).
    """
    most_bytes = most_bytes or _MOST_BYTES
    try:
        with open_file(path) as file:
            data = file.read(most_bytes + 1)
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}") from e
    if len(data) > most_bytes:
        raise UserError(f"{path} is larger than {most_bytes >> 20} MiB: expected a text file of numbers or names")
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Windows saves "Unicode" text
    return data.decode("utf-16" if utf_16 else "utf-8-sig", errors="replace")


def read_json(path: Path, most_bytes: int | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
      UserError: as `read_text`; or the file holds anything else.
    """
    try:
        found = json.loads(read_text(path, most_bytes))
    except (ValueError, RecursionError) as e:
        raise UserError(f"{path} is not valid JSON: {str(e)[:80]}") from e
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object, found a {type(found).__name__}")
    return found


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name to write to; the file takes its place at ``path`` when the block ends without an error.

    The directory is made. Who may read the file follows from the user's umask. An `OSError` names ``path``, which the
    one of a full disk does not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as e:
        raise OSError(e.errno, e.strerror, str(path)) from e
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either complete or not there; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, as `write_atomically`."""
    write_atomically(path, text.encode())


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write a JSON file, as `write_atomically`; NaN, which JSON has not, is an error."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def try_lock(path: Path) -> int | None:
    """Lock a file, which is made if missing; None where another holder has it.

    The lock is the system's, on an open file, whose descriptor is returned: it ends when that is closed, or with its
    process, however that ends. Processes started here do not inherit it; on NFS hosts exclude each other. A file system
    without locks refuses nobody, which a notice says once.
    """
    import fcntl  # not on Windows

    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in _NO_LOCKS:
            _report_no_locks(path.parent)
            return file
        os.close(file)
        if not isinstance(e, BlockingIOError):
            raise
        return None
    return file


@functools.cache
def _report_no_locks(directory: Path) -> None:
    _log.warning("notice: the file system of %s has no locks: take care that no other process works there", directory)
