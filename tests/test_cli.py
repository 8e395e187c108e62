"""Every command as a user meets it: its help, and one clear line for what a person can get wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ostrack_jax import __version__
from ostrack_jax.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[1]
EVERY = [
    "train",
    "eval",
    "profile",
    "compare",
    "submit",
    "track",
    "doctor",
    "demo",
    "convert",
    "convert ostrack",
    "convert mae",
    "convert deit",
    "convert augreg",
    "convert dinov2",
    "data",
    "data check",
    "report",
    "report train",
    "report eval",
    "visualize",
    "vot",
]


@pytest.fixture
def ostrack(capsys):
    """`ostrack WORDS` in this process: status, output, errors."""

    def call(*words):
        status = main(words)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_the_list_of_commands_is_whole(ostrack):
    status, out, _ = ostrack("--help")
    assert status == 0
    assert set(COMMANDS) == {words.split()[0] for words in EVERY}
    for name, line in COMMANDS.items():
        assert name in out
        assert line in out
    assert "Example:" in out


@pytest.mark.parametrize("words", EVERY)
def test_help_teaches_with_an_example(ostrack, words):
    status, out, err = ostrack(*words.split(), "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: ostrack {words} ")
    assert "Example" in out
    assert f"ostrack {words}" in out.split("Example", 1)[1] or f"python {words}.py" in out.split("Example", 1)[1]
    assert max(map(len, out.splitlines())) <= 120


def test_version(ostrack):
    assert ostrack("--version") == (0, f"ostrack-jax {__version__}\n", "")


def one_line(result, *words):
    """A user's mistake: status 2, one line on stderr that holds ``words``."""
    status, _, err = result
    assert status == 2, err
    assert err.count("\n") == 1, err
    assert err.startswith("ostrack")
    assert ": error: " in err
    for word in words:
        assert word in err


def test_no_command_and_a_wrong_one(ostrack):
    one_line(ostrack(), "expected a command", "train")
    one_line(ostrack("evla"), "unknown command 'evla'", "'eval'")
    one_line(ostrack("data"), "expected a command", "check")
    one_line(ostrack("data", "chek"), "unknown command 'chek'", "'check'")
    one_line(ostrack("convert", "ostrak"), "unknown command 'ostrak'", "'ostrack'")


@pytest.mark.parametrize("words", [name for name in EVERY if name not in ("convert", "data", "report")])
def test_a_wrong_flag_is_one_line(ostrack, words):
    one_line(ostrack(*words.split(), "--no_such_flag=3"), "no_such_flag")


def test_a_wrong_config_names_the_nearest(ostrack, tmp_path):
    train = ("train", "--workdir", str(tmp_path / "run"))
    one_line(ostrack(*train, "--config", "tyni"), "unknown config 'tyni'", "'tiny'")
    one_line(ostrack(*train, "--config", "configs/vitb_256_mae_ce_32x4_ep30.py"), "'vitb_256_mae_ce_32x4_ep300'")
    one_line(ostrack(*train, "--config", "tiny", "--config.train.bacth=3"), "config.train", "'batch'")
    one_line(ostrack(*train, "--config", "tiny", "--config.train.batch=x"), "config.train.batch", "int")
    one_line(ostrack(*train, "--config", "tiny", "--config.data.lasott.dir=x"), "data set", "lasott")
    one_line(ostrack(*train), "--config is required")
    assert not (tmp_path / "run").exists()


def test_missing_files_and_folders_are_named(ostrack, tmp_path):
    missing = str(tmp_path / "missing")
    checkpoint = ("--checkpoint", missing)
    one_line(ostrack("track", missing, "--box", "1,2,3,4", *checkpoint, "--output", str(tmp_path / "o.mp4")), "missing")
    evaluate = ("eval", "--benchmark", "got10k_val", "--output", str(tmp_path / "out"), "--data_dir", missing)
    one_line(ostrack(*evaluate, "--tracker", "still"), "missing")
    output = ("--output", str(tmp_path / "out"))
    one_line(ostrack("convert", "ostrack", missing, "--config", "tiny", *output), "missing")
    one_line(ostrack("convert", "mae", missing, "--config", "tiny", *output), "missing")
    one_line(ostrack("doctor", missing), "missing")
    one_line(ostrack("data", "check", "got10k", missing), "missing")
    one_line(ostrack("data", "check"), "expected NAME [DIR]")
    one_line(ostrack("data", "check", "got10", missing), "unknown reader or benchmark 'got10'", "'got10k'")


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_the_scripts_of_a_checkout_are_the_commands(script, ostrack):
    done = subprocess.run(
        [sys.executable, script, "--config"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr == f"python {script}: error: Missing value for flag --config\n"
