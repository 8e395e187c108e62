"""A plain folder of one's own: every way to lay it out, and what is told where it cannot be read."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ostrack_jax.data.frames import IMAGES
from ostrack_jax.data.readers.folder import open_folder
from ostrack_jax.errors import UserError
from tests import layouts

BOXES = "1,2,3,4\n5 6 7 8\n9\t10\t11\t12\n"


def _images(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i + 8}.png"), np.full((8, 8, 3), i, np.uint8))


def _video(path: Path, count: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for i in range(count):
            image = np.full((16, 32, 3), 50 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _check(sequence) -> None:
    np.testing.assert_array_equal(sequence.boxes_xywh, np.arange(1, 13).reshape(3, 4))
    assert sequence.visible.all()
    levels = [sequence.frames[i].mean() for i in range(len(sequence))]
    assert len(levels) == 3
    assert levels == sorted(levels)  # 8.png, 9.png, 10.png


@pytest.mark.parametrize("name", ["groundtruth.txt", "anything.txt", "mine.txt", "groundtruth_rect.txt", "BOXES.TXT"])
def test_a_folder_of_images(tmp_path, name):
    _images(tmp_path / "mine")
    (tmp_path / "mine" / name).write_text(BOXES)
    (sequence,) = open_folder(tmp_path / "mine")
    assert sequence.name == "mine"
    _check(sequence)


def test_folders_of_images_and_of_videos(tmp_path):
    _images(tmp_path / "pics10")
    _images(tmp_path / "pics9")
    _video(tmp_path / "video" / "clip.mp4")
    for name in ("pics10", "pics9", "video"):
        (tmp_path / name / "groundtruth.txt").write_text(BOXES)
        (tmp_path / name / "notes.txt").write_text("what one knows of it")
    (tmp_path / "empty").mkdir()
    _images(tmp_path / ".hidden")
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
    _images(tmp_path / "mine", 4)
    (tmp_path / "mine" / "groundtruth.txt").write_text("1,2,3,4")
    (sequence,) = open_folder(tmp_path)
    assert sequence.boxes_xywh.shape == (4, 4)
    assert np.isnan(sequence.boxes_xywh[1:]).all()
    assert sequence.visible.tolist() == [True, False, False, False]


def test_flaws_are_told(tmp_path):
    for name, text in (("none", None), ("short", "1,2,3,4\n" * 2), ("long", "1,2,3,4\n" * 5), ("bad", "a,b\n")):
        _images(tmp_path / name)
        if text is not None:
            (tmp_path / name / "groundtruth.txt").write_text(text)
    _images(tmp_path / "two")
    (tmp_path / "two" / "x.txt").touch()
    (tmp_path / "two" / "y.txt").touch()
    _video(tmp_path / "alone.mp4")
    _video(tmp_path / "also.mp4")
    sequences = open_folder(tmp_path)
    for name, message in {
        "none": "sequence none: no text file next to",
        "short": "2 boxes for 3 frames: expected one for each, or for the first",
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
    _images(tmp_path / "a")
    with pytest.raises(UserError, match=r"two sequences named a in .*: expected each name once"):
        open_folder(tmp_path)


def _texts(*paths: Path) -> None:
    for path in paths:
        path.write_text(BOXES)


def test_images_in_a_directory_of_their_own_and_deeper_levels(tmp_path):
    _images(tmp_path / "a" / "img")
    _images(tmp_path / "a" / "masks", 5)
    _images(tmp_path / "day 1" / "b" / "whatever")
    _images(tmp_path / "day 1" / "c")
    _video(tmp_path / "day 1" / "d" / "clip.mkv")
    _texts(*(tmp_path / name / "groundtruth.txt" for name in ("a", "day 1/b", "day 1/c", "day 1/d")))
    sequences = open_folder(tmp_path)
    assert sequences.names == ("a", "day 1-b", "day 1-c", "day 1-d")
    for sequence in sequences:
        _check(sequence)
    assert open_folder(tmp_path / "a").names == ("a",)
    _check(open_folder(tmp_path / "a")[0])


def test_a_preview_next_to_a_video_is_named_and_not_read(tmp_path, caplog):
    _video(tmp_path / "a" / "clip.mp4")
    for name in ("thumbnail.jpg", "cover_640.png"):
        cv2.imwrite(str(tmp_path / "a" / name), np.zeros((8, 8, 3), np.uint8))
    _video(tmp_path / "phone" / "IMG_1.MOV")
    _video(tmp_path / "phone" / "IMG_2.MOV")
    for name in ("IMG_1.JPG", "IMG_2.JPG"):
        cv2.imwrite(str(tmp_path / "phone" / name), np.zeros((8, 8, 3), np.uint8))
    _texts(tmp_path / "a" / "clip.txt", tmp_path / "phone" / "IMG_1.txt", tmp_path / "phone" / "IMG_2.txt")
    sequences = open_folder(tmp_path)
    assert sequences.names == ("a", "phone-IMG_1", "phone-IMG_2")
    for sequence in sequences:
        _check(sequence)
    assert f"skipped in {tmp_path / 'a'}: cover_640.png, thumbnail.jpg (images next to a video)" in caplog.messages
    assert f"skipped in {tmp_path / 'phone'}: IMG_1.JPG, IMG_2.JPG (images next to a video)" in caplog.messages


def test_a_preview_and_a_video_next_to_numbered_images(tmp_path, caplog):
    _images(tmp_path / "a")
    cv2.imwrite(str(tmp_path / "a" / "overview.jpg"), np.zeros((9, 9, 3), np.uint8))
    _video(tmp_path / "a" / "made_of_them.mp4")
    (tmp_path / "a" / "1.HEIC").touch()
    _texts(tmp_path / "a" / "groundtruth.txt")
    (sequence,) = open_folder(tmp_path)
    _check(sequence)
    skipped = f"skipped in {tmp_path / 'a'}: "
    assert caplog.messages == [
        f"{skipped}overview.jpg (not named as the frames are)",
        f"{skipped}made_of_them.mp4 (next to numbered images)",
        f"{skipped}1.HEIC (formats that are not read here: convert them to PNG or MP4)",
    ]


def test_masks_are_named_and_boxes_without_frames_are_a_sequence_that_fails(tmp_path, caplog):
    _images(tmp_path / "a")
    _images(tmp_path / "a" / "masks")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.heic").touch()
    _texts(tmp_path / "a" / "groundtruth.txt", tmp_path / "b" / "groundtruth.txt")
    sequences = open_folder(tmp_path)
    assert sequences.names == ("a", "b")
    assert f"skipped: {tmp_path / 'a/masks'} (no text file of boxes next to it)" in caplog.messages
    _check(sequences[0])
    with pytest.raises(UserError, match=r"no images in .*b: \.heic files are not read here: convert them to PNG"):
        sequences[1]


def test_two_images_of_one_name_are_told(tmp_path):
    _images(tmp_path / "a")
    cv2.imwrite(str(tmp_path / "a" / "9.jpg"), np.zeros((8, 8, 3), np.uint8))
    _texts(tmp_path / "a" / "groundtruth.txt")
    with pytest.raises(UserError, match=r"a holds 9\.jpg, 9\.png: expected one image of a name"):
        open_folder(tmp_path)[0]


@pytest.mark.parametrize("kind", [kind for kind in IMAGES if cv2.haveImageWriter(f"a{kind}")])
def test_every_listed_format_that_opencv_writes_is_read(tmp_path, kind):
    for i in range(3):
        image = np.full((64, 64), 100 * i, np.uint8)
        if kind == ".ppm":
            image = np.repeat(image[..., None], 3, 2)
        assert cv2.imwrite(str(tmp_path / f"{i}{kind}"), image)
    (tmp_path / "groundtruth.txt").write_text(BOXES)
    (sequence,) = open_folder(tmp_path)
    _check(sequence)


def test_boxes_count_the_pixels_that_are_shown_unless_asked_otherwise(tmp_path):
    """A quarter turn: stored 24 x 8, shown 8 x 24, the white square at 4,16 of what one sees."""
    upright = np.zeros((24, 8, 3), np.uint8)
    upright[16:20, 4:8] = 255
    (tmp_path / "1.jpg").write_bytes(layouts.tagged("jpg", 6, np.ascontiguousarray(np.rot90(upright))))
    (tmp_path / "boxes.txt").write_text("4,16,4,4")
    (sequence,) = open_folder(tmp_path)
    assert sequence.frames[0].shape == (24, 8, 3)
    assert sequence.frames[0][16:20, 4:8].min() > 150
    (sequence,) = open_folder(tmp_path, "stored")
    assert sequence.frames[0].shape == (8, 24, 3)
    with pytest.raises(UserError, match="unknown orientation 'upright'"):
        open_folder(tmp_path, "upright")


def test_boxes_of_a_video_count_the_pixels_that_are_shown_unless_asked_otherwise(tmp_path):
    _video(tmp_path / "phone.mp4")
    layouts.turn(tmp_path / "phone.mp4")
    (tmp_path / "phone.txt").write_text(BOXES)
    for way, shape in (("shown", (32, 16, 3)), ("stored", (16, 32, 3))):
        (sequence,) = open_folder(tmp_path, way)
        assert sequence.frames[0].shape == shape
        _check(sequence)
