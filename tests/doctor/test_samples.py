"""Sheets of drawn samples: every frame there, boxes where they belong."""

from __future__ import annotations

import numpy as np

from ostrack_jax.data.frames import ArrayFrames
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.doctor.samples import draw_sheet, write_samples


def sequence(name: str, count: int = 2, hidden: bool = False) -> Sequence:
    images = np.zeros((count, 240, 480, 3), np.uint8)
    boxes = np.tile(np.array([200.0, 100, 60, 40]), (count, 1))
    return Sequence(name, ArrayFrames(images), boxes, np.full(count, not hidden))


def test_a_box_is_drawn_at_its_place():
    sheet = draw_sheet(sequence("a"))
    assert sheet.shape == (240, 960, 3)
    for left in (0, 480):
        inside = sheet[100 : 100 + 41, left + 200 : left + 261]
        assert (inside[[0, -1]] == (60, 170, 255)).all()  # top and bottom edge, in blue
        assert not inside[6:-6, 6:-6].any()
    assert not sheet[150:, :].any()


def test_what_is_not_visible_is_grey():
    sheet = draw_sheet(sequence("a", 1, hidden=True))
    assert (sheet[100, 210:250] == 170).all()


def test_long_sequences_show_six_frames():
    assert draw_sheet(sequence("a", 50)).shape == (480, 1440, 3)


def test_names_cannot_lead_elsewhere(tmp_path):
    names = ("../../x/y", "b" * 200)
    written = write_samples(LazySequences(dict.fromkeys(names), lambda name, _: sequence(name)), tmp_path / "out")
    assert len(written) == 2
    assert {path.parent for path in written} == {tmp_path / "out"}
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
