"""The mechanism of every command: flags, help, config overrides, and one line for each mistake."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import types

import pytest
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.errors import UserError

DOC = """Count things.

Example:
  counter --count 3
"""


def define(flags):
    command.define_config(flags, required=False)
    absl_flags.DEFINE_integer("count", 2, "how many", flag_values=flags)
    absl_flags.DEFINE_boolean("loud", False, "whether to shout", flag_values=flags)
    absl_flags.DEFINE_enum("kind", "a", ["a", "b"], "of which kind", flag_values=flags)
    absl_flags.DEFINE_string("output", None, "a folder; " + "long words " * 20, flag_values=flags, required=True)


def counter(main, arguments=()):
    return types.SimpleNamespace(__doc__=DOC, define=define, main=main, ARGUMENTS=arguments)


@pytest.fixture
def call(capsys):
    """Run a command with words; its status, what it was called with, and its two outputs."""

    def call(*words, main=None, arguments=()):
        seen = []

        def record(flags, positional):
            seen.append((flags, positional))
            return main() if main else None

        status = command.run(counter(record, arguments), words, "counter")
        out, err = capsys.readouterr()
        return types.SimpleNamespace(status=status, seen=seen, out=out, err=err)

    return call


def test_flags_and_arguments_arrive_in_any_order(call):
    done = call("a", "--count", "5", "b", "--loud", "--output=x", arguments=("IN", "[OUT]"))
    assert done.status == 0
    ((flags, positional),) = done.seen
    assert (flags.count, flags.loud, flags.kind, flags.output) == (5, True, "a", "x")
    assert positional == ["a", "b"]


def test_two_runs_share_no_flags(call):
    call("--output=x", "--count=7")
    ((flags, _),) = call("--output=y").seen
    assert (flags.count, flags.output) == (2, "y")
    assert "count" not in absl_flags.FLAGS


def test_the_status_is_what_main_returns(call):
    assert call("--output=x", main=lambda: 3).status == 3


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("--count", "x", "--help"), ("--wrong", "--help")])
def test_help_shows_usage_example_and_every_flag(call, words):
    done = call(*words, arguments=("IN",))
    assert (done.status, done.err, done.seen) == (0, "", [])
    assert done.out.startswith("usage: counter IN [flags]\n\nCount things.\n\nExample:\n  counter --count 3\n")
    for text in ("--config=VALUE", "--config.KEY=VALUE", "--count=VALUE", "(default: 2)", "--[no]loud", "<a|b>"):
        assert text in done.out
    assert done.out.count("(required)") == 1
    assert max(map(len, done.out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "--output is required"),
        (("--output=x", "--cuont=3"), "Unknown command line flag 'cuont'. Did you mean: count ?"),
        (("--output=x", "--count=many"), "flag --count=many: invalid literal"),
        (("--output=x", "--kind=c"), "flag --kind=c: value should be one of <a|b>"),
        (("--output=x", "--noloud=1"), "--noloud=1 does not take an argument"),
        (("--output=x", "--count"), "Missing value for flag --count"),
        (("--output=x", "stray"), "unexpected argument 'stray': counter takes flags only"),
        (("--output=x", "--config.train.batch"), "--config.train.batch: expected --config.train.batch=VALUE"),
        (("--output=x", "--config.train.batch", "--loud"), "--config.train.batch: expected"),
    ],
)
def test_wrong_words_are_one_line(call, words, text):
    done = call(*words)
    assert done.status == 2
    assert done.err.startswith("counter: error: ")
    assert text in done.err
    assert done.err.count("\n") == 1
    assert done.seen == []


def test_too_few_and_too_many_arguments(call):
    assert "expected IN [OUT]" in call("--output=x", arguments=("IN", "[OUT]")).err
    assert "unexpected argument 'c'" in call("--output=x", "a", "b", "c", arguments=("IN", "[OUT]")).err
    assert call("--output=x", "a", "b", "c", arguments=("[IN...]",)).status == 0
    assert call("--output=x", "--", "--count", arguments=("IN",)).seen[0][1] == ["--count"]


def raises(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("no folder x"), "no folder x"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/runs/a"), "/runs/a: No space left on device"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "b"), "b: Permission denied"),
        (
            OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
            "Too many open files (`ulimit -n` shows the limit, `ulimit -n 4096` raises it)",
        ),
        (OSError("cannot read"), "cannot read"),
    ],
)
def test_what_a_person_can_mend_is_one_line(call, error, text):
    done = call("--output=x", main=raises(error))
    assert (done.status, done.err) == (2, f"counter: error: {text}\n")


def test_an_interrupt_is_status_130(call):
    done = call("--output=x", main=raises(KeyboardInterrupt()))
    assert (done.status, done.err) == (130, "counter: interrupted\n")


def test_sigterm_ends_like_an_interrupt(call):
    done = call("--output=x", main=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (done.status, done.err) == (143, "counter: terminated\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("words", [["doctor", "--help"], ["--version"]])
def test_a_reader_that_left_is_no_error(words):
    """`ostrack ... --help | head -0`."""
    ours, theirs = os.pipe()
    os.close(ours)
    words = [sys.executable, "-m", "ostrack_jax.cli.main", *words]
    done = subprocess.run(words, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_pipe_of_our_own_is_told(call):
    done = call("--output=x", main=raises(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))))
    assert (done.status, done.err) == (2, "counter: error: Broken pipe\n")


def test_a_mistake_of_ours_keeps_its_traceback(call):
    with pytest.raises(ZeroDivisionError):
        call("--output=x", main=raises(ZeroDivisionError()))


@pytest.mark.parametrize(
    "words", [("--config.train.batch=16",), ("--config.train.batch", "16"), ("-config.train.batch=16",)]
)
def test_config_and_its_overrides(call, tmp_path, words):
    path = tmp_path / "mine.py"
    path.write_text("from ostrack_jax.config import default\ndef get_config():\n    return default('mine')\n")
    ((flags, _),) = call("--config", str(path), *words, "--config.name", "a=b", "--output=x").seen
    config = command.read_config(flags)
    assert (config.name, config.train.batch) == ("a=b", 16)


def test_a_config_that_was_not_given(call):
    ((flags, _),) = call("--output=x").seen
    with pytest.raises(UserError, match="--config is required"):
        command.read_config(flags)


def test_dispatch_names_the_nearest(capsys):
    group = types.SimpleNamespace(__doc__=DOC, COMMANDS={"train": "learn", "track": "follow"}, MEMBERS={})
    assert command.dispatch(group, ["--help"], "ours") == 0
    out = capsys.readouterr().out
    assert "usage: ours COMMAND" in out
    assert "train  learn" in out
    for words, text in (["trian"], "unknown command 'trian': did you mean 'train'"), ([], "one of train, track"):
        assert command.dispatch(group, words, "ours") == 2
        assert text in capsys.readouterr().err
