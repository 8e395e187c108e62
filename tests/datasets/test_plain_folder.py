"""A plain folder of one's own: every way to lay it out, and what is told where it cannot be read."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ostrack_jax.datasets.folder import open_folder
from ostrack_jax.errors import UserError

BOXES = "1,2,3,4\n5 6 7 8\n9\t10\t11\t12\n"


def _pictures(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i + 8}.png"), np.full((8, 8, 3), i, np.uint8))


def _video(path: Path, count: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for i in range(count):
            picture = np.full((16, 32, 3), 50 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _check(sequence) -> None:
    np.testing.assert_array_equal(sequence.boxes_xywh, np.arange(1, 13).reshape(3, 4))
    assert sequence.visible.all()
    levels = [sequence.frames[i].mean() for i in range(len(sequence))]
    assert len(levels) == 3
    assert levels == sorted(levels)  # 8.png, 9.png, 10.png


@pytest.mark.parametrize("name", ["groundtruth.txt", "anything.txt", "mine.txt", "groundtruth_rect.txt", "BOXES.TXT"])
def test_a_folder_of_pictures(tmp_path, name):
    _pictures(tmp_path / "mine")
    (tmp_path / "mine" / name).write_text(BOXES)
    (sequence,) = open_folder(tmp_path / "mine")
    assert sequence.name == "mine"
    _check(sequence)


def test_folders_of_pictures_and_of_videos(tmp_path):
    _pictures(tmp_path / "pics10")
    _pictures(tmp_path / "pics9")
    _video(tmp_path / "video" / "clip.mp4")
    for name in ("pics10", "pics9", "video"):
        (tmp_path / name / "groundtruth.txt").write_text(BOXES)
        (tmp_path / name / "notes.txt").write_text("what one knows of it")
    (tmp_path / "empty").mkdir()
    _pictures(tmp_path / ".hidden")
    sequences = open_folder(tmp_path)
    assert sequences.names == ("pics9", "pics10", "video")
    for sequence in sequences:
        _check(sequence)


def test_videos_beside_their_boxes(tmp_path):
    for name in ("a.mp4", "b.AVI", "deep/c.mkv", "deep/d.mp4"):
        _video(tmp_path / name)
        (tmp_path / name).with_suffix(".txt").write_text(BOXES)
    sequences = open_folder(tmp_path)
    assert sequences.names == ("a", "b", "deep-c", "deep-d")
    for sequence in sequences:
        _check(sequence)


def test_one_video_in_a_folder(tmp_path):
    _video(tmp_path / "clip.mp4")
    (tmp_path / "clip.txt").write_text(BOXES)
    (tmp_path / "other.txt").write_text("hello")
    (sequence,) = open_folder(tmp_path)
    assert sequence.name == "clip"
    _check(sequence)


def test_the_first_box_alone_is_enough(tmp_path):
    _pictures(tmp_path / "mine", 4)
    (tmp_path / "mine" / "groundtruth.txt").write_text("1,2,3,4")
    (sequence,) = open_folder(tmp_path)
    assert sequence.boxes_xywh.shape == (4, 4)
    assert np.isnan(sequence.boxes_xywh[1:]).all()
    assert sequence.visible.tolist() == [True, False, False, False]


def test_flaws_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no sequence in .*: expected pictures or a video"):
        open_folder(tmp_path)
    for name, text in (("none", None), ("short", "1,2,3,4\n" * 2), ("long", "1,2,3,4\n" * 5), ("bad", "a,b\n")):
        _pictures(tmp_path / name)
        if text is not None:
            (tmp_path / name / "groundtruth.txt").write_text(text)
    _pictures(tmp_path / "two")
    (tmp_path / "two" / "x.txt").touch()
    (tmp_path / "two" / "y.txt").touch()
    _video(tmp_path / "alone.mp4")
    _video(tmp_path / "also.mp4")
    sequences = open_folder(tmp_path)
    for name, message in {
        "none": "sequence none: no text file beside",
        "short": "2 boxes for 3 frames: expected one for each, or for the first alone",
        "long": "5 boxes for 3 frames",
        "bad": r"groundtruth.txt line 1",
        "two": r"2 text files \(x.txt, y.txt\)",
        "alone": r"cannot read .*alone.txt: No such file",
    }.items():
        with pytest.raises(UserError, match=message):
            sequences.select([name])[0]


def test_two_sequences_of_one_name_are_told(tmp_path):
    _video(tmp_path / "a.mp4")
    _video(tmp_path / "b.mp4")
    _pictures(tmp_path / "a")
    with pytest.raises(UserError, match=r"two sequences named a in .*: .*a.mp4 and .*a"):
        open_folder(tmp_path)
