"""A tracker's entry in a workspace of the VOT toolkit: the lines of `trackers.ini` and the script that they run.

The toolkit is an external program that this package never imports; `integrations/vot_tracker.py`, which is copied
into the workspace, speaks to it from a process of its own.
"""

from __future__ import annotations

import configparser
import importlib.util
import re
import shlex
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from ostrack_jax.errors import UserError
from ostrack_jax.io import write_atomically, write_text

SCRIPT = "ostrack_vot.py"
REGISTRY = "trackers.ini"
_TIMEOUT_S = 300  # the toolkit's own 30 are few for a large network on a busy machine


def check(workspace: Path, name: str) -> None:
    """Check that an entry can be added, before anything is compiled.

    Raises:
      UserError: ``name`` is invalid for the toolkit, or taken; `vot-trax` is not installed.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name == configparser.DEFAULTSECT:
        raise UserError(f"--name {name!r}: expected letters, digits, - and _, as the VOT toolkit does")
    if importlib.util.find_spec("trax") is None:
        raise UserError(
            "the package vot-trax, by which the toolkit talks to trackers, is missing: pip install vot-trax"
        )
    parser, path = configparser.ConfigParser(), workspace / REGISTRY
    try:
        parser.read(path, encoding="latin-1")  # whatever it is in: the names alone are compared
    except configparser.Error as e:
        raise UserError(f"cannot read {path}: {' '.join(str(e).split())}") from e
    if name in parser.sections():
        raise UserError(f"{path} has an entry [{name}] already: give another --name, or remove it")


def add(workspace: Path, name: str, label: str, words: Sequence[str]) -> Path:
    """Add the entry, keep all others as they are, and write the script; return the path of the entry's file.

    Args:
      workspace: created if missing.
      name: the tracker's name for the toolkit.
      label: its name in reports.
      words: what the script is called with.
    """
    workspace = workspace.resolve()
    script = resources.files("ostrack_jax") / "integrations" / "vot_tracker.py"
    write_text(workspace / SCRIPT, script.read_text(encoding="utf-8"))
    path = workspace / REGISTRY
    before = path.read_bytes().rstrip() + b"\n\n" if path.is_file() else b""
    write_atomically(path, before + entry(name, label, [str(workspace / SCRIPT), *words]).encode())
    return path


def entry(name: str, label: str, words: Sequence[str]) -> str:
    """Return the lines of an entry that runs a script with this environment's Python."""
    lines = {"label": label, "protocol": "trax", "command": shlex.join([sys.executable, *words])}
    lines["timeout"] = str(_TIMEOUT_S)
    for key, value in lines.items():
        if re.search(r"[\r\n]", value):
            raise UserError(f"{key} {value!r}: an entry of the VOT toolkit cannot hold a line break")
    return f"[{name}]\n" + "".join(f"{key} = {value.replace('%', '%%')}\n" for key, value in lines.items())
