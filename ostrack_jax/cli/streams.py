"""Standard output and error that take any text, and a closed pipe without an error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Outliving(io.FileIO):
    """A byte stream that drops what is written once nobody reads it (``ostrack ... | head``)."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Within it, a closed pipe is not an error, and a character that an encoding lacks is written as an escape."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_guarded, before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _guarded(stream: Any) -> Any:
    if isinstance(stream, io.TextIOWrapper):  # not of a notebook
        stream.reconfigure(errors="backslashreplace")
        if isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO) and not stream.isatty():
            stream.flush()
            lines = stream.line_buffering or stream.write_through  # the latter by PYTHONUNBUFFERED
            raw = io.BufferedWriter(_Outliving(stream.fileno(), "w", closefd=False))
            return io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=lines)
    return stream
