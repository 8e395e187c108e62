"""Frames of a video by index: the same in any order of access, for every kind of file."""

from __future__ import annotations

import contextlib
import pickle
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ostrack_jax.datasets import video
from ostrack_jax.datasets.video import VideoFrames, frame_rate
from ostrack_jax.datasets.video_index import open_video
from ostrack_jax.errors import UserError

FRAMES = 60
KINDS = {
    "b_frames.mp4": ("libx264", {"bf": "3", "g": "12"}),
    "one_key_frame.mkv": ("libx264", {"bf": "2", "g": "500"}),
    "mpeg4.avi": ("mpeg4", {"g": "10"}),
    "mpeg4_b.avi": ("mpeg4", {"g": "10", "bf": "2"}),
    "mjpeg.avi": ("mjpeg", {}),
    "vp9.webm": ("libvpx-vp9", {"g": "10", "deadline": "realtime", "cpu-used": "8"}),
    "stream.ts": ("libx264", {"bf": "2", "g": "12"}),
    "raw.h264": ("libx264", {"bf": "2", "g": "12"}),
}


def write_video(
    path: Path, codec: str = "libx264", options: dict[str, str] | None = None, frames: int = FRAMES
) -> None:
    """Frame i is grey of the level 4 i, with a bar that moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(frames):
            picture = np.full((48, 64, 3), 4 * i, np.uint8)
            picture[:, i % 60 : i % 60 + 4] = 255 - 4 * i
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _level(frame: np.ndarray) -> float:
    return float(np.median(frame)) / 4


@pytest.mark.parametrize("name", KINDS)
def test_any_order_gives_the_same_frames(tmp_path, name):
    codec, options = KINDS[name]
    path = tmp_path / name
    write_video(path, codec, options)
    frames = VideoFrames(path)
    assert len(frames) == FRAMES
    in_order = [frames[i] for i in range(FRAMES)]
    np.testing.assert_allclose([_level(frame) for frame in in_order], np.arange(FRAMES), atol=1.5)
    for i in [int(i) for i in np.random.default_rng(0).integers(0, FRAMES, 40)] + [59, 0, 0, 58, 41, 42]:
        np.testing.assert_array_equal(frames[i], in_order[i], err_msg=str(i))
    fresh = pickle.loads(pickle.dumps(frames))
    np.testing.assert_array_equal(fresh[37], in_order[37])
    assert len(fresh) == FRAMES


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
    assert _level(frames[5]) > 3


def test_no_frame_beyond_the_last(tmp_path):
    write_video(tmp_path / "v.mp4", frames=3)
    with pytest.raises(IndexError):
        VideoFrames(tmp_path / "v.mp4")[3]


def test_broken_files_are_told(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    for name in ("text.mp4", "empty.mp4", "missing.mp4"):
        with pytest.raises(UserError, match=rf"cannot open the video .*{name}"):
            len(VideoFrames(tmp_path / name))
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(UserError, match=r"sound.wav: it holds no video"):
        len(VideoFrames(tmp_path / "sound.wav"))


@pytest.mark.parametrize("name", ["one_key_frame.mkv", "mpeg4.avi", "raw.h264"])
def test_a_file_cut_short_gives_what_it_holds(tmp_path, name):
    write_video(tmp_path / name, *KINDS[name])
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 3 // 4])
    frames = VideoFrames(tmp_path / name)
    assert 10 < len(frames) < FRAMES
    for i in range(len(frames) - 4):
        assert _level(frames[i]) == pytest.approx(i, abs=1.5)
    with contextlib.suppress(UserError):  # the last packet is there, but not always whole
        frames[len(frames) - 1]


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
