"""The lock of a workdir, which belongs to one run at a time."""

from __future__ import annotations

import datetime
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from ostrack_jax.errors import UserError
from ostrack_jax.io import try_lock
from ostrack_jax.training.distributed import broadcast, processes_without

LOCK_FILE = "run.lock"


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Hold ``workdir`` (made if missing) for this run; of several processes that train together the first holds it.

    The lock is that of `io.try_lock`; its file names, for people, the process, its host, and since when.

    Raises:
      UserError: another run holds it, the directory cannot be written to, or a host does not see it. Of several
        processes in all of them.
    """
    error, file = "", -1
    if jax.process_index() == 0:
        try:
            file = _lock(workdir)
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


def _lock(workdir: Path) -> int:
    """The open file that holds the lock."""
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / LOCK_FILE
    file = try_lock(path)
    if file is None:
        holder = json.loads(path.read_text() or "{}")  # empty until its holder has written it
        who = " (process {process} on {host}, since {since})".format_map(holder) if holder else ""
        raise UserError(
            f"another run is already training there{who}: wait until it ends, stop it, or use another directory"
        )
    since = datetime.datetime.now(datetime.UTC).isoformat(sep=" ", timespec="seconds")
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}).encode(), 0)
    return file
