"""Frames of a video by index: the same in any order of access, for every kind of file."""

from __future__ import annotations

import pickle
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ostrack_jax.data import video
from ostrack_jax.data.frames import find_levels, sampled, to_bytes
from ostrack_jax.data.video import VideoFrames, frame_rate, open_video
from ostrack_jax.errors import UserError
from tests.videos import level, write_video

FRAMES = 60
# As tags of phones have them: a pixel (x, y) is shown at (a x + c y, b x + d y).
SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
MATRICES = [(a, 0, 0, d) for a, d in SIGNS] + [(0, b, c, 0) for b, c in SIGNS]
NAMES = ("a:b.mp4", "%03d.mp4", "-", "pipe:", "file:x.mp4", "http:", " ", "видео 1.", "caf\udce9")


def test_a_pickled_video_reads_the_same(tmp_path):
    frames = VideoFrames(write_video(tmp_path / "v.avi", "mpeg4", {"bf": "2"}))
    image = frames[37]
    fresh = pickle.loads(pickle.dumps(frames))
    assert len(fresh) == FRAMES
    np.testing.assert_array_equal(fresh[37], image)


def test_reading_on_does_not_start_over(tmp_path, monkeypatch):
    write_video(tmp_path / "v.mp4")
    frames = VideoFrames(tmp_path / "v.mp4")
    len(frames)
    opened = []
    monkeypatch.setattr(video, "open_video", lambda path: (opened.append(path), open_video(path))[1])
    for i in range(0, FRAMES, 3):
        frames[i]
        frames[i]
    assert opened == [str(tmp_path / "v.mp4")]


def test_a_returned_frame_is_the_callers(tmp_path):
    write_video(tmp_path / "v.mp4")
    frames = VideoFrames(tmp_path / "v.mp4")
    frame = frames[5]
    frame[:] = 0
    assert level(frames[5]) > 3


def test_no_frame_beyond_the_last(tmp_path):
    write_video(tmp_path / "v.mp4", frames=3)
    with pytest.raises(IndexError):
        VideoFrames(tmp_path / "v.mp4")[3]


def test_a_closed_video_opens_again(tmp_path):
    write_video(tmp_path / "a.mp4")
    frames = VideoFrames(tmp_path / "a.mp4")
    seventh = frames[7]
    for _ in range(2):
        frames.close()
    np.testing.assert_array_equal(frames[7], seventh)


def test_the_rate_is_the_files(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    assert frame_rate(tmp_path / "a.mp4") == pytest.approx(29.97, abs=1e-3)
    assert frame_rate(tmp_path, otherwise=7.0) == 7.0
    (tmp_path / "b.mp4").write_bytes(b"no video" * 99)
    with pytest.raises(UserError, match=r"cannot open the video .*b\.mp4"):
        frame_rate(tmp_path / "b.mp4")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_a_files_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "v.mp4", frames=3).rename(tmp_path / name)
    assert len(VideoFrames(name)) == 3
    assert level(VideoFrames(name)[2]) == pytest.approx(2, abs=1)
    assert frame_rate(Path(name)) == 25


def test_text_in_the_file_may_be_of_any_encoding(tmp_path):
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Cafe"
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuvj420p")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"Cafe", b"Caf\xe9"))
    assert len(VideoFrames(path)) == 1


def turn(path, matrix):
    """Write a display matrix into an mp4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    assert struct.unpack_from(">9i", data, at) == (65536, 0, 0, 0, 65536, 0, 0, 0, 2**30)
    a, b, c, d = (round(65536 * number) for number in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(data)


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_a_rotation_tag_is_applied_unless_asked_otherwise(tmp_path, matrix):
    path = write_video(tmp_path / "v.mp4", frames=3)
    plain = VideoFrames(path)[2]
    height, width = plain.shape[:2]
    turn(path, matrix)
    np.testing.assert_array_equal(VideoFrames(path, "stored")[2], plain)
    a, b, c, d = matrix
    y, x = np.mgrid[:height, :width]
    columns, rows = a * x + c * y, b * x + d * y
    expected = np.zeros((height, width, 3) if a else (width, height, 3), np.uint8)
    expected[rows - rows.min(), columns - columns.min()] = plain
    shown = VideoFrames(path)
    np.testing.assert_array_equal(shown[2], expected)
    assert shown[2].flags["C_CONTIGUOUS"]
    (note,) = shown.noted()[1] if matrix != (1, 0, 0, 1) else ("upright",)
    assert "upright" in note
    assert pickle.loads(pickle.dumps(shown))[2].shape == expected.shape


def test_a_rotation_by_other_angles_is_refused(tmp_path):
    path = write_video(tmp_path / "v.mp4", frames=3)
    turn(path, (0.866, 0.5, -0.5, 0.866))
    with pytest.raises(UserError, match=r"v\.mp4 is to be shown turned by 30 degrees.*`stored`"):
        VideoFrames(path)[0]
    stored = VideoFrames(path, "stored")
    assert stored[0].shape == (48, 64, 3)
    (note,) = stored.noted()[1]
    assert "is read as stored" in note


@pytest.mark.parametrize(("form", "shift"), [("gray16le", 0), ("gray12le", 4), ("gray10le", 6)])
def test_grey_of_more_than_8_bits_has_one_range_for_the_video(tmp_path, form, shift):
    values = np.random.default_rng(0).integers(1000, 5000, (20, 48, 64), np.uint16) >> shift
    values[3] += 2000 >> shift
    path = write_values(tmp_path / "v.mkv", values, form)
    frames = VideoFrames(path)
    first = frames[0]
    # FFmpeg spreads values of fewer bits over all 16.
    spread = values if not shift else (values << shift) | (values >> 16 - 2 * shift)
    levels = find_levels(spread[sampled(20)])
    for i in (3, 0, 19, 4):
        np.testing.assert_array_equal(frames[i][..., 1], to_bytes(spread[i], levels))
    np.testing.assert_array_equal(frames[0], first)
    assert first.min() < 10
    assert first.max() > 150
    assert frames.noted()[1] == [f"images of more than 8 bits: values {levels[0]} to {levels[1]} are read as 0 to 255"]


def test_colour_of_10_bits_is_what_players_show(tmp_path):
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        grey = np.repeat(np.linspace(60, 180, 64).astype(np.uint8)[None], 48, 0)
        frame = av.VideoFrame.from_ndarray(np.dstack([grey] * 3), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv420p10le")))
        container.mux(stream.encode())
    np.testing.assert_allclose(VideoFrames(path)[0][..., 0], grey, atol=3)
    assert VideoFrames(path).noted()[1] == []


def write_values(path, values, form):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = values.shape[2], values.shape[1], form
        for each in values:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(each, format=form)))
        container.mux(stream.encode())
    return path
