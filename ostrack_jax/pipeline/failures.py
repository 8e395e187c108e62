"""Count unreadable draws by data set, and end a run when too large a share of a set is unreadable."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterable, Sequence

from ostrack_jax.errors import UserError

MOST_SHARE = 0.01  # of a set's draws that may fail
Draw = tuple[str, str | None]  # of a pair: its data set, and what could not be read, if anything
_TEXT = 240  # letters of a failure in the error
_FEWEST = 20  # failures before a share means anything: at half of MOST_SHARE so many come in too few draws once in 300
_LISTED = 20  # files in the error


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


class Tally:
    """Draws and failures by data set since the stream was opened.

    Attributes:
      drawn: by name of the data set.
      unreadable: those of them that failed because a frame or annotation could not be read.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.drawn = dict.fromkeys(names, 0)
        self.unreadable = dict.fromkeys(names, 0)
        self._details: dict[str, list[str]] = {name: [] for name in names}

    def add(self, draws: Iterable[Draw]) -> None:
        """Count a batch's draws.

        Raises:
          UserError: of some set more than `MOST_SHARE` failed; lists what could not be read.
        """
        for name, failure in draws:
            self.drawn[name] += 1
            if failure is not None:
                self.unreadable[name] += 1
                details, text = self._details[name], failure[:_TEXT]
                if len(details) < _LISTED and text not in details:
                    details.append(text)
        for name, failed in self.unreadable.items():
            if failed >= _FEWEST and failed > MOST_SHARE * self.drawn[name]:
                details = "; ".join(self._details[name])
                raise UserError(
                    f"config.data.{name}: {failed} of {self.drawn[name]} draws could not be read, more than "
                    f"{MOST_SHARE:.0%}: mend or remove what is corrupt (`ostrack data check` lists all of it): "
                    f"{details}"
                )
