"""OTB's layout on tiny folders: separators, several targets, fewer boxes than images, the official ranges."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ostrack_jax.data.readers.otb import open_otb
from ostrack_jax.errors import UserError

BOXES = np.arange(1, 13).reshape(3, 4)


def make_sequence(
    root: Path, name: str, numbers: range | list[int], boxes: np.ndarray = BOXES, file: str = "groundtruth_rect.txt"
) -> None:
    """Image number n is grey of the level n mod 256."""
    (root / name / "img").mkdir(parents=True, exist_ok=True)
    for n in numbers:
        cv2.imwrite(str(root / name / "img" / f"{n:04d}.jpg"), np.full((8, 8, 3), n % 256, np.uint8))
    (root / name / file).write_text("\n".join(",".join(str(v) for v in box) for box in boxes))


def _levels(sequence) -> list[int]:
    return [round(float(sequence.frames[i].mean())) for i in range(len(sequence))]


@pytest.mark.parametrize(("separator", "end"), [(",", "\n"), ("\t", "\n"), (" ", "\r\n"), ("\t", "\r\n")])
def test_any_separator_and_line_end(tmp_path, separator, end):
    make_sequence(tmp_path, "Girl", range(1, 4))
    text = end.join(separator.join(str(v) for v in box) for box in BOXES)
    (tmp_path / "Girl" / "groundtruth_rect.txt").write_bytes(text.encode())
    (sequence,) = open_otb(tmp_path)
    np.testing.assert_array_equal(sequence.boxes_xywh, BOXES)  # as they are: not moved by the pixel they count from
    assert sequence.visible.all()
    assert sequence.name == "Girl"


def test_each_target_is_a_sequence(tmp_path):
    for target in (1, 2):
        make_sequence(tmp_path, "Jogging", range(1, 4), BOXES * target, f"groundtruth_rect.{target}.txt")
    make_sequence(tmp_path, "Human4", range(1, 4), file="groundtruth_rect.2.txt")
    (tmp_path / "Human4" / "groundtruth_rect.1.txt").touch()
    make_sequence(tmp_path, "Basketball", range(1, 4))
    sequences = open_otb(tmp_path)
    assert sequences.names == ("Basketball", "Human4-2", "Jogging-1", "Jogging-2")
    np.testing.assert_array_equal(sequences[3].boxes_xywh, BOXES * 2)
    (tmp_path / "Human4/groundtruth_rect.2.txt").rename(tmp_path / "Human4/groundtruth_rect.txt")  # as re-hosted
    assert "Human4-2" in open_otb(tmp_path, "otb100").names


def test_images_after_the_last_box_are_left_out(tmp_path):
    make_sequence(tmp_path, "Football1", range(1, 8))
    (sequence,) = open_otb(tmp_path)
    assert _levels(sequence) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("David", range(298, 306), [300 - 256, 301 - 256, 302 - 256]),  # the whole download: starts at 300
        ("David", range(300, 303), [300 - 256, 301 - 256, 302 - 256]),  # already cut
        ("David", range(1, 4), [1, 2, 3]),  # already cut and renumbered
        ("BlurCar3", range(1, 9), [3, 4, 5]),
        ("BlurCar1", range(245, 252), [247, 248, 249]),
        ("Couple", range(3, 9), [3, 4, 5]),  # no known range: the first ones
    ],
)
def test_the_official_ranges(tmp_path, name, numbers, expected):
    make_sequence(tmp_path, name, numbers)
    (sequence,) = open_otb(tmp_path)
    assert _levels(sequence) == expected
    assert len(sequence.boxes_xywh) == 3


def test_tiger1_loses_its_first_five_when_whole(tmp_path):
    boxes = np.ones((354, 4), int) * np.arange(1, 355)[:, None]
    make_sequence(tmp_path, "Tiger1", range(1, 355), boxes)
    (sequence,) = open_otb(tmp_path)
    assert len(sequence) == len(sequence.boxes_xywh) == 349
    assert sequence.boxes_xywh[0, 0] == 6
    assert _levels(sequence)[0] == 6


def test_the_hundred_in_their_order(tmp_path, caplog):
    for name in ("Zebra", "Girl", "Biker"):
        make_sequence(tmp_path, name, range(1, 4))
    assert open_otb(tmp_path).names == ("Biker", "Girl", "Zebra")
    assert open_otb(tmp_path, "otb100").names == ("Biker", "Girl")
    assert "2 of the 100 sequences are there" in caplog.text
    with pytest.raises(UserError, match="unknown split of OTB 'otb50': did you mean 'otb100'"):
        open_otb(tmp_path, "otb50")


def test_flaws_are_told(tmp_path):
    make_sequence(tmp_path, "A", range(1, 3))
    make_sequence(tmp_path, "B", range(1, 4), BOXES[:, :3])
    make_sequence(tmp_path, "C", [])
    make_sequence(tmp_path, "D", range(1, 4))
    (tmp_path / "no_boxes" / "img").mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    sequences = open_otb(tmp_path)
    assert sequences.names == ("A", "B", "C", "D")
    for name, message in (("A", "3 boxes for 2 images"), ("B", r"groundtruth_rect.txt line 1"), ("C", "no images")):
        with pytest.raises(UserError, match=message):
            sequences.select([name])[0]
    assert sequences[3].name == "D"


def test_a_link_that_leads_nowhere_is_told_as_a_file_that_cannot_be_read(tmp_path):
    make_sequence(tmp_path, "Girl", range(1, 4))
    (tmp_path / "Girl/groundtruth_rect.1.txt").symlink_to(tmp_path / "gone")
    sequences = open_otb(tmp_path)
    with pytest.raises(UserError, match=r"cannot read .*groundtruth_rect.1.txt: No such file"):
        sequences[sequences.names.index("Girl-1")]
