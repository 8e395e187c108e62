"""Videos out: what is drawn where, and files that are whole or not there."""

from __future__ import annotations

import av
import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.tracking.track import Track
from ostrack_jax.visualization import video

AMBER, BLUE = video.TRACK_COLOUR, video.TRUTH_COLOUR


def grey(height, width, value=120):
    return np.full((height, width, 3), value, np.uint8)


def at(box, score=0.5):
    return Track(np.array(box, float), score)


def has(picture, colour):
    return (picture == colour).all(axis=-1)


def test_the_box_is_drawn_on_a_copy_where_it_lies():
    frame = grey(600, 800)
    picture = video.annotate(frame, at([100, 200, 300, 150], np.nan), np.array([500.0, 100, 100, 100]))
    assert (frame == 120).all()
    assert picture.shape == frame.shape
    rows, columns = np.nonzero(has(picture, AMBER))
    assert abs(rows.min() - 200) <= 2
    assert abs(rows.max() - 350) <= 2
    assert abs(columns.min() - 100) <= 2
    assert abs(columns.max() - 400) <= 2
    rows, columns = np.nonzero(has(picture, BLUE))
    assert abs(rows.min() - 100) <= 2
    assert abs(columns.max() - 600) <= 2
    assert (picture[275, 250] == 120).all()  # not filled


def test_small_frames_are_enlarged_and_boxes_with_them():
    picture = video.annotate(grey(48, 64), at([16, 12, 32, 24], np.nan))
    assert picture.shape == (384, 512, 3)
    rows, columns = np.nonzero(has(picture, AMBER))
    assert abs(rows.min() - 96) <= 2
    assert abs(columns.max() - 384) <= 2


@pytest.mark.parametrize("shape", [(48, 64), (360, 480), (1080, 1920), (2160, 3840)])
def test_label_and_lines_grow_with_the_picture(shape):
    height, width = shape
    box = at([width * 0.4, height * 0.5, width * 0.2, height * 0.2])
    picture = video.annotate(grey(*shape), box)
    unlabelled = video.annotate(grey(*shape), Track(box.box_xywh, np.nan))
    rows, _ = np.nonzero((picture != unlabelled).any(axis=-1))
    tall = np.ptp(rows) / max(picture.shape)
    assert 0.02 < tall < 0.12
    line = has(picture, AMBER)[round(picture.shape[0] * 0.6)].sum() / 2
    assert line >= max(2, max(picture.shape) / 640)


@pytest.mark.parametrize("box", [(0, 0, 20, 20), (620, 470, 50, 50), (-100, -100, 30, 30), (-1e9, 3, 2e9, 1e9)])
def test_boxes_at_and_beyond_the_border(box):
    frame = grey(480, 640)
    labelled = video.annotate(frame, at(box, 0.123))
    assert has(labelled, AMBER).any()  # at least the label stays inside
    assert labelled.shape == frame.shape


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (5, 5, -3, 4), (np.nan, 5, 5, 5)])
def test_a_lost_target_has_no_box_but_a_word(box):
    picture = video.annotate(grey(480, 640), at(box))
    seen = np.argwhere((picture != 120).any(axis=-1))
    assert len(seen)
    assert seen.max() < 80


def test_unknown_truth_is_not_drawn():
    picture = video.annotate(grey(480, 640), at([10, 200, 30, 30]), np.full(4, np.nan))
    assert not has(picture, BLUE).any()


def decoded(path):
    """Pictures, rate, codec and pixel format, read while the file is open: PyAV asks for that from 19 on."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return pictures, float(stream.average_rate), stream.codec_context.name, stream.codec_context.pix_fmt


@pytest.mark.parametrize("shape", [(48, 64), (47, 63), (1, 1)])
def test_a_video_comes_back(tmp_path, shape):
    path = tmp_path / "new" / "a.mp4"
    pictures = [grey(*shape, value) for value in (20, 90, 160, 230)]
    assert video.write_video(path, iter(pictures), 12.5) == 4
    found, rate, _, pixels = decoded(path)
    assert (rate, pixels) == (12.5, "yuv420p")
    even = (shape[0] + shape[0] % 2, shape[1] + shape[1] % 2, 3)
    assert [picture.shape for picture in found] == [even] * 4
    for picture, value in zip(found, (20, 90, 160, 230), strict=True):
        assert abs(picture.astype(int) - value).max() <= 6
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mp4"]


def test_pictures_of_another_size_are_brought_to_the_first(tmp_path):
    assert video.write_video(tmp_path / "a.mp4", [grey(48, 64), grey(96, 100), grey(20, 30)]) == 3
    assert {picture.shape for picture in decoded(tmp_path / "a.mp4")[0]} == {(48, 64, 3)}


def test_a_failure_leaves_the_old_video_and_nothing_else(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def pictures():
        yield grey(48, 64)
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        video.write_video(path, pictures())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UserError, match=r"ends in \.mp4"):
        video.write_video(tmp_path / "a.gif", [grey(48, 64)])
    with pytest.raises(UserError, match="no frames"):
        video.write_video(tmp_path / "a.mp4", [])
    for rate in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(UserError, match="frames a second"):
            video.write_video(tmp_path / "a.mp4", [grey(48, 64)], rate)
    assert not list(tmp_path.iterdir())


def test_without_h264_it_is_mpeg4(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "_ENCODERS", (("no_such_encoder", {}), *video._ENCODERS[1:]))
    video.write_video(tmp_path / "a.mp4", [grey(48, 64)] * 3)
    found, _, codec, _ = decoded(tmp_path / "a.mp4")
    assert codec == "mpeg4"
    assert len(found) == 3
    monkeypatch.setattr(video, "_ENCODERS", (("no_such_encoder", {}),))
    with pytest.raises(UserError, match="no encoder of no_such_encoder"):
        video.write_video(tmp_path / "b.mp4", [grey(48, 64)])


def test_following_starts_with_the_box_given():
    class Drifts:
        def init(self, frame, box_xywh):
            self.box = box_xywh

        def update(self, frame):
            self.box = self.box + 1
            return Track(self.box, 0.5)

    frames = [grey(48, 64, value) for value in (1, 2, 3)]
    steps = list(video.follow(Drifts(), iter(frames), np.array([1.0, 2, 3, 4])))
    assert [frame[0, 0, 0] for frame, _ in steps] == [1, 2, 3]
    assert [track.box_xywh[0] for _, track in steps] == [1, 2, 3]
    assert np.isnan(steps[0][1].score)
    assert steps[1][1].score == 0.5
