"""Which process does which sequence. Enters: a results folder that processes share. Leaves: names claimed by one alone.

A claim is a file that can be made only once. Claims of one sequence are numbered: the last one holds; whoever finds
its owner gone makes the next number, which again only one can. None is replaced, and one is removed only when its
result is there or its owner gives it back, so there is no moment at which two could believe to own one. What a claim
cannot know is whether the work is done already: look for the result after the claim.

An owner is gone when its process is no longer there (seen from its own machine), or when its sign of life has not
changed for `PATIENCE` seconds of the watcher's own clock; clocks of hosts are not compared. A process that was stopped
for longer and goes on does a sequence again: the result is written whole, a second time.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = ".claims"
PATIENCE = 120.0  # seconds; network disks may show a file's time up to a minute late
_BEAT = 10.0  # seconds between signs of life


def machine() -> str:
    """This machine, as far as process numbers are its own: containers of one host differ."""
    space = Path("/proc/self/ns/pid")
    return f"{platform.node()} {os.readlink(space) if space.is_symlink() else ''}".strip()


class Claims:
    """The claims of this process in one results folder; to be used in a `with`, which gives them back at its end.

    Attributes:
      process: a name of this process that no other has.
    """

    def __init__(self, folder: Path, patience: float = PATIENCE):
        self.process = f"{platform.node().split('.')[0] or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder, self._patience = folder / FOLDER, patience
        self._owned: dict[str, int] = {}  # the number of each claim
        self._seen: dict[Path, tuple[int, float]] = {}  # of others: the sign of life, and when it was new to us
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None
        self.began_ns = 0

    def __enter__(self) -> Claims:
        self._folder.mkdir(parents=True, exist_ok=True)
        mark = self._folder / f"{self.process}.began"
        mark.touch()
        self.began_ns = mark.stat().st_mtime_ns  # by the clock that failures are dated with
        mark.unlink()
        self._beating = threading.Thread(target=self._beat, name="claims", daemon=True)
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._beating is not None:
            self._beating.join()
        for name, number in list(self._owned.items()):
            self._give_back(name, number)

    def take(self, name: str) -> bool:
        """Whether ``name`` is now this process's; False where another has it and lives."""
        number = 0
        while (path := self._path(name, number)).exists():
            number += 1
        if number and not self._is_gone(self._path(name, number - 1)):
            return False
        try:
            file = open(path, "x", encoding="utf-8")  # noqa: SIM115 - closed below
        except FileExistsError:  # another was quicker
            return False
        try:
            with file:
                json.dump({"process": self.process, "machine": machine(), "pid": os.getpid()}, file)
        except OSError as e:  # a full disk: a claim that says nothing of its owner would be waited for
            path.unlink(missing_ok=True)
            raise OSError(e.errno, e.strerror, str(path)) from e
        self._owned[name] = number
        return True

    def fail(self, name: str, reason: str) -> None:
        """Leave word for the processes at work now that a sequence cannot be done."""
        path = self._failure(name)
        temporary = path.with_name(f"{self.process}.failed")
        temporary.write_text(reason, encoding="utf-8")
        os.replace(temporary, path)

    def failure(self, name: str) -> str | None:
        """Why a process could not do ``name``; None where none has tried since this one began."""
        try:
            with open(self._failure(name), encoding="utf-8") as file:
                return file.read() if os.fstat(file.fileno()).st_mtime_ns > self.began_ns else None
        except FileNotFoundError:
            return None

    def clear(self, names: Iterable[str]) -> None:
        """Remove every claim and failure of ``names``, sequences whose results are there."""
        for name in names:
            number = 0
            while (path := self._path(name, number)).exists():
                path.unlink(missing_ok=True)
                number += 1
            self._failure(name).unlink(missing_ok=True)
            self._owned.pop(name, None)

    def _give_back(self, name: str, number: int) -> None:
        """Remove the claims of ``name`` up to this process's own, unless another has taken it over meanwhile."""
        del self._owned[name]
        if self._path(name, number + 1).exists() or not self._is_own(self._path(name, number)):
            return
        for each in range(number + 1):  # from 0 up, as `take` counts: no claim is hidden behind a gap
            self._path(name, each).unlink(missing_ok=True)

    def _is_own(self, path: Path) -> bool:
        try:
            return _owner(path.read_text(encoding="utf-8")).get("process") == self.process
        except FileNotFoundError:  # its result is there, and another process has cleared it
            return False

    def _path(self, name: str, number: int) -> Path:
        return self._folder / f"{name}.{number}"

    def _failure(self, name: str) -> Path:
        return self._folder / f"{name}.failed"

    def _is_gone(self, path: Path) -> bool:
        """Whether the owner of a claim no longer works on it."""
        try:
            with open(path, encoding="utf-8") as file:  # opened: on network disks that alone asks the server
                text, sign = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return False  # given back just now: to be taken at the next try
        told = _owner(text)
        here = told.get("machine") == machine() and Path("/proc/self").exists()
        if here and not Path(f"/proc/{told.get('pid')}").exists():
            return True
        known, since = self._seen.get(path, (None, 0.0))
        if known != sign:
            self._seen[path] = sign, time.monotonic()
            return False
        return time.monotonic() - since > self._patience

    def _beat(self) -> None:
        while not self._ended.wait(min(_BEAT, self._patience / 4)):
            for name, number in list(self._owned.items()):
                try:
                    os.utime(self._path(name, number))
                except OSError:  # removed, its result being there; or a disk that is away for a while
                    continue


def _owner(text: str) -> dict[str, Any]:
    """What a claim says of its owner; nothing where it is not written yet, or is none."""
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}
