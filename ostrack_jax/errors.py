"""Errors that end a command in one line for the person who started it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 100  # characters of the wrong name that an error repeats
_LISTED = 60  # names that an error lists; sets have thousands of sequences


class UserError(Exception):
    """Something the user can mend: a wrong name, a missing directory, an invalid file, an impossible value.

    The message is one line: what was found, where, and what would be right. Commands print it
    without a traceback and exit with status 2.

    Attributes:
      fix: what would mend it, for reports that list findings with their fix; empty where the message has it already,
        None where whoever reports it knows better.
    """

    def __init__(self, message: str = "", fix: str | None = None):
        super().__init__(message)
        self.fix = fix


class UnknownNameError(UserError):
    """A name or choice that does not exist, independent of what is on disk."""


class Stopped(Exception):  # noqa: N818 - no error
    """The system or the user asked to stop, and all that is needed to resume is saved.

    Attributes:
      signal: the number of the signal that asked.
      abandoned: a thread is still at work that nobody waits for, and that would hold up an orderly end.
    """

    def __init__(self, message: str, signal: int, abandoned: bool = False):
        super().__init__(message)
        self.signal, self.abandoned = int(signal), abandoned


def unknown(kind: str, name: str, choices: Iterable[str]) -> UnknownNameError:
    """The error for a name that is none of ``choices``; names the nearest one. A name from a file may be endless."""
    name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = f"one of {', '.join(choices)}" if len(choices) <= _LISTED else f"there are {len(choices):,}"
    return UnknownNameError(f"unknown {kind} {name!r}: {hint}{listed}")


def listed(names: Iterable[str], most: int = 5) -> str:
    """Name the first few of many: "a, b, c and 4 more"."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
