"""The lock of a workdir, which belongs to one run at a time."""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from rich.console import Console

from ostrack_jax.errors import UserError
from ostrack_jax.training.distributed import broadcast, processes_without

LOCK_FILE = "run.lock"
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)  # of file systems without locks


@contextmanager
def locked(workdir: Path, console: Console) -> Iterator[None]:
    """Hold ``workdir`` (made if missing) for this run; of several processes that train together the first holds it.

    The lock is the system's, on an open file, so it ends with its process however that ends; processes started here do
    not inherit it. The file names, for people, the process, its host, and since when.

    Raises:
      UserError: another run holds it, the directory cannot be written to, or a host does not see it. Of several
        processes in all of them.
    """
    error, file = "", -1
    if jax.process_index() == 0:
        try:
            file = _lock(workdir, console)
        except (UserError, OSError) as e:
            reason = f"cannot write there: {e.strerror or e}" if isinstance(e, OSError) else str(e)
            error = f"--workdir {workdir}: {reason}"
    try:
        if broadcast(bool(error)):
            raise UserError(error or f"--workdir {workdir}: refused by process 0, which reports why")
        check_shared(workdir)
        yield
    finally:
        if file >= 0:
            os.close(file)


def check_shared(workdir: Path) -> None:
    """Raise one `UserError` in all processes where one does not see the first's lock file."""
    path, first, end = workdir / LOCK_FILE, broadcast(os.getpid()), time.monotonic() + 10
    while not (seen := path.exists() and f'"process": {first},' in path.read_text()) and time.monotonic() < end:
        time.sleep(0.2)  # network disks take their time
    if blind := processes_without(seen):
        raise UserError(f"--workdir {workdir}: not seen by process {blind}; it must lie on a disk that all hosts share")


def _lock(workdir: Path, console: Console) -> int:
    """The open file that holds the lock."""
    workdir.mkdir(parents=True, exist_ok=True)
    file = os.open(workdir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        try:
            holder = json.loads(os.pread(file, 1000, 0))
            who = f" (process {holder['process']} on {holder['host']}, since {holder['since']})"
        except (ValueError, TypeError, KeyError):  # it holds nothing yet
            who = ""
        os.close(file)
        raise UserError(
            f"another run is already training there{who}: wait until it ends, stop it, or use another directory"
        ) from e
    except OSError as e:
        if e.errno not in _NO_LOCKS:
            os.close(file)
            raise
        text = f"notice: the file system of {workdir} has no locks: take care that no other run trains there"
        console.print(text, highlight=False, soft_wrap=True)
    since = datetime.datetime.now(datetime.UTC).isoformat(sep=" ", timespec="seconds")
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}).encode(), 0)
    return file
