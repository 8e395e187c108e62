"""Boxes of another form are called what they are; sound ones never are."""

from __future__ import annotations

import numpy as np
import pytest

from ostrack_jax.config import DataConfig
from ostrack_jax.data import box_forms as forms
from ostrack_jax.data.annotations import valid
from ostrack_jax.data.readers.boxes_only import open_boxes_only
from ostrack_jax.data.readers.registry import open_dataset

SIZE = (320, 240)
SCALE = np.array([*SIZE, *SIZE], np.float64)
ABSENT = [[0.0, 0, 0, 0], [np.nan] * 4]


def moving(start, step=(4.0, 2, 0, 0), count=20):
    """A target that moves by ``step`` a frame, absent in the last two."""
    return np.concatenate([np.array(start) + np.arange(count)[:, None] * np.array(step), ABSENT])


def corners(boxes):
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def centres(boxes):
    return np.hstack([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]])


SOUND = {
    "small": moving((150, 100, 12, 15)),
    "tiny": moving((150, 100, 3, 0.8)),
    "large": moving((0, 0, 240, 200)),
    "in the corner": moving((1, 1, 60, 50), (0.5, 0.5, 0.4, 0.3)),
    "nearer": moving((30, 20, 40, 40), (-1, -1, 8, 8)),
    "out on the right": moving((270, 150, 40, 40), (2, 2, 0, 0)),
    "out on the left": moving((10, 150, 40, 40), (-2, 0, 0, 0)),
    "whole frame": moving((0, 0, 320, 240), (0, 0, 0, 0)),
    "one box": np.array([[200.0, 150, 40, 40]]),
    "marks of absence": np.array([[20.0, 20, 40, 40]] + [[1, 1, 1, 1]] * 5),
    "never there": np.array(ABSENT),
}


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("size", [SIZE, None])
def test_sound_boxes_are_silent(name, size):
    assert forms.find_oddity(SOUND[name], size) is None


FRACTIONS_AND_CORNERS = "are fractions of the frame, 0 to 1, and corners x1,y1,x2,y2"
ODD = {
    "fractions": (moving((100, 60, 40, 30)) / SCALE, forms.FRACTIONS.text),
    "one of fractions": (np.array([[0.19, 0.33, 0.25, 0.25]]), forms.FRACTIONS.text),
    "corners": (corners(moving((180, 130, 40, 30))), forms.CORNERS.text),
    "corners left and above": (corners(moving((10, 10, 40, 30))), forms.CORNERS.text),
    "one of corners": (np.array([[20.0, 150, 60, 238]]), forms.CORNERS.text),
    "corners or centres": (np.array([[200.0, 130, 240, 160]]), forms.EITHER.text),
    "corners as fractions": (corners(moving((180, 130, 40, 30))) / SCALE, FRACTIONS_AND_CORNERS),
    "centres": (centres(moving((220, 60, 90, 60), (0, 1, 0, 0))), forms.CENTRES.text),
    "pixels and fractions": (moving((100, 60, 40, 30)) / [1, 1, *SIZE], forms.TINY.text),
    "a larger picture": (moving((300, 60, 80, 30)), forms.FAR_OUT.text),
    "first right of it": (np.array([[330.0, 20, 30, 30], [280, 20, 30, 30]]), forms.FIRST_OUTSIDE.text),
    "first above it": (np.array([[30.0, -40, 30, 30], [30, 20, 30, 30], [30, 30, 30, 30]]), forms.FIRST_OUTSIDE.text),
}


@pytest.mark.parametrize("name", ODD)
def test_boxes_of_another_form_are_called_what_they_are(name):
    boxes, text = ODD[name]
    oddity = forms.find_oddity(boxes, SIZE)
    assert oddity is not None
    assert oddity.text == text


def test_some_forms_are_seen_without_the_frames_size():
    for name in ("fractions", "corners", "corners left and above", "corners as fractions", "pixels and fractions"):
        oddity = forms.find_oddity(ODD[name][0], None)
        assert oddity is not None
        assert oddity.text == ODD[name][1]


TRUE = np.array([150.0, 100, 40.5, 30])


@pytest.mark.parametrize(
    ("first", "oddity"),
    [
        (TRUE, None),
        (np.round(TRUE), None),
        (TRUE + np.array([3, 2, 1, 0]), None),
        (TRUE + np.array([1, 1, 1, 1]), None),  # an answer, no copy
        (TRUE + np.array([1, 1, 0, 0]), forms.SHIFTED),
        (TRUE - np.array([1, 1, 0, 0]), forms.SHIFTED),
        (np.round(corners(TRUE[None])[0]), forms.CORNERS),
        (centres(TRUE[None])[0], forms.CENTRES),
        (TRUE / SCALE, forms.FRACTIONS),
        (TRUE * 2, forms.ELSEWHERE),
        (np.array([10.0, 10, 40, 30]), forms.ELSEWHERE),
        (np.full(4, np.nan), None),
    ],
)
def test_results_are_judged_by_the_true_box(first, oddity):
    assert forms.find_oddity_of_result(first, TRUE, SIZE) == oddity
    assert forms.find_oddity_of_result(first, TRUE, None) == oddity
    assert forms.find_oddity_of_result(first, np.full(4, np.nan), SIZE) is None


def test_results_of_two_other_forms_at_once():
    oddity = forms.find_oddity_of_result(corners(TRUE[None])[0] / SCALE, TRUE, SIZE)
    assert oddity is not None
    assert oddity.text == FRACTIONS_AND_CORNERS


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "folder", "part"),
    [
        ("got10k", "got10k", "train"),
        ("got10k", "got10k", "val"),
        ("got10k", "train_more/got10k_more", "train"),
        ("otb", "otb", "test"),
        ("coco", "coco", "train"),
    ],
)
def test_real_boxes_are_silent_and_found_in_other_forms(shared_data, reader, folder, part):
    sequences = open_dataset(DataConfig(reader=reader, dir=str(shared_data / folder), part=part))
    as_corners = 0
    for sequence in sequences:
        boxes, size = np.float64(sequence.boxes_xywh), sequence.size_wh or sequence.frames[0].shape[1::-1]
        assert forms.find_oddity(boxes, size) is None, sequence.name
        assert forms.find_oddity(boxes, None) is None, sequence.name
        oddity = forms.find_oddity(boxes / np.tile(size, 2), size)
        assert oddity is not None, sequence.name
        assert oddity.text.startswith(forms.FRACTIONS.text), sequence.name
        as_corners += forms.find_oddity(corners(boxes), size) in (forms.CORNERS, forms.EITHER)
    assert as_corners > 0.5 * len(sequences)  # of the others the sizes alone leave a doubt


@pytest.mark.data
@pytest.mark.slow
def test_published_results_are_silent(shared_data):
    folder = shared_data.parent / "results/otb100"
    if not folder.is_dir():
        pytest.skip(f"no published results at {folder}")
    for sequence in open_boxes_only(folder / "groundtruth"):
        assert forms.find_oddity(sequence.boxes_xywh, None) is None, sequence.name
        assert valid(sequence.boxes_xywh).any()
