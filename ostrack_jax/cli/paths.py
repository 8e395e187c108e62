"""Flags and arguments that name files or directories: local paths, checked or refused in a line with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from absl import flags as absl_flags

from ostrack_jax.errors import UserError
from ostrack_jax.io import local_path

Flags = absl_flags.FlagValues
Writes = Literal["", "file", "directory", "either"]


class Place(str):
    """The name of a positional argument that is read as a file or directory; `main` gets its checked path as text."""


class PathParser(absl_flags.ArgumentParser[Path]):
    """The parser of every path flag; ``writes``: what the command writes there, empty if it reads."""

    def __init__(self, writes: Writes = "") -> None:
        self.writes: Writes = writes

    def flag_type(self) -> str:
        """The type's name for absl."""
        return "path"

    def parse(self, argument: Any) -> Path:
        """The path that ``argument`` names. Raises ValueError, which absl reports with the flag's name."""
        try:
            return local_path(os.fspath(argument))
        except UserError as e:
            raise ValueError(str(e).removeprefix(f"{argument}: ")) from e


def define_path(
    name: str, default: str | None, text: str, flags: Flags, *, writes: Writes = "", required: bool = False
) -> None:
    """Declare a flag whose value is the `Path` of a file or directory on this machine, or None.

    ``writes`` is what the command makes there. `check` then refuses what cannot be written before any work is done.
    """
    absl_flags.DEFINE(PathParser(writes), name, default, text, flag_values=flags, required=required)


def check(flags: Flags, names: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return the ``arguments``, those whose name is a `Place` as checked paths; check that outputs can be made.

    Raises:
      UserError: an argument is not a local path; an output is of the wrong kind, lies where nothing can be
        written, or is also an input.
    """
    found, inputs = list(arguments), [path for _, path, writes in _given(flags) if not writes]
    for i, word in enumerate(found):
        if isinstance(names[min(i, len(names) - 1)], Place):
            path = local_path(word)
            found[i] = word if path == Path(word) else os.fspath(path)  # as it was typed, where nothing was expanded
            inputs.append(path)
    for name, path, writes in _given(flags):
        if writes:
            _check_output(f"--{name} {path}", path, writes)
            for source in inputs:
                refuse_same(name, path, source)
    return found


def refuse_same(name: str, output: Path, source: Path) -> None:
    """Raise `UserError` where the ``output`` of flag ``name`` is the existing file or directory ``source``."""
    if output.exists() and source.exists() and output.samefile(source):
        raise UserError(f"--{name} {output} would overwrite the input {source}: give another name")


def _given(flags: Flags) -> Iterator[tuple[str, Path, Writes]]:
    """Yield each given path: the flag's name, the path, what is written there."""
    for name in flags:
        parser, value = flags[name].parser, flags[name].value
        if isinstance(parser, PathParser) and value is not None:
            for path in value if isinstance(value, list) else [value]:
                yield name, path, parser.writes


def _check_output(label: str, path: Path, writes: Writes) -> None:
    """Raise `UserError` where no file or directory can be made at ``path``."""
    if writes == "directory" and path.exists() and not path.is_dir():
        raise UserError(f"{label} is a file: expected a directory")
    if writes == "file" and path.is_dir():
        raise UserError(f"{label} is a directory: expected the name of a file, in it or elsewhere")
    there = path if path.is_dir() else path.parent
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UserError(f"{label} cannot be made: {there} is not a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{label} cannot be made: no permission to write in {there.absolute()}")
