"""Standard output and error that take any text, and a closed pipe without an error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Outliving(io.FileIO):
    """A stream of bytes whose reader may leave: what is written from then on goes nowhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def escape_what_is_lacking() -> None:
    """From now on, a character that a stream's encoding lacks is written as its escape, ``\\xe9``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else of a notebook or a test
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def outliving() -> Iterator[None]:
    """Within it, a reader that leaves (``ostrack ... | head``) ends nothing: files are still written."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_outliving(stream) for stream in before)
    try:
        yield
    finally:
        ours = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        for stream in ours:
            stream.flush()


def _outliving(stream: Any) -> Any:
    if not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    try:
        number = stream.fileno()
    except io.UnsupportedOperation:  # in memory
        return stream
    stream.flush()
    raw = io.BufferedWriter(_Outliving(number, "w", closefd=False))
    lines = stream.line_buffering or stream.write_through  # the latter by PYTHONUNBUFFERED
    return io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=lines)
