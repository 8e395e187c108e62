"""TrackingNet: chunks, their choice, flaws."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ostrack_jax.config import DataConfig
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.data.readers.trackingnet import open_trackingnet, parse_chunks
from ostrack_jax.errors import UserError
from tests import layouts


@pytest.fixture
def folder(tmp_path):
    for chunk in ("TRAIN_0", "TRAIN_2", "TRAIN_11", "TEST"):
        layouts.trackingnet(tmp_path, chunk, tuple(f"{chunk}v_{i}" for i in (2, 10)), count=12)
    return tmp_path


def test_chunks_are_chosen(folder):
    names = open_trackingnet(folder).names
    assert names == ("TRAIN_0v_2", "TRAIN_0v_10", "TRAIN_2v_2", "TRAIN_2v_10", "TRAIN_11v_2", "TRAIN_11v_10")
    assert open_dataset(DataConfig(reader="trackingnet", dir=str(folder), split="2,11")).names == names[2:]
    assert open_trackingnet(folder / "TRAIN_2").names == names[2:4]
    with pytest.raises(UserError, match=r"no TRAIN_1/anno .* split=0-3 asks for; there are TRAIN_0, TRAIN_2, TRAIN_11"):
        open_trackingnet(folder, split="0-3")
    with pytest.raises(UserError, match="test part has one chunk"):
        open_trackingnet(folder, part="test", split="0")


@pytest.mark.parametrize(("split", "chunks"), [("0-3", [0, 1, 2, 3]), ("0, 4,7-9", [0, 4, 7, 8, 9]), ("11,11", [11])])
def test_choices_are_read(split, chunks):
    assert parse_chunks(split) == chunks


@pytest.mark.parametrize("split", ["", "12", "3-1", "a", "0-", "-1", "0;3", "99999999999"])
def test_other_choices_are_told(split):
    with pytest.raises(UserError, match=r"unknown split of TrackingNet .*: expected all, or of 0 to 11 some"):
        parse_chunks(split)


def test_images_are_in_the_order_of_their_numbers(folder):
    sequence = open_trackingnet(folder)[1]
    assert (len(sequence), sequence.visible.all(), sequence.missing) == (12, True, ())
    assert sequence.frames[2].mean() == pytest.approx(80, abs=2)
    assert sequence.frames[6].mean() == pytest.approx(240, abs=2)


def test_the_test_part_has_the_first_box_alone(folder):
    sequence = open_trackingnet(folder, part="test")[0]
    np.testing.assert_array_equal(sequence.boxes_xywh[0], [1, 2, 10, 8])
    assert np.isnan(sequence.boxes_xywh[1:]).all()
    assert sequence.visible.tolist() == [True] + [False] * 11


def test_flaws_are_survived(folder):
    (folder / "TRAIN_0/anno/TRAIN_0v_2.txt").write_text("1,2,3,4\n1,2,-3,4\nnan,1,1,1\n" + "1,2,3,4\n" * 17)
    shutil.rmtree(folder / "TRAIN_0/frames/TRAIN_0v_10")
    (folder / "TRAIN_0/anno/notes.md").touch()
    sequences = open_trackingnet(folder, split="0")
    sequence = sequences[0]
    assert sequence.visible.tolist() == [True, False, False, *[True] * 9]
    assert "(12 images, 20 TRAIN_0v_2.txt): the first 12 are used" in sequence.flaws[0]
    with pytest.raises(UserError, match=r"cannot list .*TRAIN_0v_10"):
        sequences[1]


def test_a_sequence_in_two_chunks_is_told(tmp_path):
    layouts.trackingnet(tmp_path, "TRAIN_1", ("a_0",))
    layouts.trackingnet(tmp_path, "TRAIN_3", ("a_0",))
    with pytest.raises(UserError, match="two sequences named a_0 in"):
        open_trackingnet(tmp_path)
