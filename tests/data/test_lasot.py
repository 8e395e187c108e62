"""LaSOT in both layouts: parts, splits, labels and flaws."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ostrack_jax.config import DataConfig
from ostrack_jax.data.readers.lasot import open_lasot
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.benchmarks import find
from ostrack_jax.evaluation.report import notes
from tests import layouts


@pytest.mark.parametrize("flat", [False, True])
def test_parts_and_lists_in_both_layouts(tmp_path, flat):
    layouts.lasot(tmp_path, ("cat-10", "cat-4", "cat-1", "dog-2", "mine-3"), flat=flat)
    (tmp_path / "notes.txt").write_text("no sequence")
    assert open_lasot(tmp_path).names == ("cat-4", "cat-10", "dog-2", "mine-3")
    assert open_lasot(tmp_path, part="test").names == ("cat-1",)
    whole = open_dataset(DataConfig(reader="lasot", dir=str(tmp_path), split="train"))
    assert len(whole) == 1120
    assert len(open_lasot(tmp_path, split="test")) == 280
    sequence = whole.select(["cat-4"])[0]
    assert (len(sequence), sequence.name, sequence.flaws, sequence.missing) == (3, "cat-4", (), ())
    np.testing.assert_array_equal(sequence.boxes_xywh, [[1, 2, 10, 8]] * 3)
    assert sequence.frames[2].mean() == pytest.approx(80, abs=2)
    with pytest.raises(UserError, match=r"sequence cat-11 in .*: expected CLASS/cat-11 or cat-11"):
        whole.select(["cat-11"])[0]


def test_a_test_part_that_is_not_whole_is_told(tmp_path, caplog):
    open_lasot(layouts.lasot(tmp_path), part="test")
    assert "1 of the 280 sequences are there" in caplog.text


def test_visible_is_what_neither_label_hides(tmp_path):
    folder = layouts.lasot(tmp_path, ("cat-4",), count=5) / "cat/cat-4"
    (folder / "full_occlusion.txt").write_text("0,1,0,0,0")
    (folder / "out_of_view.txt").write_text("0,0,1,0,0\n")
    (folder / "groundtruth.txt").write_text("1,2,3,4\n" * 3 + "0,0,0,0\n1,2,3,4\n")
    sequence = open_lasot(tmp_path)[0]
    assert sequence.visible.tolist() == [True, False, False, False, True]
    assert sequence.present is not None
    assert sequence.present.tolist() == [True, False, False, True, True]
    assert sequence.category == "cat"


def test_flaws_of_the_real_data_are_survived(tmp_path, caplog):
    """Missing labels, counts that differ, boxes that are none."""
    folder = layouts.lasot(tmp_path, ("cat-4",), count=6) / "cat/cat-4"
    (folder / "out_of_view.txt").unlink()
    (folder / "full_occlusion.txt").write_text("0,1,0,0,0,0,0,0")
    (folder / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4\nNaN,NaN,NaN,NaN\n5,5,0,4\n5,5,9,-11\n")
    sequences = open_lasot(tmp_path)
    sequence = sequences[0]
    assert (len(sequence), len(sequence.frames), len(sequence.boxes_xywh)) == (5, 5, 5)
    assert sequence.visible.tolist() == [True, False, False, False, False]
    assert sequence.missing == ("out_of_view.txt",)
    (flaw,) = sequence.flaws
    assert "(6 images, 5 groundtruth.txt, 8 full_occlusion.txt): the first 5 are used" in flaw
    sequences[0]
    assert len(caplog.records) == 1


def test_what_cannot_be_read_is_told_when_asked_for(tmp_path):
    layouts.lasot(tmp_path, ("cat-4", "cat-5", "cat-6", "cat-7"))
    (tmp_path / "cat/cat-4/groundtruth.txt").unlink()
    shutil.rmtree(tmp_path / "cat/cat-5/img")
    (tmp_path / "cat/cat-6/full_occlusion.txt").write_text("0,x,0")
    sequences = open_lasot(tmp_path)
    for index, message in ((0, "cannot read .*groundtruth.txt"), (1, "cannot list .*img"), (2, "occlusion.txt line 1")):
        with pytest.raises(UserError, match=message):
            sequences[index]
    assert len(sequences[3]) == 3


def test_a_wrong_split_is_told(tmp_path):
    with pytest.raises(UserError, match="unknown published list 'lasot_tran': did you mean 'lasot_train'"):
        open_lasot(tmp_path, split="tran")


@pytest.mark.data
def test_the_real_sequence(shared_data):
    (sequence,) = open_lasot(shared_data / "lasot", part="test")
    assert (sequence.name, len(sequence), int(sequence.visible.sum())) == ("airplane-1", 60, 60)
    np.testing.assert_array_equal(sequence.boxes_xywh[:2], [[367, 101, 41, 16], [366, 103, 45, 16]])
    assert sequence.flaws == sequence.missing == ()
    assert sequence.frames[59].ndim == 3


def test_an_image_that_is_missing_between_others_is_an_error(tmp_path):
    folder = layouts.lasot(tmp_path, ("cat-1",), count=4) / "cat/cat-1"
    (folder / "img/00000004.jpg").unlink()
    (cut,) = open_lasot(tmp_path, "test")
    assert "(3 images, 4 groundtruth.txt" in cut.flaws[0]
    (note,) = [
        line for line in notes(find("lasot"), [find("lasot").prediction(cut, cut.boxes_xywh)]) if "cat-1" in line
    ]
    assert note.startswith("sequences that are not complete, scored on the frames that are there: 1 (cat-1)")
    (folder / "img/00000002.jpg").unlink()
    with pytest.raises(UserError, match=r"no image 2 in .*cat-1/img \(2 images, 4 lines in groundtruth.txt\)"):
        open_lasot(tmp_path, "test")[0]
    (folder / "groundtruth.txt").write_text(layouts.BOX * 2)  # a gap of the video's own
    assert len(open_lasot(tmp_path, "test")[0]) == 2


def test_sequences_that_are_not_there_are_named(tmp_path, caplog):
    open_lasot(layouts.lasot(tmp_path, ("airplane-1", "airplane-13")), "test")
    assert "2 of the 280 sequences are there, not airplane-9, airplane-15, basketball-1, " in caplog.text
