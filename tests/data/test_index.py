"""Indexes made once: found again, made anew when their source changes, never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax.data.index import cache_directory, cached, each, sign

made: list[int] = []


def make() -> dict[str, np.ndarray]:
    made.append(1)
    return {"a": np.arange(3), "name": np.array([b"x", b"long"])}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    made.clear()
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_made_once(tmp_path):
    for _ in range(3):
        index = cached("x", tmp_path, "one", make)
        np.testing.assert_array_equal(index["a"], [0, 1, 2])
        assert index["name"].tolist() == [b"x", b"long"]
        assert "signature" not in index
    assert len(made) == 1


def test_another_signature_source_or_kind_makes_another(tmp_path):
    for kind, source, signature in ("xa1", "xb1", "ya1", "xa2", "xa2"):
        cached(kind, tmp_path / source, signature, make)
    assert len(made) == 4


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY"])
def test_a_broken_file_is_made_anew(tmp_path, cache, damage):
    cached("x", tmp_path, "1", make)
    (path,) = cache.iterdir()
    path.write_bytes(damage)
    cached("x", tmp_path, "1", make)
    cached("x", tmp_path, "1", make)
    assert len(made) == 2
    assert [*cache.iterdir()] == [path]


def test_a_place_that_cannot_be_written_costs_only_time(tmp_path, cache, caplog):
    cache.write_text("a file where the folder should be")
    for _ in range(2):
        np.testing.assert_array_equal(cached("x", tmp_path, "1", make)["a"], [0, 1, 2])
    assert len(made) == 2
    assert "cannot be written: File exists" in caplog.text


def test_signatures_tell_what_changes(tmp_path):
    file = tmp_path / "file"
    file.write_text("a")
    (tmp_path / "folder").mkdir()
    paths = [file, tmp_path / "folder"]
    first = sign(paths)
    assert sign(paths) == first
    os.utime(file, ns=(0, 1))
    second = sign(paths)
    (tmp_path / "folder/new").touch()
    os.utime(tmp_path / "folder", ns=(0, 1))
    assert len({first, second, sign(paths), sign(paths[:1])}) == 4


def test_the_cache_lies_where_the_user_says(monkeypatch):
    monkeypatch.setenv("OSTRACK_CACHE", "/somewhere")
    assert cache_directory() == Path("/somewhere")
    monkeypatch.delenv("OSTRACK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_directory() == Path("/caches/ostrack_jax")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_directory() == Path("/home/me/.cache/ostrack_jax")


def test_work_comes_back_in_order_and_errors_too():
    assert [*each([*range(50)], lambda i: i * i, "squares")] == [i * i for i in range(50)]
    with pytest.raises(ZeroDivisionError):
        [*each([1, 0, 2], lambda i: 1 // i, "inverses")]
