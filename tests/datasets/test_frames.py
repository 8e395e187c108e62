"""Pictures by index, from files and arrays."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from ostrack_jax.datasets.frames import ArrayFrames, PictureFrames, list_pictures, read_frame, read_picture
from ostrack_jax.errors import UserError


def _pictures(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), np.uint8)


def test_files_come_back_as_rgb(tmp_path):
    pictures = _pictures()
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture[..., ::-1])
    frames = PictureFrames(tmp_path / f"{i}.png" for i in range(3))
    assert len(frames) == 3
    np.testing.assert_array_equal(np.stack([frames[i] for i in (2, 0, 1)]), pictures[[2, 0, 1]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(frames))[1], pictures[1])


def test_grey_and_transparent_pictures_have_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((5, 6), 77, np.uint8))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((5, 6, 4), 77, np.uint8))
    for name in ("grey", "alpha"):
        np.testing.assert_array_equal(read_picture(tmp_path / f"{name}.png"), np.full((5, 6, 3), 77))


def test_orientation_tags_are_ignored(tmp_path):
    """A JPEG whose EXIF tag asks for a quarter turn keeps its stored width and height."""
    _, jpeg = cv2.imencode(".jpg", np.zeros((8, 24, 3), np.uint8))
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    marker = b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg.tobytes()[:2] + marker + jpeg.tobytes()[2:])
    assert cv2.imread(str(path)).shape == (24, 8, 3)
    assert read_picture(path).shape == (8, 24, 3)


def test_arrays_of_several_sizes(tmp_path):
    a, b = np.zeros((4, 5, 3), np.uint8), np.ones((6, 7, 3), np.uint8)
    assert ArrayFrames([a, b])[1] is b
    assert len(ArrayFrames(_pictures(5))) == 5


@pytest.mark.parametrize("index", [-1, 3, 99])
def test_no_frame_beyond_the_last(index):
    with pytest.raises(IndexError):
        ArrayFrames(_pictures())[index]
    with pytest.raises(IndexError):
        PictureFrames(["a", "b", "c"])[index]


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    cv2.imwrite(str(tmp_path / "cut.png"), _pictures(1)[0])
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    frames = PictureFrames([tmp_path / "broken.jpg", tmp_path / "missing.jpg", tmp_path / "cut.png"])
    with pytest.raises(UserError, match=r"broken.jpg: not a picture"):
        frames[0]
    with pytest.raises(UserError, match=r"missing.jpg: no such file"):
        frames[1]
    with pytest.raises(UserError, match=r"cut.png"):
        frames[2]


def test_listing_counts_numbers_as_numbers(tmp_path):
    for name in ("10.jpg", "2.JPG", "1.png", "._1.png", "notes.txt", "a2.jpg", "a10.jpg"):
        (tmp_path / name).touch()
    assert [path.rpartition("/")[2] for path in list_pictures(tmp_path)] == [
        *("1.png", "2.JPG", "10.jpg", "a2.jpg", "a10.jpg")
    ]


def test_folders_without_pictures_are_told(tmp_path):
    with pytest.raises(UserError, match="no pictures in"):
        list_pictures(tmp_path)
    with pytest.raises(UserError, match=r"cannot list .*nowhere: No such file"):
        list_pictures(tmp_path / "nowhere")


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_a_jpeg_is_read_smaller_and_other_pictures_are_not(tmp_path, factor):
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (203, 149), interpolation=cv2.INTER_CUBIC)
    for kind in ("jpg", "png"):
        cv2.imwrite(str(tmp_path / f"1.{kind}"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    frames = PictureFrames([tmp_path / "1.jpg", tmp_path / "1.png"])
    small, reduced = read_frame(frames, 0, factor)
    assert (small.shape, reduced) == ((-(-149 // factor), -(-203 // factor), 3), factor)
    means = picture[:144, :200].reshape(144 // factor, factor, 200 // factor, factor, 3).mean((1, 3))
    assert np.abs(small[: 144 // factor, : 200 // factor] - means).mean() < 3
    whole, reduced = read_frame(frames, 1, factor)
    assert reduced == 1
    np.testing.assert_array_equal(whole, picture)
    array, reduced = read_frame(ArrayFrames(picture[None]), 0, factor)
    assert (array.shape, reduced) == ((149, 203, 3), 1)


def test_a_jpeg_cut_short_is_unreadable_and_a_huge_file_is_not_read(tmp_path, monkeypatch):
    _, jpeg = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "cut.jpg").write_bytes(jpeg.tobytes()[:-40])
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match=r"cut\.jpg: .*cut short"):
        read_picture(tmp_path / "cut.jpg")
    with pytest.raises(UserError, match=r"empty\.jpg: it is empty"):
        read_picture(tmp_path / "empty.jpg")
    monkeypatch.setattr("ostrack_jax.datasets.frames._MOST_BYTES", 100)
    with pytest.raises(UserError, match="larger than"):
        read_picture(tmp_path / "cut.jpg")
