"""Where a data set lies. Enters: a reader's name and what the config says. Leaves: an existing folder.

Looked up in this order: the config's `dir`, the environment variable OSTRACK_<READER>_DIR, the table `[data]` of one
TOML file (named by OSTRACK_PATHS, else ~/.config/ostrack/paths.toml).
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from ostrack_jax.errors import UserError
from ostrack_jax.io import local_path, read_text


def find_directory(reader: str, given: str = "") -> Path:
    """The folder of ``reader``'s data.

    Args:
      reader: a name of `ostrack_jax.data.readers.registry`.
      given: the config's folder; empty: look it up.

    Raises:
      UserError: nobody says where it lies, or there is no such folder; tells all three ways to say it.
    """
    named = named_directory(reader, given)
    if named is None:
        raise UserError(
            f"nobody says where the {reader} data lies: give --config.data.NAME.dir=PATH (training) or "
            f"--data_dir PATH (evaluation), set {_variable(reader)}, or write {reader} = "
            f'"PATH" under [data] in {paths_file()}'
        )
    directory, said_by = named
    if not directory.is_dir():
        raise UserError(f"no folder {directory} ({said_by}): expected the {reader} data there")
    return directory


def named_directory(reader: str, given: str = "") -> tuple[Path, str] | None:
    """Where ``reader``'s data is said to lie, and who says so; None where nobody does. The folder may be missing."""
    if given:
        return local_path(given), "as given"
    if value := os.environ.get(_variable(reader)):
        return local_path(value), _variable(reader)
    directory = _from_toml(paths_file(), reader)
    return None if directory is None else (directory, str(paths_file()))


def _variable(reader: str) -> str:
    return f"OSTRACK_{reader.upper()}_DIR"


def paths_file() -> Path:
    """The TOML file of folders: named by OSTRACK_PATHS, else in the user's configuration."""
    return local_path(os.environ.get("OSTRACK_PATHS") or "~/.config/ostrack/paths.toml")


def _from_toml(toml: Path, reader: str) -> Path | None:
    """The file's folder for ``reader``; relative ones count from the file. None: no file, or no such entry."""
    if not toml.exists():
        if os.environ.get("OSTRACK_PATHS"):
            raise UserError(f"no file {toml} (OSTRACK_PATHS): expected a TOML file with a table [data]")
        return None
    try:
        table = tomllib.loads(read_text(toml)).get("data", {})
    except tomllib.TOMLDecodeError as e:
        raise UserError(f"{toml} is no TOML: {e}") from e
    if not isinstance(table, dict):
        raise UserError(f'{toml}: expected a table [data] with {reader} = "PATH", found data = {table!r}')
    directory = table.get(reader)
    if directory is None:
        return None
    if not isinstance(directory, str):
        raise UserError(f'{toml}: expected {reader} = "PATH" under [data], found {directory!r}')
    return toml.parent / local_path(directory)
