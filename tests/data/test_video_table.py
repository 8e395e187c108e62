"""Frames by index against FFmpeg's own decoding order, over containers and codecs."""

from __future__ import annotations

import numpy as np
import pytest

from ostrack_jax.data import video
from ostrack_jax.data.video import VideoFrames
from tests import videos

FRAMES, GROUP = 36, 10
REORDERED = 3  # images between two others that are decoded first: a group may be so much longer
CODECS = {
    "h264": ("libx264", {"g": "10", "bf": "0", "preset": "ultrafast"}),
    "h264_b": ("libx264", {"x264-params": "keyint=10:scenecut=0:bframes=3:b-adapt=0", "preset": "fast"}),
    "h264_open": ("libx264", {"x264-params": "keyint=10:scenecut=0:bframes=3:b-adapt=0:open-gop=1"}),
    "hevc": ("libx265", {"x265-params": "keyint=10:bframes=3:scenecut=0:log-level=none:pools=1", "preset": "fast"}),
    "mpeg4": ("mpeg4", {"g": "10", "sc_threshold": "1000000000"}),
    "mpeg4_b": ("mpeg4", {"g": "10", "bf": "2", "sc_threshold": "1000000000"}),
    "mpeg2": ("mpeg2video", {"g": "10", "bf": "2", "sc_threshold": "1000000000"}),
    "vp8": ("libvpx", {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "8", "cpu-used": "8"}),
    "vp9": ("libvpx-vp9", {"g": "10", "deadline": "realtime", "cpu-used": "8"}),
    "av1": ("libsvtav1", {"g": "10", "preset": "13"}),
    "mjpeg": ("mjpeg", {}),
    "ffv1": ("ffv1", {"g": "5"}),
    "wmv2": ("wmv2", {"g": "10"}),
}
TIMED = ("mp4", "mov", "mkv", "webm")  # containers whose packets say when each frame is shown
TABLE = {
    "mp4": "h264 h264_b h264_open hevc mpeg4 mpeg4_b vp9 av1 mjpeg",
    "mov": "h264_b mpeg2",
    "mkv": "h264_b h264_open hevc mpeg4_b mpeg2 vp9 ffv1",
    "webm": "vp8 vp9 av1",
    "avi": "h264 h264_b mpeg4 mpeg4_b mpeg2 mjpeg ffv1",
    "wmv": "h264_b mpeg4_b wmv2",
    "mpg": "h264_b mpeg2",
    "ts": "h264_b h264_open hevc mpeg2",
    "mxf": "h264_b mpeg2 ffv1",
    "h264": "h264_b",
}
ROWS = [(container, codec) for container, codecs in TABLE.items() for codec in codecs.split()]
ORDER = [*range(FRAMES), *range(FRAMES - 1, -1, -5), 20, 3, 33, 12, 13, 30, 0, 19, 9, 10, 35, 1]


@pytest.mark.parametrize(("container", "codec"), ROWS)
def test_frame_i_is_the_ith_the_decoder_gives(tmp_path, monkeypatch, container, codec):
    path = videos.write_video(tmp_path / f"video.{container}", *CODECS[codec], frames=FRAMES)
    check(path, monkeypatch, timed=container in TIMED and codec not in ("mpeg2", "vp8"))


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "ts"])
def test_of_a_variable_rate_too(tmp_path, monkeypatch, container):
    path = tmp_path / f"video.{container}"
    videos.write_video(path, *CODECS["h264_b"], frames=FRAMES, milliseconds=[20, 33, 50, 120])
    check(path, monkeypatch, timed=container in TIMED)


def check(path, monkeypatch, timed):
    """All frames in order, backwards and after jumps; where ``timed``, counted without decoding, by short jumps."""
    given = []

    def counted(*file):
        for frame in decode(*file):
            given.append(frame)
            yield frame

    decode = video.decode
    monkeypatch.setattr(video, "decode", counted)
    if timed:
        monkeypatch.delattr(video, "index_by_decoding")
    expected = videos.decoded(path)
    np.testing.assert_allclose([videos.level(image) for image in expected], np.arange(FRAMES), atol=1.5)
    frames = VideoFrames(path)
    assert len(frames) == FRAMES
    for i in ORDER:
        given.clear()
        np.testing.assert_array_equal(frames[i], expected[i], err_msg=f"frame {i}")
        assert not timed or len(given) <= GROUP + REORDERED, f"frame {i}"
