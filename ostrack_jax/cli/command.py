"""The mechanism of every command. Enters: a command module and the words after its name. Leaves: a status.

A command module has

- a docstring: what it does, then an ``Example:`` block (both are its ``--help``);
- ``define(flags: FlagValues) -> None``: declares its flags (``flag_values=flags``; not absl's global FLAGS);
- ``main(flags: FlagValues, arguments: list[str]) -> int | None``: the work; heavy imports belong inside it;
- optionally ``ARGUMENTS: tuple[str, ...]``: names of its positional arguments, ``"[NAME]"`` for one that may
  be left out, ``"[NAME...]"`` for any number, ``paths.Place("NAME")`` for a file or directory that is read. Without
  it, a positional argument is an error.

Every flag that names a file or directory is declared by `paths.define_path`.

What a person can mend ends in one line on stderr and status 2; a signal that asked to stop in 128 and its number, as a
shell counts; anything else keeps its traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from absl import flags as absl_flags

from ostrack_jax.cli import paths, streams
from ostrack_jax.errors import Stopped, UserError, unknown

if TYPE_CHECKING:
    from ostrack_jax.config import Config

_WIDTH = 100
_HELP = ("-h", "-help", "--help")
# absl's own words for a required flag that was not given
_REQUIRED = "must have a value other than None"
_OVERRIDES = "config_override"


@runtime_checkable
class Command(Protocol):
    """What a command module offers, see above."""

    __doc__: str | None

    def define(self, flags: absl_flags.FlagValues) -> None:
        """Declare the command's flags."""
        ...

    def main(self, flags: absl_flags.FlagValues, arguments: list[str]) -> int | None:
        """Do the work; the exit status, None for 0."""
        ...


def run(command: Command, argv: Sequence[str], program: str) -> int:
    """Run ``command`` with the words ``argv`` (without the program's own name); the exit status.

    ``program`` is what the user typed before them (``ostrack train``); it opens usage and error lines.
    """
    streams.escape_what_is_lacking()
    logging.basicConfig(format="%(message)s")  # what the package logs is for whoever reads the terminal
    try:
        flags = absl_flags.FlagValues()
        flags.set_gnu_getopt(True)  # flags may follow positional arguments
        command.define(flags)
        if _asks_help(argv):
            print(_help(command, flags, program), flush=True)
            return 0
        arguments = _parse(command, flags, argv, program)
        with streams.outliving() if paths.writes_files(flags) else contextlib.nullcontext():
            return command.main(flags, arguments) or 0
    except (UserError, absl_flags.Error, OSError) as e:
        return 0 if isinstance(e, BrokenPipeError) and _reader_left() else fail(program, e)
    except Stopped as e:
        print(f"{program}: {e}", file=sys.stderr, flush=True)
        if e.abandoned:
            sys.stdout.flush()
            os._exit(128 + e.signal)
        return 128 + e.signal
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130


def choose(commands: Mapping[str, str], doc: str, argv: Sequence[str], program: str) -> str | None:
    """The first word of ``argv``, one of ``commands`` (name -> what it does); None where it asked for help.

    Raises:
      UserError: no word, or one that is no command (names the nearest).
    """
    width = max(map(len, commands)) + 2
    listing = "\n".join(f"  {name:<{width}}{line}" for name, line in commands.items())
    if argv and argv[0] in _HELP:
        with streams.outliving():
            print(f"usage: {program} COMMAND [flags]\n\n{inspect.cleandoc(doc)}\n\ncommands:\n{listing}\n")
            print(f"`{program} COMMAND --help` shows a command's flags and an example.")
        return None
    if not argv:
        raise UserError(f"expected a command: one of {', '.join(commands)} (see {program} --help)")
    if argv[0] not in commands:
        raise unknown("command", argv[0], commands)
    return argv[0]


def load(module: str) -> Command:
    """Import a command module by its full name."""
    return importlib.import_module(module)  # type: ignore[return-value]  # a module fits the protocol by its functions


def fail(program: str, error: Exception) -> int:
    """Print ``error`` as the one line a person is meant to read; the exit status 2."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        text = f"{place}{error.strerror}"
    else:
        text = str(error) or type(error).__name__
    text = ("; " if isinstance(error, absl_flags.Error) else " ").join(text.splitlines())  # names may hold line breaks
    text = re.sub(rf"flag --(\w+)=None: Flag --\1 {_REQUIRED}\.", r"--\1 is required", text)
    print(f"{program}: error: {text}", file=sys.stderr)
    return 2


def define_config(flags: absl_flags.FlagValues, required: bool = True) -> None:
    """Declare ``--config NAME_OR_PATH`` and, for any number of them, ``--config.KEY.KEY=VALUE``."""
    paths.define_path("config", None, "a named config, or the path of a config file", flags, required=required)
    absl_flags.DEFINE_multi_string(
        _OVERRIDES, [], "changes one setting of it, e.g. --config.train.batch=32", flag_values=flags
    )


def define_config_for(flags: absl_flags.FlagValues) -> None:
    """The same where weights bring a config of their own, see `config_for`."""
    define_config(flags, required=False)
    flags["config"].help = "a named config or the path of one, in place of the checkpoint's own; its model must fit"
    flags[_OVERRIDES].help = "changes one setting of it, e.g. --config.model.dtype=bfloat16"


def read_config(flags: absl_flags.FlagValues) -> Config:
    """The checked config that ``--config`` and its overrides ask for.

    Raises:
      UserError: none given, no such config, an unknown key, a value of the wrong type.
    """
    from ostrack_jax.config import load as load_config

    if flags.config is None:
        raise UserError("--config is required")
    return load_config(str(flags.config), overrides(flags))


def config_for(flags: absl_flags.FlagValues, stored: Config) -> Config:
    """The checked config that ``--config`` asks for, else ``stored``, that of the weights; either with its overrides.

    Raises:
      UserError: as `read_config`.
    """
    from ostrack_jax.config import change

    return change(stored, overrides(flags)) if flags.config is None else read_config(flags)


def overrides(flags: absl_flags.FlagValues) -> list[str]:
    """What was given as ``--config.KEY=VALUE``, each as ``KEY=VALUE``."""
    return list(flags[_OVERRIDES].value or [])


def _parse(command: Command, flags: absl_flags.FlagValues, argv: Sequence[str], program: str) -> list[str]:
    """Fill ``flags`` from ``argv``; the positional arguments, as many as the command takes."""
    try:
        _, *arguments = flags([program, *_overrides_as_flags(argv, flags)])
    except absl_flags.UnrecognizedFlagError as e:
        file = next((word for word in argv if word.startswith("-") and os.path.lexists(word)), None)
        raise e if file is None else UserError(f"{file} is a file here: give it as ./{file}") from e
    except ValueError as e:  # absl's way to say that a boolean flag was given a value
        raise UserError(str(e)) from e
    names: tuple[str, ...] = getattr(command, "ARGUMENTS", ())
    needed = [name for name in names if not name.startswith("[")]
    if len(arguments) < len(needed):
        raise UserError(f"expected {' '.join(names)} (see {program} --help)")
    if len(arguments) > len(names) and not any(name.endswith("...]") for name in names):
        takes = f"takes {' '.join(names)}" if names else "takes flags only"
        raise UserError(f"unexpected argument {arguments[len(names)]!r}: {program} {takes} (see {program} --help)")
    return paths.check(flags, names, arguments)


def _overrides_as_flags(argv: Sequence[str], flags: absl_flags.FlagValues) -> list[str]:
    """``argv`` with ``--config.a.b=value`` and ``--config.a.b value`` as values of one ordinary flag."""
    if _OVERRIDES not in flags:
        return list(argv)
    out: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*out, word, *words]
        key = re.fullmatch(r"--?config\.(.*)", word, re.DOTALL)
        if key is None:
            out.append(word)
            continue
        override = key[1]
        if "=" not in override:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise UserError(f"{word}: expected {word}=VALUE")
            override = f"{override}={value}"
        out.append(f"--{_OVERRIDES}={override}")
    return out


def _reader_left() -> bool:
    """Whether nobody reads stdout any more (``ostrack ... | head``); then what is left to write goes nowhere."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _asks_help(argv: Sequence[str]) -> bool:
    before = argv[: argv.index("--")] if "--" in argv else argv
    return any(word in _HELP for word in before)


def _help(command: Command, flags: absl_flags.FlagValues, program: str) -> str:
    """The page of ``--help``: usage, docstring, every flag with its meaning and default."""
    usage = " ".join(["usage:", program, *getattr(command, "ARGUMENTS", ()), "[flags]"])
    return "\n".join([usage, "", inspect.cleandoc(command.__doc__ or ""), "", "flags:", *_flag_lines(flags)])


def _flag_lines(flags: absl_flags.FlagValues) -> list[str]:
    lines: list[str] = []
    for name in flags:
        flag = flags[name]
        if name != flag.name:  # a short alias
            continue
        spelled = f"--[no]{name}" if flag.boolean else f"--{name}=VALUE"
        if name == _OVERRIDES:
            spelled = "--config.KEY=VALUE"
        text = " ".join((flag.help or "").split())
        if any(_REQUIRED in str(validator.message) for validator in flag.validators):
            text += " (required)"
        elif flag.default not in (None, "", []):
            text += f" (default: {(flag.default_as_str or '').strip(chr(39))})"
        lines += textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=f"  {spelled:<26}" if len(spelled) < 26 else f"  {spelled}  ",
            subsequent_indent=" " * 28,
        )
    return lines
