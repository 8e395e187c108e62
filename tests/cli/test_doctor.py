"""`ostrack doctor` as a user runs it: every line, and a status that scripts can use."""

from __future__ import annotations

import pytest

from ostrack_jax.cli.main import main
from ostrack_jax.doctor import machine, reference
from ostrack_jax.doctor.finding import Finding


@pytest.fixture
def idle(monkeypatch):
    """What lies idle beside the CPU: nothing, whatever the machine of this test has."""
    found: list[Finding] = []
    monkeypatch.setattr(machine, "unused_accelerators", lambda root: found)
    return found


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    for reader in ("GOT10K", "OTB", "FOLDER", "SYNTHETIC"):
        monkeypatch.delenv(f"OSTRACK_{reader}_DIR", raising=False)
    (tmp_path / "paths.toml").write_text("")
    monkeypatch.setenv("OSTRACK_PATHS", str(tmp_path / "paths.toml"))


@pytest.fixture
def quick(monkeypatch):
    """Without the forward pass."""
    monkeypatch.setattr(reference, "check_forward", lambda: Finding("ok", "forward pass agrees"))


@pytest.mark.usefixtures("idle", "quick")
def test_a_sound_machine_is_status_0(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ostrack-jax" in out
    assert "memory:" in out
    assert "disk:" in out
    assert "jax computes on cpu" in out.lower()
    assert "forward pass agrees" in out
    assert out.endswith("all is well\n")


@pytest.mark.usefixtures("quick")
def test_an_idle_gpu_is_loud_and_status_1(idle, capsys):
    idle.append(Finding("wrong", "1 NVIDIA GPU (X) in this machine, but jax runs on the CPU", "pip install y"))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "WRONG  1 NVIDIA GPU (X) in this machine, but jax runs on the CPU\n       -> pip install y\n" in out
    assert out.endswith("1 thing is WRONG, see above\n")


@pytest.mark.usefixtures("quick")
def test_folders_come_as_arguments_or_flags(idle, capsys, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert main(["doctor", str(tmp_path / "a"), "--data_dir", str(tmp_path / "b")]) == 1
    out = capsys.readouterr().out
    assert f"no data set in {tmp_path}/a" in out
    assert f"no data set in {tmp_path}/b" in out
    assert "2 things are WRONG" in out
