"""A tracker's entry in a VOT workspace: as the toolkit parses it, beside the others, never over one."""

from __future__ import annotations

import configparser
import importlib.util
import shlex
import sys
from pathlib import Path

import pytest

from ostrack_jax.cli import main as cli
from ostrack_jax.cli import trackers
from ostrack_jax.errors import UserError
from ostrack_jax.integrations import vot as vot_entry

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def trax_is_there(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "trax" else None)


def vot(*words):
    return cli.main(["vot", *map(str, words)])


def parsed(workspace):
    parser = configparser.ConfigParser()
    parser.read(workspace / "trackers.ini", encoding="latin-1")
    return parser


def test_an_entry_as_the_toolkit_reads_it(tmp_path, capsys):
    workspace = tmp_path / "my work %s"
    assert vot(workspace, "--tracker", "still", "--name", "still-1") == 0
    entry = parsed(workspace)["still-1"]
    assert entry["protocol"] == "trax"
    assert int(entry["timeout"]) > 30
    script = workspace / "ostrack_vot.py"
    assert shlex.split(entry["command"]) == [sys.executable, str(script), "--tracker", "still"]
    assert script.read_text() == (ROOT / "ostrack_jax/integrations/vot_tracker.py").read_text()
    out = capsys.readouterr().out
    assert "vot initialize" in out
    assert "vot evaluate" in out


def test_other_entries_stay_as_they_are(tmp_path):
    before = "# mine, é\n[other]\ncommand = run it\nprotocol = trax\n".encode("latin-1")
    (tmp_path / "trackers.ini").write_bytes(before)
    (tmp_path / "config.yaml").write_text("")
    assert vot(tmp_path, "--tracker", "still", "--name", "a") == 0
    assert vot(tmp_path, "--tracker", "opencv:mil", "--name", "b") == 0
    assert (tmp_path / "trackers.ini").read_bytes().startswith(before)
    assert parsed(tmp_path).sections() == ["other", "a", "b"]
    assert parsed(tmp_path)["b"]["label"].startswith("opencv:mil")


def test_the_words_choose_the_same_tracker_from_elsewhere(tmp_path, monkeypatch):
    from absl import flags as absl_flags

    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()  # a folder of a config's name is no config
    flags = absl_flags.FlagValues()
    trackers.define(flags)
    flags(["x", "--checkpoint", "weights", "--config", "tiny", "--config_override", "track.margin=5"])
    assert trackers.words(flags) == [
        *("--checkpoint", str(tmp_path / "weights"), "--config", "tiny", "--config.track.margin=5")
    ]


@pytest.mark.parametrize(
    ("words", "say"),
    [
        (["--tracker", "still", "--name", "a b"], "letters, digits"),
        (["--tracker", "still", "--name", "DEFAULT"], "letters, digits"),  # whose lines hold for every entry
        (["--tracker", "still", "--name", "taken"], "[taken] already"),
        (["--tracker", "stil"], "did you mean 'still'"),
        ([], "neither"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, capsys, words, say):
    (tmp_path / "trackers.ini").write_text("[taken]\ncommand = x\n")
    assert vot(tmp_path, *words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert say in err
    assert [path.name for path in tmp_path.iterdir()] == ["trackers.ini"]


def test_a_broken_file_a_file_for_a_folder_and_a_missing_package(tmp_path, monkeypatch, capsys):
    (tmp_path / "trackers.ini").write_text("no section\n")
    with pytest.raises(UserError, match="cannot read"):
        vot_entry.check(tmp_path, "a")
    assert vot(tmp_path / "trackers.ini", "--tracker", "still") == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install vot-trax"):
        vot_entry.check(tmp_path, "a")
    with pytest.raises(UserError, match="line break"):
        vot_entry.entry("a", "a\nb", ["x"])
