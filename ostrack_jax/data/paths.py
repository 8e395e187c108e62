"""Find the directory of a data set.

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
    """The directory of ``reader``'s data.

    Args:
      reader: a name of `ostrack_jax.data.readers.registry`.
      given: the config's directory; empty: it is looked up.

    Raises:
      UserError: it is named nowhere (the message has all three ways), or does not exist.
    """
    named = named_directory(reader, given)
    if named is None:
        raise UserError(
            f"nobody says where the {reader} data lies: give --config.data.NAME.dir=PATH (training) or "
            f"--data_dir PATH (evaluation), set OSTRACK_{reader.upper()}_DIR, or write {reader} = "
            f'"PATH" under [data] in {paths_file()}'
        )
    directory, named_by = named
    if not directory.is_dir():
        raise UserError(f"no folder {directory} ({named_by}): expected the {reader} data there")
    return directory


def named_directory(reader: str, given: str = "") -> tuple[Path, str] | None:
    """The directory of ``reader``'s data, and what names it; None if nothing does. It may not exist."""
    variable = f"OSTRACK_{reader.upper()}_DIR"
    for named_by, value in (("as given", given), (variable, os.environ.get(variable))):
        if value:
            return local_path(value), named_by
    toml = paths_file()
    if not toml.exists():
        if os.environ.get("OSTRACK_PATHS"):
            raise UserError(f"no file {toml} (OSTRACK_PATHS): expected a TOML file with a table [data]")
        return None
    try:
        table = tomllib.loads(read_text(toml)).get("data", {})
    except tomllib.TOMLDecodeError as e:
        raise UserError(f"{toml} is not valid TOML: {e}") from e
    if not isinstance(table, dict):
        raise UserError(f'{toml}: expected a table [data] with {reader} = "PATH", found data = {table!r}')
    value = table.get(reader)
    if not isinstance(value, str | None):
        raise UserError(f'{toml}: expected {reader} = "PATH" under [data], found {value!r}')
    return None if value is None else (toml.parent / local_path(value), str(toml))


def paths_file() -> Path:
    """The TOML file of directories: named by OSTRACK_PATHS, else in the user's configuration."""
    return local_path(os.environ.get("OSTRACK_PATHS") or "~/.config/ostrack/paths.toml")
