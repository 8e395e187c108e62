"""Locks, heartbeats and records of the processes that share a directory of results.

Each sequence that is being tracked has a lock file, ``.locks/NAME.0.lock``, which names the process that created it. A
process that has one touches its heartbeat, ``.locks/PROCESS.alive``. A lock is stale when its process is gone (as seen
from the same machine), or when the heartbeat has not changed for `PATIENCE` seconds of the watcher's own clock; clocks
of machines are not compared. Another process takes it over by creating the file of the next number, which only one
can; the lock of the greatest number counts. A result may have been written before its
sequence is locked: look for it after that. A sequence that is tracked twice, by a process that was stopped for longer
and resumes, is written twice, complete both times.

From its first sequence on each process keeps a record, ``processes/PROCESS.json``: `process`, `host`, `command`,
`started` (UTC), `commit`, `versions`, `hardware`, what the caller adds (`made_by`, `config`, `compile_seconds`,
`targets`), and `sequences`, by name `started` (and left so by a process that was killed), `done` or `failed`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ostrack_jax import environment, io
from ostrack_jax.errors import UserError

LOCKS, RECORDS = ".locks", "processes"
PATIENCE = 120.0  # seconds; network disks may show a file's time up to a minute late
_BEAT = 10.0  # seconds between heartbeats


class Locks:
    """The locks and the record of this process; leaving its context releases the locks.

    Attributes:
      process: a name of this process that no other has.
    """

    def __init__(self, directory: Path, about: Mapping[str, Any] | None = None, patience: float = PATIENCE) -> None:
        """``about`` goes into the record."""
        self.process = f"{platform.node().split('.')[0] or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"
        self._directory, self._about, self._patience = directory / LOCKS, dict(about or {}), patience
        self._heartbeat = self._directory / f"{self.process}.alive"
        self._record_file, self._record = directory / RECORDS / f"{self.process}.json", {}
        self._held: dict[str, int] = {}  # the numbers of the locks
        self._seen: dict[str, tuple[int, float]] = {}  # of other processes: the heartbeat, and when it was new to us
        self._began_ns = 0
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Locks:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._heartbeat.touch()
        self._began_ns = self._heartbeat.stat().st_mtime_ns  # by the clock that failures are dated with
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._beating.join()
        for name in list(self._held):
            self.release(name)
        self._heartbeat.unlink(missing_ok=True)

    def take(self, name: str) -> bool:
        """Lock ``name``; False where another process has it, or has failed at it since this one began."""
        number, lock = self._newest(name)
        if lock is not None and not self._is_stale(self._path(name, number), lock):
            return False
        path = self._path(name, number + 1)
        try:
            file = open(path, "x", encoding="utf-8")  # noqa: SIM115 - closed below
        except FileExistsError:  # another was quicker
            return False
        try:
            with file:
                json.dump(self._owner(), file)
        except OSError as e:  # a full disk: a lock without an owner would be waited for
            path.unlink(missing_ok=True)
            raise OSError(e.errno, e.strerror, str(path)) from e
        self._held[name] = number + 1
        return True

    def release(self, name: str) -> None:
        """Remove this process's lock of ``name``."""
        self._path(name, self._held.pop(name)).unlink(missing_ok=True)

    def note(self, name: str, state: str, reason: str = "") -> None:
        """Record ``name`` as started, done (and unlock it) or failed; then the lock stays, with the ``reason``."""
        if not self._record:
            self._record = {
                "process": self.process,
                "host": platform.node(),
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "commit": environment.commit(),
                "versions": environment.versions(),
                "hardware": environment.hardware(),
                **self._about,
                "sequences": {},
            }
        self._record["sequences"][name] = state
        io.write_text(self._record_file, json.dumps(self._record, indent=1) + "\n")
        if state == "done":
            self.clear(name)
        elif state == "failed":
            path = self._path(name, self._held.pop(name))
            io.write_text(path, json.dumps({**self._owner(), "failed": reason}))

    def failure(self, name: str) -> str | None:
        """Return why a process failed at ``name`` since this one began; None where none has."""
        number, lock = self._newest(name)
        recent = lock is not None and _changed_ns(self._path(name, number)) > self._began_ns
        return lock.get("failed") if lock is not None and recent else None

    def clear(self, name: str) -> None:
        """Remove the locks of a sequence whose result exists, whoever's they are."""
        self._held.pop(name, None)
        for number in reversed(range(self._newest(name)[0] + 1)):
            self._path(name, number).unlink(missing_ok=True)

    def _path(self, name: str, number: int) -> Path:
        return self._directory / f"{name}.{number}.lock"

    def _newest(self, name: str) -> tuple[int, dict[str, Any] | None]:
        """Return number and contents of the lock that counts; -1 and None without one."""
        numbers = [-1]
        for file in os.listdir(self._directory):
            base, _, number = file.removesuffix(".lock").rpartition(".")
            if base == name and file.endswith(".lock") and number.isdecimal():
                numbers.append(int(number))
        lock = _read(self._path(name, max(numbers)))
        return max(numbers), lock

    def _owner(self) -> dict[str, Any]:
        return {"process": self.process, "machine": _machine(), "pid": os.getpid()}

    def _is_stale(self, path: Path, lock: Mapping[str, Any]) -> bool:
        """Whether the process of a lock works on its sequence no longer."""
        if "failed" in lock:
            return _changed_ns(path) <= self._began_ns
        here = lock.get("machine") == _machine() and Path("/proc/self").exists()
        if here and not Path(f"/proc/{lock.get('pid')}").exists():
            return True
        process = str(lock.get("process"))
        beat = _changed_ns(self._directory / f"{process}.alive")
        if self._seen.get(process, (None, 0.0))[0] != beat:
            self._seen[process] = beat, time.monotonic()
        return time.monotonic() - self._seen[process][1] > self._patience

    def _beat(self) -> None:
        while not self._ended.wait(min(_BEAT, self._patience / 4)):
            with contextlib.suppress(OSError):  # a disk that is away for a while
                os.utime(self._heartbeat)


def read_records(directory: Path) -> list[dict[str, Any]]:
    """Return the records of all processes that made results in ``directory``, the earliest first.

    Raises:
      UserError: a file there is not such a record.
    """
    records = []
    for path in sorted((directory / RECORDS).glob("*.json")):
        try:
            record = io.read_json(path)
        except UserError:
            record = {}
        kinds = {"process": str, "started": str, "sequences": dict}
        if not all(isinstance(record.get(key), kind) for key, kind in kinds.items()):
            raise UserError(f"{path} is not a record of `ostrack eval`: remove it")
        records.append(record)
    return sorted(records, key=lambda record: record["started"])


def _machine() -> str:
    """Name this machine, as far as process numbers are its own: containers of one host differ."""
    space = Path("/proc/self/ns/pid")
    return f"{platform.node()} {os.readlink(space) if space.is_symlink() else ''}".strip()


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a lock; None without one, empty if it is not written yet."""
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return lock if isinstance(lock, dict) else {}


def _changed_ns(path: Path) -> int:
    """Return when a file was last changed; 0 without one."""
    try:
        with open(path, "rb") as file:  # opened: on network disks that alone asks the server
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return 0
