"""What a number was made with: the commit, for those who have no checkout too."""

from __future__ import annotations

import json

import pytest

from ostrack_jax import environment

FROM_GIT = {"url": "https://example.org/it.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee" * 6 + "c0ff"}}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed(told)``: this package as pip puts it elsewhere, with its note of where it came from."""

    def make(told=None):
        notes = tmp_path / "ostrack_jax-9.9.9.dist-info"
        notes.mkdir()
        (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: ostrack-jax\nVersion: 9.9.9\n")
        if told is not None:
            (notes / "direct_url.json").write_text(json.dumps(told))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(environment, "__file__", str(tmp_path / "ostrack_jax/environment.py"))

    return make


def test_the_commit_that_pip_installed(installed):
    installed(FROM_GIT)
    assert environment.commit() == FROM_GIT["vcs_info"]["commit_id"]


@pytest.mark.parametrize("told", [None, {"url": "file:///a.whl", "archive_info": {}}, {"url": "file:///a"}])
def test_a_wheel_tells_no_commit(installed, told):
    installed(told)
    assert environment.commit() is None


def test_another_copy_than_the_installed_one_tells_no_commit(installed, tmp_path, monkeypatch):
    installed(FROM_GIT)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "elsewhere/ostrack_jax/environment.py"))
    assert environment.commit() is None
