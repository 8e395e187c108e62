"""Locks and records of the processes that share a directory of results.

A process locks the file ``.locks/NAME.lock`` (`io.try_lock`) while it tracks the sequence, so that a killed one's locks
end with it. The files stay; one holds the process that failed at its sequence last, and the reason below. A result may
have been written before its sequence is locked: look for it after that.

From its first sequence on each process keeps a record, ``processes/PROCESS.json``: `process`, `host`, `command`,
`started` (UTC), `commit`, `versions`, `hardware`, what the caller adds (`made_by`, `config`, `compile_seconds`,
`targets`), and `sequences`, by name `started` (and left so by a process that was killed), `done` or `failed`.
"""

from __future__ import annotations

import datetime
import os
import platform
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ostrack_jax import environment, io

LOCKS, RECORDS = ".locks", "processes"


class Locks:
    """The locks and the record of this process; leaving its context releases the locks.

    Attributes:
      process: a name of this process that no other has.
    """

    def __init__(self, directory: Path, about: Mapping[str, Any] | None = None) -> None:
        """``about`` goes into the record."""
        self.process = f"{platform.node().split('.')[0] or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"
        self._directory, self._about = directory / LOCKS, dict(about or {})
        self._record_file, self._record = directory / RECORDS / f"{self.process}.json", {}
        self._held: dict[str, int] = {}  # open files
        self._earlier: dict[Path, str] = {}  # failures of earlier runs

    def __enter__(self) -> Locks:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._earlier = {path: io.read_text(path) for path in self._directory.glob("*.lock")}
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> bool:
        """Lock ``name``; False where another process has it."""
        file = io.try_lock(self._path(name))
        if file is not None:
            self._held[name] = file
        return file is not None

    def release(self, name: str) -> None:
        """End this process's lock of ``name``."""
        os.close(self._held.pop(name))

    def failure(self, name: str) -> str:
        """Return why another process failed at ``name``, which is locked, since this one began; empty if none did."""
        path = self._path(name)
        text = io.read_text(path)
        return "" if text == self._earlier.get(path) else text.partition("\n")[2]

    def note(self, name: str, state: str, reason: str = "") -> None:
        """Record ``name`` as started, or as done or failed for a ``reason``, which releases it."""
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
        io.write_json(self._record_file, self._record, indent=1)
        if state == "failed":
            os.ftruncate(self._held[name], 0)
            os.pwrite(self._held[name], f"{self.process}\n{reason}".encode(), 0)
        if state != "started":
            self.release(name)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.lock"


def read_records(directory: Path) -> list[dict[str, Any]]:
    """Return the records of all processes that made results in ``directory``, the earliest first."""
    records = [io.read_json(path) for path in sorted((directory / RECORDS).glob("*.json"))]
    return sorted(records, key=lambda record: record["started"])
