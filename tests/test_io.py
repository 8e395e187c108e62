"""Names of files and directories as a person types them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.io import local_path, read_json, unfinished, write_atomically, write_json

ODD = [
    "a:b.mp4",
    "%04d.mp4",
    "-x.mp4",
    "-",
    "a  b.mp4",
    "é中.mp4",
    "x..mp4",
    "x.",
    "[red]x",
    "pipe:1",
    "0",
    "a=b",
    "*?",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("name", ODD)
def test_any_other_name_is_a_files(name):
    assert local_path(name) == Path(name)
    assert local_path(f"in/{name}") == Path("in", name)


def test_a_home_directory(here):
    assert local_path("~") == here / "home"
    assert local_path("~/a/~b") == here / "home/a/~b"
    assert local_path("a/~") == Path("a/~")
    (here / "~").mkdir()  # as older versions made it: not what is meant
    assert local_path("~/a") == here / "home/a"
    assert local_path("./~") == Path("~")
    with pytest.raises(UserError, match=r"^~nobody_here/a: no such home directory \(\./~nobody_here/a is "):
        local_path("~nobody_here/a")
    (here / "~draft.txt").touch()
    assert local_path("~draft.txt") == Path("~draft.txt")


@pytest.mark.parametrize(
    "text", ["gs://bucket/run", "s3://b/x", "http://h/x.mp4", "https://h/x?a=b", "rtsp://cam/1", "file:///a", "gs:/b/x"]
)
def test_an_address_is_refused_as_typed(here, text):
    with pytest.raises(UserError) as raised:
        local_path(text)
    assert str(raised.value).startswith(f"{text}: an address, expected a file or directory of this machine")
    Path(text).mkdir(parents=True)
    assert local_path(text) == Path(text)  # what exists is meant


def test_a_drive_is_no_address():
    assert local_path("C:/data") == Path("C:/data")


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_what_cannot_be_a_name(text):
    with pytest.raises(UserError, match="expected the name of a file or directory"):
        local_path(text)


@pytest.mark.parametrize("name", ["a.txt", "中" * 85, "x" * 255])
def test_the_name_while_it_is_written_fits_where_the_name_does(here, name):
    path = here / name
    path.touch()
    assert unfinished(path).parent == here
    assert unfinished(path) != unfinished(path)
    os.replace(path, unfinished(path))


def test_writing_is_all_or_nothing_and_the_error_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"first")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space left")))
    with pytest.raises(OSError, match=f"no space left: '{path}'"):
        write_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_json_comes_back_and_what_is_none_is_one_line(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, None]})
    assert read_json(path) == {"a": [1, None]}
    for text, said in (
        ("[1]", "expected a JSON object, found a list"),
        ("{", "is not valid JSON"),
        ("[" * 9999, "JSON"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            read_json(path)
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
