"""Files that are no whole video: cut, corrupt, with other times than they should have, or none at all."""

from __future__ import annotations

import os

import av
import numpy as np
import pytest
from av.stream import Disposition

from ostrack_jax.data.video import VideoFrames
from ostrack_jax.errors import UserError
from tests.videos import copy_packets, decoded, level, write_video

H264 = ("libx264", {"x264-params": "keyint=10:scenecut=0:bframes=3:b-adapt=0"})
OPEN = ("libx264", {"x264-params": "keyint=10:scenecut=0:bframes=3:b-adapt=0:open-gop=1"})
HEVC = ("libx265", {"x265-params": "keyint=10:bframes=3:scenecut=0:log-level=none:pools=1"})
MPEG2 = ("mpeg2video", {"g": "10", "bf": "2"})
MPEG4 = ("mpeg4", {"g": "10", "bf": "2"})
MJPEG = ("mjpeg", {})


def check(path, least=10, most=60):
    """Every frame that the decoder gives can be read, in order and after jumps; their numbers."""
    expected = decoded(path)
    assert least <= len(expected) <= most
    frames = VideoFrames(path)
    assert len(frames) == len(expected)
    order = [*range(len(expected)), *range(len(expected) - 1, -1, -4), 7, 2, len(expected) - 1]
    for i in order:
        np.testing.assert_array_equal(frames[i], expected[i], err_msg=f"frame {i}")
    return [level(image) for image in expected]


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4", "avi"])
@pytest.mark.parametrize(("codec", "skipped"), [(H264, 4), (OPEN, 10), (OPEN, 13), (MPEG2, 9), (MPEG2, 4), (HEVC, 13)])
def test_a_video_that_begins_anywhere_is_read_from_the_first_image_that_decodes(tmp_path, container, codec, skipped):
    if codec is HEVC and container == "avi":
        pytest.skip("FFmpeg writes no such file")
    whole = write_video(tmp_path / f"whole.{container}", *codec, frames=40)
    path = copy_packets(whole, tmp_path / f"cut.{container}", lambda i, packet: i >= skipped)
    numbers = check(path)
    assert numbers[-1] == pytest.approx(39, abs=1)


@pytest.mark.parametrize("completed", [False, True])
@pytest.mark.parametrize("container", ["mp4", "mkv", "webm", "avi", "wmv", "mpg", "ts", "mxf", "h264"])
def test_a_video_cut_short_is_read_as_far_as_it_decodes(tmp_path, container, completed):
    """Also where zeros follow, as in a download that did not end."""
    codec = {"webm": ("libvpx-vp9", {"g": "10", "deadline": "realtime", "cpu-used": "8"}), "mpg": MPEG2}
    path = tmp_path / f"v.{container}"
    write_video(path, *codec.get(container, OPEN), muxing={"movflags": "faststart"} if container == "mp4" else None)
    size = path.stat().st_size
    os.truncate(path, size * 2 // 3)
    os.truncate(path, size if completed else size * 2 // 3)
    frames = VideoFrames(path)
    assert 10 < len(frames) == len(decoded(path)) < 60
    for i in [*range(len(frames)), 9, 3, 10]:  # of the last ones parts may be lost
        image = frames[i]
        assert i > len(frames) - 5 or level(image) == pytest.approx(i, abs=1.5)


def test_images_after_corrupt_data_are_counted_as_they_come(tmp_path):
    path = write_video(tmp_path / "v.mp4", *MJPEG, frames=30)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
    data = bytearray(path.read_bytes())
    data[packet.pos : packet.pos + packet.size] = b"\x01" * packet.size
    path.write_bytes(data)
    frames = VideoFrames(path)
    for i in range(29):
        assert level(frames[i]) == pytest.approx(i + (i >= 20), abs=1)
    with pytest.raises(UserError, match=r"cannot decode frame 29 of the video .*v\.mp4: .* only 29 of 30 images"):
        frames[29]
    assert level(frames[3]) == pytest.approx(3, abs=1)


def test_what_an_edit_list_leaves_out_is_no_frame(tmp_path):
    def earlier(i, packet):
        packet.pts, packet.dts = packet.pts - 5000, packet.dts - 5000  # of 512 a frame
        return True

    numbers = check(copy_packets(write_video(tmp_path / "a.mp4", *H264), tmp_path / "v.mp4", earlier), 50, 50)
    assert numbers[0] == pytest.approx(10, abs=1)


def test_times_in_decoding_order_are_not_believed(tmp_path):
    def careless(i, packet):
        packet.pts = packet.dts
        return True

    numbers = check(copy_packets(write_video(tmp_path / "a.mp4", *H264), tmp_path / "v.mp4", careless))
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("codec", [H264, OPEN, HEVC, MPEG4], ids=["h264", "h264_open", "hevc", "mpeg4"])
def test_frames_that_only_the_container_takes_for_key_frames_are_none(tmp_path, codec):
    path = write_video(tmp_path / "v.mp4", *codec)
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))  # without that list every packet counts as a key frame
    check(path)


@pytest.mark.slow
def test_packets_that_are_left_out_leave_no_gap(tmp_path):
    dropped = (21, 22, 33)  # no key frames
    for container in ("mp4", "mkv", "ts"):
        whole = write_video(tmp_path / f"a.{container}", *H264)
        check(copy_packets(whole, tmp_path / f"v.{container}", lambda i, packet: i not in dropped), 50, 59)


def test_fragments_and_files_without_a_table_of_key_frames(tmp_path):
    check(write_video(tmp_path / "v.mp4", *H264, muxing={"movflags": "frag_keyframe+empty_moov"}))
    check(write_video(tmp_path / "v.mkv", *H264, muxing={"live": "1"}))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_cover_art_is_no_video(tmp_path, container, first):
    path = tmp_path / f"v.{container}"
    with av.open(str(path), "w") as writing:
        cover = add_cover(writing) if first else None
        stream = writing.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        write_cover(writing, cover or add_cover(writing))
        for i in range(5):
            image = np.full((48, 64, 3), 50 * i, np.uint8)
            writing.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        writing.mux(stream.encode())
    frames = VideoFrames(path)
    assert [round(frames[i].mean() / 50) for i in range(len(frames))] == [0, 1, 2, 3, 4]


def test_what_is_no_video_is_reported(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    for name in ("text.mp4", "empty.mp4", "missing.mp4", ""):
        with pytest.raises(UserError, match=rf"cannot open the video .*{name}"):
            len(VideoFrames(tmp_path / name))
    for name, codec in (("sound.wav", "pcm_s16le"), ("song.mp3", "libmp3lame")):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=44100, layout="mono")
            if name == "song.mp3":
                write_cover(container, add_cover(container))
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16p", layout="mono")
            sound.sample_rate = 44100
            container.mux(stream.encode(sound))
            container.mux(stream.encode())
        with pytest.raises(UserError, match=rf"{name}: it holds no video"):
            len(VideoFrames(tmp_path / name))


def test_a_video_of_which_nothing_decodes_is_reported(tmp_path):
    whole = write_video(tmp_path / "a.ts", *H264, frames=9)
    path = copy_packets(whole, tmp_path / "v.ts", lambda i, packet: i > 0)
    with pytest.raises(UserError, match=r"cannot read the video .*v\.ts: no frame of it can be decoded"):
        len(VideoFrames(path))


def add_cover(container):
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    return stream


def write_cover(container, stream):
    container.mux(stream.encode(av.VideoFrame(128, 96, "yuvj420p")))
    container.mux(stream.encode())
