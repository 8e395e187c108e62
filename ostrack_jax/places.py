"""Names of files and directories as a person types them: a path of this machine, or one line that says why not."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from ostrack_jax.errors import UserError

# `gs:/bucket` is what a path makes of `gs://bucket`; one letter alone is a drive.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def local_path(text: str) -> Path:
    """The file or directory that ``text`` names.

    A leading ``~`` or ``~user`` is a home directory, which the shell leaves alone behind an equals sign. Else what
    exists under the name is meant, whatever is in it, and after ``./`` nothing has a special meaning.

    Raises:
      UserError: an empty name, an address such as ``gs://bucket/run``, a home directory that does not exist; the
        message begins with ``text``, as it was typed.
    """
    if not text or "\0" in text:
        raise UserError(f"{text!r}: expected the name of a file or directory")
    home = text == "~" or text.startswith("~/")
    if not home and os.path.lexists(text):
        return Path(text)
    if _ADDRESS.match(text):
        raise UserError(f"{text}: an address, expected a file or directory of this machine (mount it, or copy it here)")
    if not text.startswith("~"):
        return Path(text)
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise UserError(f"{text}: no such home directory (./{text} is a file or directory here)")
    return Path(expanded)


def unfinished(path: Path) -> Path:
    """A free name next to ``path`` for the file while it is written; short where that of ``path`` is very long."""
    # Processes of several machines or containers may have one number.
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")


def must_be_text(path: Path) -> None:
    """Raise `UserError` where ``path`` is not UTF-8, which the libraries of checkpoints and records need."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as e:
        raise UserError(f"{path} is not UTF-8 text: expected another name for the directory") from e
