"""The lock of a workdir, which belongs to one run at a time."""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console

from ostrack_jax.errors import UserError
from ostrack_jax.training import hosts

LOCK_FILE = "run.lock"
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)  # of file systems without locks


@contextmanager
def held(workdir: Path, console: Console) -> Iterator[None]:
    """Hold ``workdir`` (made if missing) for this run; of several processes that train together the first holds it.

    The lock is the system's, on an open file, so it ends with its process however that ends; processes started here do
    not inherit it. The file holds for people the process, its host, and since when.

    Raises:
      UserError: another run holds it, or the folder cannot be written to. Of several processes in all of them.
    """
    reason, file = "", -1
    if hosts.first():
        try:
            file = _take(workdir, console)
        except UserError as e:
            reason = str(e)
    try:
        if jax.process_count() > 1 and not multihost_utils.broadcast_one_to_all(np.array(not reason)):
            reason = reason or f"--workdir {workdir}: refused by process 0, which reports why"
        if reason:
            raise UserError(reason)
        yield
    finally:
        if file >= 0:
            os.close(file)


def _take(workdir: Path, console: Console) -> int:
    """The open file that holds the lock."""
    path = workdir / LOCK_FILE
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as e:
        raise UserError(f"--workdir {workdir}: cannot write there: {e.strerror or e}") from e
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        who = _who(os.pread(file, 1000, 0))
        os.close(file)
        raise UserError(
            f"--workdir {workdir}: another run is already training there{who}: wait until it ends, stop it, or use "
            "another folder"
        ) from e
    except OSError as e:
        if e.errno not in _NO_LOCKS:
            os.close(file)
            raise UserError(f"--workdir {workdir}: cannot lock {path}: {e.strerror or e}") from e
        text = f"notice: the file system of {workdir} has no locks: take care that no other run trains there"
        console.print(text, highlight=False, soft_wrap=True)
    since = datetime.datetime.now(datetime.UTC).isoformat(sep=" ", timespec="seconds")
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}).encode(), 0)
    return file


def _who(text: bytes) -> str:
    """The holder as the lock's file describes it; empty where that holds nothing yet."""
    try:
        holder = json.loads(text)
        return f" (process {holder['process']} on {holder['host']}, since {holder['since']})"
    except (ValueError, TypeError, KeyError):
        return ""
