"""ImageNet VID: tracklets and their gaps, from an index that is made once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ostrack_jax.config import DataConfig
from ostrack_jax.data.readers import vid
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.data.readers.vid import open_vid, read_targets
from ostrack_jax.errors import UserError
from tests import layouts

A, B, HIDDEN = (1, 2, 11, 10, 0), (5, 5, 9, 8, 0), (2, 2, 12, 10, 1)
FRAMES = [{"0": A}, {"0": HIDDEN, "1": B}, {"0": A}, {"1": B}, {"0": A, "1": B}, {}]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))


def test_a_tracklet_ends_at_its_first_gap(tmp_path):
    first, second = open_dataset(DataConfig(reader="vid", dir=str(layouts.vid(tmp_path, FRAMES))))
    assert (first.name, len(first), first.visible.tolist()) == ("s_000-0", 3, [True, False, True])
    np.testing.assert_array_equal(first.boxes_xywh, [[1, 2, 10, 8], [2, 2, 10, 8], [1, 2, 10, 8]])
    assert (second.name, len(second), second.visible.tolist()) == ("s_000-1", 1, [True])
    assert second.frames[0].mean() == pytest.approx(40, abs=2)  # it begins in frame 1
    assert first.size_wh == second.size_wh == (32, 24)


def test_the_archives_own_folder_is_as_good(tmp_path):
    layouts.vid(tmp_path / "ILSVRC2015", FRAMES)
    assert open_vid(tmp_path).names == ("s_000-0", "s_000-1")


def test_it_is_indexed_once_and_again_when_a_folder_changes(tmp_path, monkeypatch):
    root = layouts.vid(tmp_path / "set", FRAMES)
    read, made = vid.read_tracklets, []
    monkeypatch.setattr(vid, "read_tracklets", lambda *args: made.append(args) or read(*args))
    for _ in range(2):
        again = pickle.loads(pickle.dumps(open_vid(root)))
        np.testing.assert_array_equal(again[0].boxes_xywh[1], [2, 2, 10, 8])
    assert len(made) == 1
    layouts.vid(root, FRAMES[:1], "g/s_001")
    assert open_vid(root).names == ("s_000-0", "s_000-1", "s_001-0")
    assert len(made) == 2


def test_missing_images_and_broken_annotations_are_survived(tmp_path, caplog):
    root = layouts.vid(tmp_path, FRAMES)
    (root / "Data/VID/train/g/s_000/000001.JPEG").unlink()
    layouts.vid(root, [{"0": A}] * 4, "g/s_001")
    (root / "Annotations/VID/train/g/s_001/000002.xml").write_text("<annotation><object>")
    sequences = open_vid(root)
    assert "1 annotations cannot be read" in caplog.text
    assert len(sequences[0]) == 1
    assert "no image 1 in" in sequences[0].flaws[0]
    with pytest.raises(UserError, match=r"sequence s_000-1: no image 1 in .*where its annotation begins"):
        sequences[1]
    assert len(sequences[2]) == 2  # the unreadable frame is a gap
    assert "g/s_001/000002.xml cannot be read" in sequences[2].flaws[0]


def test_snippets_of_one_name_are_told(tmp_path):
    layouts.vid(tmp_path, FRAMES, "g/s")
    layouts.vid(tmp_path, FRAMES, "h/s")
    with pytest.raises(UserError, match="two sequences named s-0 in"):
        open_vid(tmp_path)


def test_boxes_of_one_frame(tmp_path):
    path = tmp_path / "0.xml"
    path.write_text(layouts.vid_xml({"3": (1, 2, 4, 8, 1), "x": B}))
    assert read_targets(path) == ((32, 24), [("3", (1, 2, 3, 6), True), ("x", (5, 5, 4, 3), False)])


GOOD = layouts.vid_xml({"0": A})
BOMB = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no element found"),
        (GOOD[:-5], "unclosed token"),
        (GOOD.replace("<xmin>1</xmin>", ""), "xmin"),
        (GOOD.replace("<xmin>1", "<xmin>one"), "could not convert"),
        (GOOD.replace("<width>32</width>", ""), "width"),
        (BOMB + GOOD.replace(">0<", ">&b;<", 1), "a document type"),
        (FILE + GOOD.replace(">0<", ">&a;<", 1), "a document type"),
    ],
)
def test_files_of_another_kind_are_told(tmp_path, text, message):
    path = tmp_path / "0.xml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"0.xml does not hold a frame of ImageNet VID: .*{message}"):
        read_targets(path)
    with pytest.raises(UserError, match="cannot read"):
        read_targets(tmp_path / "1.xml")
