"""What a command prints ends no work: letters that the terminal lacks, a reader that leaves."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import types

import pytest

from ostrack_jax.cli import command
from ostrack_jax.cli.main import main
from ostrack_jax.cli.paths import define_path

NAME = "é中 \udcff.txt"  # the last byte is not valid UTF-8


def writer(prints, path="out.txt"):
    """A command that prints, then writes the file of its --output."""

    def work(flags, arguments):
        for _ in range(3):
            prints()
        if flags.output is not None:
            flags.output.write_text("written")

    def define(flags):
        define_path("output", None, "a file", flags, writes="file")

    return types.SimpleNamespace(__doc__="Write.", define=define, main=work)


@contextlib.contextmanager
def ascii_terminal():
    """Within it, what is written to standard output and error goes to a list of two texts, filled at its end."""
    said = []
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        yield said
    for stream in streams:
        stream.flush()
        said.append(stream.buffer.getvalue().decode("ascii"))


def test_letters_that_the_terminal_lacks_are_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ascii_terminal() as said:
        assert command.run(writer(lambda: print(NAME)), ["--output", NAME], "writer") == 0
    assert said[0] == "\\xe9\\u4e2d \\udcff.txt\n" * 3
    assert (tmp_path / NAME).read_text() == "written"


def test_an_error_on_an_ascii_terminal_is_one_line(tmp_path):
    with ascii_terminal() as said:
        assert main(["doctor", str(tmp_path / "é\n中")]) == 2
    assert said[1] == f"ostrack doctor: error: no directory {tmp_path}/\\xe9 \\u4e2d: expected one with data sets\n"


def test_bars_and_tables_on_an_ascii_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich draws as on a terminal
    monkeypatch.chdir(tmp_path)
    words = ["--benchmark", "synthetic", "--tracker", "still", "--sequences", "synthetic_test_000000"]
    with ascii_terminal() as said:
        assert main(["eval", *words, "--output", "é中"]) == 0
        assert main(["compare", "é中", "--output", "compared"]) == 0
    out, err = said
    assert "still on synthetic" in out
    assert "report: \\xe9\\u4e2d/report.json" in out
    assert "comparison: compared/comparison.json" in out
    assert "1/1" in err


@contextlib.contextmanager
def nobody_reads():
    """`ostrack ... 2>&1 | head -0`."""
    theirs, ours = os.pipe()
    os.close(theirs)
    with (
        open(os.dup(ours), "w") as out,
        open(ours, "w") as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        yield


def loudly():
    print("one", flush=True)
    print("two", file=sys.stderr, flush=True)


def test_a_reader_that_leaves_loses_no_file(tmp_path):
    with nobody_reads():
        assert command.run(writer(loudly), ["--output", str(tmp_path / "a")], "writer") == 0
    assert (tmp_path / "a").read_text() == "written"


@pytest.mark.parametrize("words", [["--help"], ["data", "--help"], ["track", "--help"]])
def test_help_that_nobody_reads(words):
    with nobody_reads():
        assert main(words) == 0


def test_tables_that_nobody_reads(tmp_path, monkeypatch):
    """rich ends the process where its own pipe breaks."""
    monkeypatch.chdir(tmp_path)
    for tracker in ("truth", "a"):
        (tmp_path / tracker).mkdir()
        (tmp_path / tracker / "Biker.txt").write_text("50,50,20,20\n" * 5)
    with nobody_reads():
        assert main(["compare", "a", "--benchmark", "otb100", "--truth", "truth", "--output", "out"]) == 0
    assert (tmp_path / "out/comparison.json").is_file()
