"""The readers on real folders, where they lie beside the checkout."""

from __future__ import annotations

import numpy as np
import pytest

from ostrack_jax.config import DataConfig
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.errors import UserError

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("part", "sequences", "frames"), [("train", 53, 1892), ("val", 14, 923)])
def test_got10k(shared_data, part, sequences, frames):
    found = open_dataset(DataConfig(dir=str(shared_data / "got10k"), part=part))
    assert len(found) == sequences
    assert sum(len(sequence) for sequence in found) == frames
    for sequence in found:
        assert sequence.cover is not None
        assert sequence.size_wh is not None
        image = sequence.frames[len(sequence) - 1]
        assert image.shape[1::-1] == sequence.size_wh
        assert sequence.visible.any()
        assert (sequence.boxes_xywh[sequence.visible, 2:] > 0).all()
        if part == "val":
            assert sequence.visible.all()


def test_got10k_published_split_does_not_fit(shared_data):
    with pytest.raises(UserError, match=r"up to 9334, but .* has 53: split=all"):
        open_dataset(DataConfig(dir=str(shared_data / "got10k" / "train"), split="train_full"))


def test_otb(shared_data):
    found = open_dataset(DataConfig(reader="otb", dir=str(shared_data / "otb")))
    lengths = {sequence.name: len(sequence) for sequence in found}
    assert lengths == {"Crossing": 120, "Football1": 74, "Girl": 100, "Jogging-1": 40, "Jogging-2": 40}
    np.testing.assert_array_equal(found.select(["Girl"])[0].boxes_xywh[0], [57, 21, 31, 45])
    for sequence in found:
        image = sequence.frames[len(sequence) - 1]
        assert (sequence.boxes_xywh[-1, :2] < image.shape[1::-1]).all()
        assert sequence.visible.all()


def test_a_got10k_sequence_is_a_plain_folder_too(shared_data):
    (sequence,) = open_dataset(DataConfig(reader="folder", dir=str(shared_data / "got10k" / "val" / "Coke")))
    (same,) = open_dataset(DataConfig(dir=str(shared_data / "got10k"), part="val")).select(["Coke"])
    np.testing.assert_array_equal(sequence.boxes_xywh, same.boxes_xywh)
    np.testing.assert_array_equal(sequence.frames[3], same.frames[3])
