"""`ostrack data check` as a user runs it."""

from __future__ import annotations

import cv2
import numpy as np

from ostrack_jax.cli.main import main


def got10k(folder, names):
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(str(folder / name / f"{i + 1:08d}.jpg"), np.full((24, 32, 3), 40 * i, np.uint8))
        (folder / name / "groundtruth.txt").write_text("1,2,10,8\n" * 3)
    (folder / "list.txt").write_text("".join(f"{name}\n" for name in names))


def test_a_sound_folder_is_status_0(tmp_path, capsys):
    got10k(tmp_path / "train", ["a", "b"])
    assert main(["data", "check", "got10k", str(tmp_path)]) == 0
    assert f"2 sequences of got10k in {tmp_path}: nothing wrong" in capsys.readouterr().out


def test_every_flaw_is_told_and_status_1(tmp_path, capsys):
    got10k(tmp_path / "train", ["a", "b", "c"])
    (tmp_path / "train/a/groundtruth.txt").unlink()
    (tmp_path / "train/c/00000003.jpg").write_bytes(b"no picture")
    assert main(["data", "check", "got10k", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "WRONG  a: cannot read" in out
    assert "WRONG  c: cannot read the picture" in out
    assert "2 wrong" in out
