"""Draws that could not be read, by data set. Enters: what became of each record's draws. Leaves: counts, or the end.

Records are made in other processes: what they failed at travels in arrays of fixed size beside the crops.
"""

from __future__ import annotations

import errno
import resource
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ostrack_jax.errors import UserError

MOST_SHARE = 0.01  # of a set's draws that may fail
_FEWEST = 20  # failures before a share says anything: at half of MOST_SHARE so many come in too few draws once in 300
_MOST_TOLD = 20  # files listed in the error
_TEXT = 240  # bytes of a failure's text

Spec = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]


def too_many_files(error: BaseException) -> UserError | None:
    """The `UserError` of a process that can open no more files, where that is the cause of ``error``."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return UserError(
                f"too many open files (a process may have {most}): raise that limit (`ulimit -n`), or read with fewer "
                "loader processes (config.train.workers)"
            )
        cause = cause.__cause__
    return None


class Draws:
    """What became of one record's draws."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._drawn, self._unreadable = np.zeros((2, len(names)), np.int64)
        self._text = b""

    def add(self, source: str, failed_at: str | None = None) -> None:
        """One draw from ``source``; ``failed_at`` says what could not be read, None that all could."""
        at = self._names.index(source)
        self._drawn[at] += 1
        if failed_at is not None:
            self._unreadable[at] += 1
            self._text = f"{source}\n{failed_at}".encode()[:_TEXT]

    def fields(self) -> dict[str, np.ndarray]:
        """As arrays, see `spec`; of several failures' texts the last."""
        text = np.frombuffer(self._text.ljust(_TEXT, b"\0"), np.uint8)
        return {"drawn": self._drawn, "unreadable": self._unreadable, "failure": text}


def spec(sources: int, batch: int) -> Spec:
    """Shape and dtype of what `Draws.fields` gives, for ``batch`` records."""
    count = (batch, sources), np.dtype(np.int64)
    return {"drawn": count, "unreadable": count, "failure": ((batch, _TEXT), np.dtype(np.uint8))}


class Tally:
    """Draws and failures by data set since the stream was opened.

    Attributes:
      drawn: by name of the data set.
      unreadable: those of them that failed because a frame or annotation could not be read.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.drawn = dict.fromkeys(names, 0)
        self.unreadable = dict.fromkeys(names, 0)
        self._told: dict[str, dict[str, None]] = {name: {} for name in names}

    def add(self, fields: Mapping[str, np.ndarray]) -> None:
        """Count a batch's draws.

        Raises:
          UserError: of some set more than `MOST_SHARE` failed; lists what could not be read.
        """
        for name, drawn, failed in zip(self.drawn, fields["drawn"].sum(0), fields["unreadable"].sum(0), strict=True):
            self.drawn[name] += int(drawn)
            self.unreadable[name] += int(failed)
        for row in np.flatnonzero(fields["failure"][:, 0]):
            text = fields["failure"][row].tobytes().rstrip(b"\0").decode("utf-8", errors="ignore")
            name, _, detail = text.partition("\n")
            if len(self._told[name]) < _MOST_TOLD:
                self._told[name][detail] = None
        for name, failed in self.unreadable.items():
            if failed >= _FEWEST and failed > MOST_SHARE * self.drawn[name]:
                listed = "; ".join(self._told[name])
                raise UserError(
                    f"config.data.{name}: {failed} of {self.drawn[name]} draws could not be read, more than "
                    f"{MOST_SHARE:.0%}: mend or remove what is broken (`ostrack data check` lists all of it): {listed}"
                )
