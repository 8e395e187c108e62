"""Images by index, from files and arrays."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from ostrack_jax.data.frames import ArrayFrames, ImageFrames, find_levels, list_images, read_image, sampled, to_bytes
from ostrack_jax.errors import UserError
from tests.layouts import tagged


def _images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), np.uint8)


def test_files_come_back_as_rgb(tmp_path):
    images = _images()
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{i}.png"), image[..., ::-1])
    frames = ImageFrames(tmp_path / f"{i}.png" for i in range(3))
    assert len(frames) == 3
    np.testing.assert_array_equal(np.stack([frames[i] for i in (2, 0, 1)]), images[[2, 0, 1]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(frames))[1], images[1])


def test_grey_and_transparent_images_have_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((5, 6), 77, np.uint8))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((5, 6, 4), 77, np.uint8))
    for name in ("grey", "alpha"):
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), np.full((5, 6, 3), 77))


# What a viewer does for each value of the tag (EXIF 2.3, 4.6.4 A).
UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_read_as_shown_or_as_stored(tmp_path, kind, orientation):
    image = np.zeros((16, 48, 3), np.uint8)
    image[:8, :16] = 255
    path = tmp_path / f"a.{kind}"
    path.write_bytes(tagged(kind, orientation, image))
    expected = {"shown": UPRIGHT[orientation](image), "stored": image}
    for way, upright in expected.items():
        frames = ImageFrames([path], way)
        np.testing.assert_allclose(frames[0], upright, atol=3)
        np.testing.assert_array_equal(read_image(path, way), frames[0])
        small, factor = frames.reduced(0, 2)
        np.testing.assert_allclose(small, upright[::factor, ::factor], atol=3)
        notes = frames.noted()[1]
        assert len(notes) == (orientation != 1)
        assert all(f"{upright.shape[1]} x {upright.shape[0]} pixels" in note for note in notes)
    np.testing.assert_array_equal(ImageFrames([path])[0], read_image(path))  # the default: as shown


def _numbers(kind: str, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(5).integers(low, high, shape, endpoint=True).astype(kind)


def _write(path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
@pytest.mark.parametrize(("low", "high"), [(7500, 8000), (0, 4095), (40000, 41000)])
def test_a_sequence_of_16_bits_is_scaled_by_one_range(tmp_path, kind, low, high):
    """Each frame alone spans a part of the range, so that a range of its own would show."""
    edges = np.linspace(low, high, 6).astype(int)
    images = [_numbers("uint16", edges[i], edges[i + 1], (12, 16)) for i in range(5)]
    images[0][0, 0], images[-1][0, 0] = low, high
    for i, image in enumerate(images):
        _write(tmp_path / f"{i}.{kind}", image)
    paths = [tmp_path / f"{i}.{kind}" for i in range(5)]
    expected = [
        np.repeat(np.rint((image.astype(float) - low) * 255 / (high - low))[..., None], 3, 2) for image in images
    ]
    for order in (range(5), (4, 0, 2)):
        frames = ImageFrames(paths)
        for i in order:
            np.testing.assert_array_equal(frames[i], expected[i])
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(frames))[i], expected[i])
    assert ImageFrames(paths).noted()[1] == [f"images of more than 8 bits: values {low} to {high} are read as 0 to 255"]
    alone = read_image(paths[2])
    assert (alone.min(), alone.max()) == (0, 255)


@pytest.mark.parametrize("kind", ["png", "tif", "ppm"])
def test_colours_of_16_bits_keep_their_order_and_their_ratio(tmp_path, kind):
    image = np.zeros((8, 8, 3), np.uint16) + np.array([4000, 2000, 1000], np.uint16)
    image[0, 0] = 0
    _write(tmp_path / f"a.{kind}", image)
    assert read_image(tmp_path / f"a.{kind}")[1, 1].tolist() == [255, 128, 64]


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
def test_images_that_use_all_16_bits_keep_their_upper_byte(tmp_path, kind):
    image = _numbers("uint16", 0, 65535, (30, 40))
    _write(tmp_path / f"a.{kind}", image)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{kind}")[..., 0], image >> 8)


def test_a_constant_image_of_16_bits_and_mixed_depths(tmp_path):
    _write(tmp_path / "a.png", np.full((5, 5), 7500, np.uint16))
    assert len(np.unique(read_image(tmp_path / "a.png"))) == 1
    _write(tmp_path / "b.png", np.full((5, 5), 77, np.uint8))
    frames = ImageFrames([tmp_path / "b.png", tmp_path / "a.png"])
    assert (frames[0] == 77).all()
    assert frames[1].dtype == np.uint8


@pytest.mark.parametrize(
    ("kind", "name"), [("float32", "tif"), ("float64", "tif"), ("int16", "tif"), ("float32", "pfm")]
)
def test_numbers_that_are_no_grey_levels_are_refused(tmp_path, kind, name):
    _write(tmp_path / f"a.{name}", np.ones((6, 6), kind))
    with pytest.raises(UserError, match=rf"a\.{name}: its values are {kind}: convert it to 8 or 16 bits"):
        read_image(tmp_path / f"a.{name}")


def test_arrays_of_several_sizes(tmp_path):
    a, b = np.zeros((4, 5, 3), np.uint8), np.ones((6, 7, 3), np.uint8)
    assert ArrayFrames([a, b])[1] is b
    assert len(ArrayFrames(_images(5))) == 5


@pytest.mark.parametrize("index", [-1, 3, 99])
def test_no_frame_beyond_the_last(index):
    with pytest.raises(IndexError):
        ArrayFrames(_images())[index]
    with pytest.raises(IndexError):
        ImageFrames(["a", "b", "c"])[index]


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    cv2.imwrite(str(tmp_path / "cut.png"), _images(1)[0])
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    frames = ImageFrames([tmp_path / "broken.jpg", tmp_path / "missing.jpg", tmp_path / "cut.png"])
    with pytest.raises(UserError, match=r"broken.jpg: truncated, or not an image"):
        frames[0]
    with pytest.raises(UserError, match=r"missing.jpg: no such file"):
        frames[1]
    with pytest.raises(UserError, match=r"cut.png"):
        frames[2]


def test_listing_counts_numbers_as_numbers(tmp_path):
    for name in ("10.jpg", "2.JPG", "1.png", "._1.png", "notes.txt", "a2.jpg", "a10.jpg"):
        (tmp_path / name).touch()
    assert [path.rpartition("/")[2] for path in list_images(tmp_path)] == [
        *("1.png", "2.JPG", "10.jpg", "a2.jpg", "a10.jpg")
    ]


def test_folders_without_images_are_told(tmp_path):
    with pytest.raises(UserError, match="no images in"):
        list_images(tmp_path)
    with pytest.raises(UserError, match=r"cannot list .*nowhere: No such file"):
        list_images(tmp_path / "nowhere")


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_a_jpeg_is_read_smaller_and_other_images_are_not(tmp_path, factor):
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (203, 149), interpolation=cv2.INTER_CUBIC)
    for kind in ("jpg", "png"):
        cv2.imwrite(str(tmp_path / f"1.{kind}"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    frames = ImageFrames([tmp_path / "1.jpg", tmp_path / "1.png"])
    small, reduced = frames.reduced(0, factor)
    assert (small.shape, reduced) == ((-(-149 // factor), -(-203 // factor), 3), factor)
    means = image[:144, :200].reshape(144 // factor, factor, 200 // factor, factor, 3).mean((1, 3))
    assert np.abs(small[: 144 // factor, : 200 // factor] - means).mean() < 3
    whole, reduced = frames.reduced(1, factor)
    assert reduced == 1
    np.testing.assert_array_equal(whole, image)
    array, reduced = ArrayFrames(image[None]).reduced(0, factor)
    assert (array.shape, reduced) == ((149, 203, 3), 1)


def test_a_jpeg_cut_short_is_unreadable(tmp_path):
    _, jpeg = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "cut.jpg").write_bytes(jpeg.tobytes()[:-40])
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match=r"cut\.jpg: .*truncated"):
        read_image(tmp_path / "cut.jpg")
    with pytest.raises(UserError, match=r"empty\.jpg: it is empty"):
        read_image(tmp_path / "empty.jpg")


def test_frames_are_sampled_over_the_whole_sequence():
    assert sampled(0) == []
    assert sampled(3) == [0, 1, 2]
    frames = sampled(1000)
    assert (len(frames), frames[0], frames[-1]) == (8, 0, 999)
    assert np.ptp(np.diff(frames)) <= 1


def test_single_dead_pixels_set_no_range():
    image = np.linspace(7500, 8000, 200 * 150).astype(np.uint16).reshape(150, 200)
    image[3, 4], image[9, 9] = 0, 65535
    low, high = find_levels([image])
    assert 7500 <= low <= 7502
    assert 7998 <= high <= 8000
    shown = to_bytes(image, (low, high))
    assert (shown[3, 4], shown[9, 9]) == (0, 255)
    assert len(np.unique(shown)) == 256


def test_the_range_is_that_of_all_images_together():
    images = [np.full((4, 4), value, np.uint16) for value in (30, 10, 20)]
    assert find_levels(images) == find_levels(reversed(images)) == (10, 30)
    assert find_levels([]) == (0, 65535)


def test_from_half_of_the_values_on_it_is_the_upper_byte():
    values = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_bytes(values, (1000, 1000 + 32768)), values >> 8)
    below = to_bytes(values, (1000, 1000 + 32767))
    assert (below[1000], below[1000 + 32767]) == (0, 255)
