"""`ostrack data prepare`: says what it wrote; mistakes end in one line."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "datasets"))
from test_packed import make_got10k, opened

from ostrack_jax.cli.main import main


def test_it_writes_and_tells(tmp_path, capsys):
    make_got10k(tmp_path / "got10k", 3, (640, 480), (400, 330, 24, 18))
    words = ["data", "prepare", "got10k", str(tmp_path / "got10k"), "--output"]
    assert main([*words, str(tmp_path / "whole"), "--per_file=4"]) == 0
    out = capsys.readouterr().out
    assert "3 sequences, 9 pictures (0 unreadable)" in out
    assert f"--config.data.got10k.dir={tmp_path / 'whole'}" in out
    assert len(opened(tmp_path / "whole")) == 3
    assert main([*words, str(tmp_path / "cut"), "--crop=vitb_256_mae_ce_32x4_ep300"]) == 0
    assert "% less than the" in capsys.readouterr().out
    assert main([*words, str(tmp_path / "cut")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_mistakes_end_in_one_line(tmp_path, capsys):
    assert main(["data", "prepare", "got10k", str(tmp_path / "no"), "--output", str(tmp_path / "x")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
