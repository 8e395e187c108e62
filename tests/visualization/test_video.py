"""Videos out: what is drawn where, and files that are whole or not there."""

from __future__ import annotations

import av
import numpy as np
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.visualization import video
from ostrack_jax.visualization.draw import TRACK_COLOUR, TRUTH_COLOUR, annotate

AMBER, BLUE = TRACK_COLOUR, TRUTH_COLOUR


def grey(height, width, value=120):
    return np.full((height, width, 3), value, np.uint8)


def at(box, score=0.5):
    return np.array(box, float), score


def has(image, colour):
    return (image == colour).all(axis=-1)


def test_the_box_is_drawn_on_a_copy_where_it_lies():
    frame = grey(600, 800)
    image = annotate(frame, *at([100, 200, 300, 150], np.nan), np.array([500.0, 100, 100, 100]))
    assert (frame == 120).all()
    assert image.shape == frame.shape
    rows, columns = np.nonzero(has(image, AMBER))
    assert abs(rows.min() - 200) <= 2
    assert abs(rows.max() - 350) <= 2
    assert abs(columns.min() - 100) <= 2
    assert abs(columns.max() - 400) <= 2
    rows, columns = np.nonzero(has(image, BLUE))
    assert abs(rows.min() - 100) <= 2
    assert abs(columns.max() - 600) <= 2
    assert (image[275, 250] == 120).all()  # not filled


def test_small_frames_are_enlarged_and_boxes_with_them():
    image = annotate(grey(48, 64), *at([16, 12, 32, 24], np.nan))
    assert image.shape == (384, 512, 3)
    rows, columns = np.nonzero(has(image, AMBER))
    assert abs(rows.min() - 96) <= 2
    assert abs(columns.max() - 384) <= 2


@pytest.mark.parametrize("shape", [(48, 64), (360, 480), (1080, 1920), (2160, 3840)])
def test_label_and_lines_grow_with_the_image(shape):
    height, width = shape
    box = at([width * 0.4, height * 0.5, width * 0.2, height * 0.2])
    image = annotate(grey(*shape), *box)
    unlabelled = annotate(grey(*shape), box[0], np.nan)
    rows, _ = np.nonzero((image != unlabelled).any(axis=-1))
    tall = np.ptp(rows) / max(image.shape)
    assert 0.02 < tall < 0.12
    line = has(image, AMBER)[round(image.shape[0] * 0.6)].sum() / 2
    assert line >= max(2, max(image.shape) / 640)


@pytest.mark.parametrize("box", [(0, 0, 20, 20), (620, 470, 50, 50), (-100, -100, 30, 30), (-1e9, 3, 2e9, 1e9)])
def test_boxes_at_and_beyond_the_border(box):
    frame = grey(480, 640)
    labelled = annotate(frame, *at(box, 0.123))
    assert has(labelled, AMBER).any()  # at least the label stays inside
    assert labelled.shape == frame.shape


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (5, 5, -3, 4), (np.nan, 5, 5, 5)])
def test_a_lost_target_has_no_box_but_a_word(box):
    image = annotate(grey(480, 640), *at(box))
    seen = np.argwhere((image != 120).any(axis=-1))
    assert len(seen)
    assert seen.max() < 80


def test_unknown_truth_is_not_drawn():
    image = annotate(grey(480, 640), *at([10, 200, 30, 30]), np.full(4, np.nan))
    assert not has(image, BLUE).any()


def decoded(path):
    """Pictures, rate, codec and pixel format, read while the file is open: PyAV asks for that from 19 on."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return images, float(stream.average_rate), stream.codec_context.name, stream.codec_context.pix_fmt


@pytest.mark.parametrize("shape", [(48, 64), (47, 63), (1, 1)])
def test_a_video_comes_back(tmp_path, shape):
    path = tmp_path / "new" / "a.mp4"
    images = [grey(*shape, value) for value in (20, 90, 160, 230)]
    assert video.write_video(path, iter(images), 12.5) == 4
    found, rate, _, pixels = decoded(path)
    assert (rate, pixels) == (12.5, "yuv420p")
    even = (shape[0] + shape[0] % 2, shape[1] + shape[1] % 2, 3)
    assert [image.shape for image in found] == [even] * 4
    for image, value in zip(found, (20, 90, 160, 230), strict=True):
        assert abs(image.astype(int) - value).max() <= 6
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mp4"]


def test_images_of_another_size_are_brought_to_the_first(tmp_path):
    assert video.write_video(tmp_path / "a.mp4", [grey(48, 64), grey(96, 100), grey(20, 30)]) == 3
    assert {image.shape for image in decoded(tmp_path / "a.mp4")[0]} == {(48, 64, 3)}


def test_a_failure_leaves_the_old_video_and_nothing_else(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def images():
        yield grey(48, 64)
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        video.write_video(path, images())
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
