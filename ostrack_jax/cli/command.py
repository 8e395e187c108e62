"""The mechanism of every command: flags, help, positional arguments, mistakes in one line, exit status.

A command module has

- a docstring: what it does, then an ``Example:`` block (both are its ``--help``);
- ``define(flags: FlagValues) -> None``: declares its flags (``flag_values=flags``; not absl's global FLAGS);
- ``main(flags: FlagValues, arguments: list[str]) -> int | None``: the work; heavy imports belong inside it;
- optionally ``ARGUMENTS: tuple[str, ...]``: names of its positional arguments, ``"[NAME]"`` for one that may
  be left out, ``"[NAME...]"`` for any number, ``paths.Place("NAME")`` for a file or directory that is read. Without
  it, a positional argument is an error.

A module of several commands has a docstring and ``COMMANDS: dict[str, str]``, name -> what it does; each is a module
of the name ``PREFIX`` and NAME, or an object in the dict ``MEMBERS``.

Every flag that names a file or directory is declared by `paths.define_path`.

What a person can mend ends in one line on stderr and status 2; a signal that asked to stop in 128 and its number, as a
shell counts; anything else keeps its traceback. (ml_collections' `config_flags` reads the process's own command line,
refuses ``--config.KEY`` without ``--config``, adds no data set and reports mistakes as tracebacks: not used.)
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import inspect
import io
import logging
import os
import re
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from ostrack_jax.cli import paths
from ostrack_jax.errors import Stopped, UserError, unknown

if TYPE_CHECKING:
    from ostrack_jax.config import Config

_WIDTH = 100
_HELP = ("-h", "-help", "--help")
# absl's own words for a required flag that was not given
_REQUIRED = "must have a value other than None"
_OVERRIDES = "config_override"


def run(command: Any, argv: Sequence[str], program: str) -> int:
    """Run a command module with the words ``argv`` (without the program's own name) and return the exit status.

    ``program`` is what the user typed before them (``ostrack train``); it opens usage and error lines.
    """
    logging.basicConfig(format="%(message)s")  # what the package logs is for whoever reads the terminal
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        with guarded():
            return _run(command, argv, program)
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def dispatch(group: Any, argv: Sequence[str], program: str) -> int:
    """Run the command of a module of ``COMMANDS`` that the first word names; return the exit status."""
    commands: Mapping[str, str] = group.COMMANDS
    name = argv[0] if argv else ""
    if name in _HELP:
        width = max(map(len, commands)) + 2
        listing = "\n".join(f"  {each:<{width}}{line}" for each, line in commands.items())
        with guarded():
            print(f"usage: {program} COMMAND [flags]\n\n{inspect.cleandoc(group.__doc__)}\n\ncommands:\n{listing}\n")
            print(f"`{program} COMMAND --help` shows a command's flags and an example.")
        return 0
    if name not in commands:
        missing = UserError(f"expected a command: one of {', '.join(commands)} (see {program} --help)")
        return fail(program, unknown("command", name, commands) if name else missing)
    command = load(group, name)
    return (dispatch if hasattr(command, "COMMANDS") else run)(command, argv[1:], f"{program} {name}")


def load(group: Any, name: str) -> Any:
    """Return the command ``name`` of a module of ``COMMANDS``."""
    members = getattr(group, "MEMBERS", None)
    return importlib.import_module(group.PREFIX + name) if members is None else members[name]


def fail(program: str, error: Exception) -> int:
    """Print ``error`` as the one line a person is meant to read; return the exit status 2."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = ("; " if isinstance(error, absl_flags.Error) else " ").join(text.splitlines())  # names may hold line breaks
    text = re.sub(rf"flag --(\w+)=None: Flag --\1 {_REQUIRED}\.", r"--\1 is required", text)
    if os.strerror(errno.EMFILE) in text:
        text += " (`ulimit -n` shows the limit, `ulimit -n 4096` raises it)"
    print(f"{program}: error: {text}", file=sys.stderr)
    return 2


def define_config(flags: absl_flags.FlagValues, required: bool = True) -> None:
    """Declare ``--config NAME_OR_PATH`` and, for any number of them, ``--config.KEY.KEY=VALUE``."""
    paths.define_path("config", None, "a named config, or the path of a config file", flags, required=required)
    absl_flags.DEFINE_multi_string(
        _OVERRIDES, [], "changes one setting of it, e.g. --config.train.batch=32", flag_values=flags
    )


def define_config_for(flags: absl_flags.FlagValues) -> None:
    """Declare the same where weights bring a config of their own."""
    define_config(flags, required=False)
    flags["config"].help = "a named config or the path of one, in place of the checkpoint's own; its model must fit"
    flags[_OVERRIDES].help = "changes one setting of it, e.g. --config.model.dtype=bfloat16"


def read_config(flags: absl_flags.FlagValues) -> Config:
    """Return the checked config that ``--config`` and its overrides ask for.

    Raises:
      UserError: none given, no such config, an unknown key, a value of the wrong type.
    """
    from ostrack_jax.config import load as load_config

    if flags.config is None:
        raise UserError("--config is required")
    return load_config(str(flags.config), overrides(flags))


def overrides(flags: absl_flags.FlagValues) -> list[str]:
    """Return the flags ``--config.KEY=VALUE``, each as ``KEY=VALUE``."""
    return list(flags[_OVERRIDES].value or [])


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


def _run(command: Any, argv: Sequence[str], program: str) -> int:
    try:
        flags = absl_flags.FlagValues()
        flags.set_gnu_getopt(True)  # flags may follow positional arguments
        command.define(flags)
        if set(_HELP).intersection(argv[: list(argv).index("--")] if "--" in argv else argv):
            print(_help(command, flags, program))
            return 0
        arguments = _parse(command, flags, argv, program)
        return command.main(flags, arguments) or 0
    except (UserError, absl_flags.Error, OSError) as e:
        return fail(program, e)
    except Stopped as e:
        print(f"{program}: {e}", file=sys.stderr, flush=True)
        if e.abandoned:
            sys.stdout.flush()
            os._exit(128 + e.signal)
        return 128 + e.signal
    except KeyboardInterrupt as e:
        terminated = signal.SIGTERM in e.args
        print(f"{program}: {'terminated' if terminated else 'interrupted'}", file=sys.stderr)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)


def _interrupt(number: int, _: object) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt(number)


def _parse(command: Any, flags: absl_flags.FlagValues, argv: Sequence[str], program: str) -> list[str]:
    """Fill ``flags`` from ``argv``; return the positional arguments, as many as the command takes."""
    try:
        _, *arguments = flags([program, *(_overrides_as_flags(argv) if _OVERRIDES in flags else argv)])
    except absl_flags.UnrecognizedFlagError as e:
        file = next((word for word in argv if word.startswith("-") and os.path.lexists(word)), None)
        raise e if file is None else UserError(f"{file} is a file here: give it as ./{file}") from e
    except ValueError as e:  # what absl raises for a boolean flag that was given a value
        raise UserError(str(e)) from e
    names: tuple[str, ...] = getattr(command, "ARGUMENTS", ())
    if len(arguments) < sum(not name.startswith("[") for name in names):
        raise UserError(f"expected {' '.join(names)} (see {program} --help)")
    if len(arguments) > len(names) and not any(name.endswith("...]") for name in names):
        takes = f"takes {' '.join(names)}" if names else "takes flags only"
        raise UserError(f"unexpected argument {arguments[len(names)]!r}: {program} {takes} (see {program} --help)")
    return paths.check(flags, names, arguments)


def _overrides_as_flags(argv: Sequence[str]) -> list[str]:
    """Return ``argv`` with ``--config.a.b=value`` and ``--config.a.b value`` as values of one ordinary flag."""
    out: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*out, word, *words]
        key = re.fullmatch(r"--?config\.(.*)", word, re.DOTALL)
        if key and "=" not in word:
            value = next(words, "--")
            if value.startswith("--"):
                raise UserError(f"{word}: expected {word}=VALUE")
            word = f"{word}={value}"
        out.append(re.sub(r"--?config\.", f"--{_OVERRIDES}=", word, count=1) if key else word)
    return out


def _help(command: Any, flags: absl_flags.FlagValues, program: str) -> str:
    """Return the page of ``--help``: usage, docstring, every flag with its meaning and default."""
    lines = [" ".join(["usage:", program, *getattr(command, "ARGUMENTS", ()), "[flags]"]), ""]
    lines += [inspect.cleandoc(command.__doc__ or ""), "", "flags:"]
    for name in flags:
        flag = flags[name]
        if name != flag.name:  # a short alias
            continue
        spelled = "config.KEY=VALUE" if name == _OVERRIDES else f"[no]{name}" if flag.boolean else f"{name}=VALUE"
        text = " ".join((flag.help or "").split())
        if any(_REQUIRED in str(validator.message) for validator in flag.validators):
            text += " (required)"
        elif flag.default not in (None, "", []):
            text += f" (default: {(flag.default_as_str or '').strip(chr(39))})"
        lines += textwrap.wrap(f"  --{spelled:<22}  {text}", _WIDTH, subsequent_indent=" " * 28)
    return "\n".join(lines)


class _Outliving(io.FileIO):
    """A byte stream that drops what is written once nobody reads it (``ostrack ... | head``)."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def _guarded(stream: Any) -> Any:
    if isinstance(stream, io.TextIOWrapper):  # not of a notebook
        stream.reconfigure(errors="backslashreplace")
        if isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO) and not stream.isatty():
            stream.flush()
            lines = stream.line_buffering or stream.write_through  # the latter by PYTHONUNBUFFERED
            raw = io.BufferedWriter(_Outliving(stream.fileno(), "w", closefd=False))
            return io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=lines)
    return stream
