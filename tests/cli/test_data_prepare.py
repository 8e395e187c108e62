"""`ostrack data prepare`: says what it wrote; mistakes end in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import layouts

sys.path.append(str(Path(__file__).parents[1] / "datasets"))
from ostrack_jax.cli.main import main
from tests.data.test_packed import make_got10k, opened


def test_it_writes_and_tells(tmp_path, capsys):
    make_got10k(tmp_path / "got10k", 3, (640, 480), (400, 330, 24, 18))
    words = ["data", "prepare", "got10k", str(tmp_path / "got10k"), "--output"]
    assert main([*words, str(tmp_path / "whole"), "--per_file=4"]) == 0
    out = capsys.readouterr().out
    assert "3 sequences, 9 images (0 unreadable)" in out
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


@pytest.mark.parametrize("way", ["shown", "stored"])
@pytest.mark.parametrize("crop", [False, True])
def test_packed_photos_and_16_bit_images_are_read_as_those_of_the_folder(tmp_path, way, crop):
    """Bytes as stored, or cut: the pixels that the boxes count, and one range of values for a sequence."""
    draw = np.random.default_rng(0)
    for name in ("photos", "thermal"):
        (tmp_path / "own" / name).mkdir(parents=True)
        (tmp_path / "own" / name / "boxes.txt").write_text("20,30,16,16\n" * 3)
    for i in range(3):
        image = cv2.resize(draw.integers(0, 256, (12, 16, 3), np.uint8), (320, 240))
        (tmp_path / "own/photos" / f"{i}.jpg").write_bytes(layouts.tagged("jpg", 6, image))
        counts = np.full((240, 320), 7500 + 100 * i, np.uint16)  # a range of its own would be another
        counts[30:60, 20:40] += 50
        cv2.imwrite(str(tmp_path / "own/thermal" / f"{i}.png"), counts)
    words = ["--output", str(tmp_path / "packed"), "--orientation", way, *(["--crop", "tiny"] if crop else [])]
    assert main(["data", "prepare", "folder", str(tmp_path / "own"), *words]) == 0
    packed = opened(tmp_path / "packed", "folder")
    sequences = opened(tmp_path / "own", "folder", options={"orientation": way})
    for ours, theirs in zip(packed, sequences, strict=True):
        offset = (theirs.boxes_xywh[0] - ours.boxes_xywh[0]).astype(int)[:2]
        for i in range(3):
            height, width = ours.frames[i].shape[:2]
            cut = theirs.frames[i][offset[1] : offset[1] + height, offset[0] : offset[0] + width]
            tolerance = 12 if crop and ours.name == "photos" else 0  # a JPEG encoded again
            np.testing.assert_allclose(ours.frames[i], cut, atol=tolerance)
    assert (packed[0].frames[0].shape[0] > packed[0].frames[0].shape[1]) == (way == "shown") or crop
    assert packed[0].frames[0].size < sequences[0].frames[0].size or not crop
