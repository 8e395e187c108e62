"""The published augmentations: what each does to pixels and boxes, and in which order."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostrack_jax.config import ModelConfig, PairConfig
from ostrack_jax.data.frames import ArrayFrames, ImageFrames
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.geometry.crops import box_to_crop, crop_side, square_crop
from ostrack_jax.pipeline.augment import _CropPlan, flip_box, flip_crop, grayscale, make_example, scale_brightness
from ostrack_jax.pipeline.sampling import Pair, UnusablePairError

MODEL = ModelConfig(template_size=64, search_size=128)
STILL = PairConfig(grayscale=0.0, flip=0.0, brightness=0.0, centre_jitter=0.0, scale_jitter=0.0)
TARGET = np.array([250, 60, 30], np.uint8)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """Bluish, smooth enough that resizing changes little; never like the target."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 120, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(small, (width, height)) // np.array([2, 2, 1], np.uint8) + np.array([0, 0, 100], np.uint8)


def painted(box, height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    frame = noise(height, width, seed)
    x, y, w, h = box
    frame[y : y + h, x : x + w] = TARGET
    return frame


def pair_of(frames, boxes) -> Pair:
    """Frames 0 and 1 of a sequence as template and search; of a still image, 0 and 0."""
    held = ArrayFrames(frames) if isinstance(frames, list) else frames
    shown = np.ones(len(held), bool)
    sequence = Sequence("v", held, np.asarray(boxes, np.float64), shown, is_image=len(held) == 1)
    return Pair("s", sequence, 0, len(held) - 1)


def pair(box=(70, 50, 24, 16), box2=(60, 40, 30, 20), size=(120, 160)) -> Pair:
    return pair_of([painted(box, *size, seed=0), painted(box2, *size, seed=1)], [box, box2])


def sides(p: Pair, sizes=(64, 128)):
    """Name, frame, box, factor and size of the two crops."""
    frames = p.sequence.frames
    return (
        ("template", frames[p.template_index], p.template_box_xywh, 2.0, sizes[0]),
        ("search", frames[p.search_index], p.search_box_xywh, 4.0, sizes[1]),
    )


def example(pair_, config, train=True, seed=0, model=MODEL):
    return make_example(pair_, config, model, train, np.random.default_rng(seed))


def published(frame, box, factor, size):
    crop = square_crop(frame, box, factor, size)
    return crop.image, box_to_crop(box, box, crop.resize_factor, size)


def test_without_augmentation_the_crops_are_the_trackers():
    p = pair()
    made = example(p, STILL)
    for name, frame, box, factor, size in sides(p):
        image, fractions = published(frame, box, factor, size)
        np.testing.assert_array_equal(made[name], image)
        np.testing.assert_allclose(made[f"{name}_box"], fractions, atol=1e-6)


def test_the_order_is_gray_and_flip_of_frames_then_crop_then_brightness_and_flip():
    p = pair()
    config = dataclasses.replace(STILL, grayscale=1.0, flip=1.0, brightness=0.6)
    rng = np.random.default_rng(7)
    made = make_example(p, config, MODEL, True, rng)
    for name, frame, box, factor, size in sides(p):
        gray = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)] * 3, axis=2)
        flipped = np.ascontiguousarray(gray[:, ::-1])
        x, y, w, h = box
        image, fractions = published(flipped, np.array([frame.shape[1] - 1 - x - w, y, w, h]), factor, size)
        image, fractions = image[:, ::-1], fractions * [-1, 1, 1, 1] + [1 - fractions[2], 0, 0, 0]
        np.testing.assert_allclose(made[f"{name}_box"], fractions, atol=1e-6)
        # The one factor that no pixel contradicts, brightness having come last of what changes values.
        factors = np.linspace(0.4, 1.6, 2401)
        light = image.reshape(-1)[::7].astype(np.float64)
        error = np.abs(np.clip(light[None] * factors[:, None], 0, 255) - made[name].reshape(-1)[::7]).max(1)
        assert error.min() < 0.6


def test_crops_of_more_than_4096_pixels_are_augmented():
    p = pair_of([noise(1080, 1920, i) for i in range(2)], [(200, 50, 1500, 1000)] * 2)
    plain, changed = example(p, STILL), example(p, dataclasses.replace(STILL, brightness=0.2))
    assert not np.array_equal(changed["search"], plain["search"])


def test_gray_is_opencvs_and_shared_by_the_pair():
    frame = noise(40, 48, 3)
    expected = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(grayscale(frame), np.stack([expected] * 3, axis=2))
    config = dataclasses.replace(STILL, grayscale=0.5)
    grays = []
    for seed in range(100):
        made = example(pair(), config, seed=seed)
        gray = [(made[name] == made[name][..., :1]).all() for name in ("template", "search")]
        assert gray[0] == gray[1]
        grays.append(gray[0])
    assert 30 < sum(grays) < 70


@given(x=st.integers(0, 40), w=st.integers(1, 20), width=st.integers(64, 90))
def test_the_shared_flip_puts_the_box_one_pixel_left_of_the_mirror(x, w, width):
    frame = painted((x, 5, w, 6), 24, width)
    flipped, box = cv2.flip(frame, 1), flip_box(np.array([x, 5, w, 6], np.float64), width)
    assert box.tolist() == [width - 1 - x - w, 5, w, 6]
    columns = np.flatnonzero((flipped[8] == TARGET).all(-1))
    assert columns[0] == box[0] + 1
    assert len(columns) == w


@given(x=st.integers(0, 40), w=st.integers(1, 20))
def test_the_second_flip_mirrors_the_box_with_the_crop(x, w):
    crop = painted((x, 5, w, 6), 64, 64)
    flipped, box = flip_crop(crop, np.array([x, 5, w, 6]) / 64)
    columns = np.flatnonzero((flipped[8] == TARGET).all(-1))
    np.testing.assert_allclose(box * 64, [columns[0], 5, len(columns), 6])


@given(factor=st.floats(0, 2))
def test_brightness_is_the_published_product_within_half_a_level(factor):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    exact = np.clip(levels / 255 * factor, 0, 1) * 255
    assert np.abs(scale_brightness(levels, factor) - exact).max() <= 0.5 + 1e-4


def test_brightness_is_drawn_uniformly_and_for_each_crop_alone():
    flat = pair_of([np.full((120, 160, 3), 200, np.uint8)] * 2, [(70, 50, 24, 16), (60, 40, 30, 20)])
    config = dataclasses.replace(STILL, brightness=0.2)
    drawn = np.array(
        [
            (made["template"].max() / 200, made["search"].max() / 200)
            for made in (example(flat, config, seed=i) for i in range(300))
        ]
    )
    assert drawn.min() < 0.81
    assert drawn.max() > 1.19
    assert drawn.min() >= 0.799
    assert drawn.max() <= 1.201
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.03)
    np.testing.assert_allclose(drawn.std(0), 0.4 / np.sqrt(12), rtol=0.12)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.2


@pytest.mark.slow
def test_the_first_flip_is_shared_and_the_second_is_not():
    """With both flips at one half, template and search are mirrored independently: four cases, equally often."""
    plain = example(pair(), STILL)
    config = dataclasses.replace(STILL, flip=0.5)
    for train, cases in ((True, 4), (False, 2)):
        seen = []
        for seed in range(160):
            made = example(pair(), config, train=train, seed=seed)
            # The frame flip shifts by a pixel, so crops are compared roughly.
            seen.append(
                tuple(
                    np.abs(made[name].astype(int) - plain[name]).mean()
                    > np.abs(made[name][:, ::-1].astype(int) - plain[name]).mean()
                    for name in ("template", "search")
                )
            )
        kinds, counts = np.unique(np.array(seen), axis=0, return_counts=True)
        assert len(kinds) == cases
        assert counts.min() > 160 / cases * 0.6


def test_validation_leaves_out_brightness_and_the_second_flip():
    config = dataclasses.replace(STILL, brightness=0.5, flip=1.0)
    made = example(pair(), config, train=False)
    p = pair()
    image, fractions = published(cv2.flip(p.sequence.frames[1], 1), flip_box(p.search_box_xywh, 160), 4.0, 128)
    np.testing.assert_array_equal(made["search"], image)
    np.testing.assert_allclose(made["search_box"], fractions, atol=1e-6)


def test_validation_jitters_the_search_region_and_never_the_template():
    made = [example(pair(), PairConfig(grayscale=0.0, flip=0.0), train=False, seed=i) for i in range(20)]
    assert np.std([m["search_box"] for m in made], axis=0).min() > 0.01
    for m in made:
        np.testing.assert_array_equal(m["template"], made[0]["template"])
        np.testing.assert_array_equal(m["template_box"], made[0]["template_box"])


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), train=st.booleans())
def test_boxes_stay_on_their_targets_through_everything(seed, train):
    config = dataclasses.replace(PairConfig(), grayscale=0.0, centre_jitter=2.0)
    made = example(pair(size=(240, 320), box=(150, 110, 40, 28), box2=(140, 100, 36, 44)), config, train, seed)
    for name in ("template", "search"):
        image, box = made[name].astype(int), made[f"{name}_box"]
        size = image.shape[0]
        on = (image[..., 0] - image[..., 2]) > 90
        rows, columns = np.flatnonzero(on.any(1)), np.flatnonzero(on.any(0))
        found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        x, y, w, h = box * size
        wanted = np.clip([x, y, x + w, y + h], 0, size)
        # The training's formula ("-1") and the frame flip are each off by up to a pixel, of crop and of frame.
        assert np.abs(found - wanted).max() < 2.5 + 1.5 * w / 36


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((70, 50, 0, 16), "box"),
        ((70, 50, np.nan, 16), "box"),
        ((70, 50, -4, -4), "box"),
        ((400, 50, 24, 16), "padding"),
        ((-300, 50, 24, 16), "padding"),
        ((70, 300, 24, 16), "padding"),
    ],
)
@pytest.mark.parametrize("which", ["template", "search"])
def test_boxes_without_a_crop_make_a_pair_unusable(box, kind, which):
    broken = pair(box2=(70, 50, 24, 16))
    broken.sequence.boxes_xywh[["template", "search"].index(which)] = box
    with pytest.raises(UnusablePairError) as caught:
        example(broken, STILL)
    assert caught.value.kind == kind


def test_a_crop_whose_patches_all_begin_in_padding_is_refused_and_one_more_pixel_is_not():
    # A square of 128 frame pixels (factor 4, area 32 x 32) made into 128: cells begin every 16 pixels.
    model = dataclasses.replace(MODEL, template_factor=4.0, template_size=128)
    frame = np.full((300, 400, 3), 9, np.uint8)

    def crop_with(columns: int) -> None:
        """Frame in the last ``columns`` columns of the crop: the last cell begins 16 before its end."""
        x = columns - 64 - 16
        box = np.array([x, 100.0, 32, 32])
        example(pair_of([frame, frame], [box, (70, 50, 24, 16)]), STILL, model=model)

    crop_with(16)
    with pytest.raises(UnusablePairError, match="padding"):
        crop_with(15)


def test_an_image_serving_twice_is_flipped_and_grayed_once_for_both():
    box = (70, 50, 24, 16)
    p = pair_of([painted(box)], [box])
    made = example(p, dataclasses.replace(STILL, grayscale=1.0, flip=1.0), train=False)
    frame, box = cv2.flip(grayscale(p.sequence.frames[0]), 1), flip_box(p.template_box_xywh, 160)
    for name, factor, size in (("template", 2.0, 64), ("search", 4.0, 128)):
        image, fractions = published(frame, box, factor, size)
        np.testing.assert_array_equal(made[name], image)
        np.testing.assert_allclose(made[f"{name}_box"], fractions, atol=1e-6)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Frames 0 and 1 of 640 x 480 pixels, as JPEG and as PNG, and the target's boxes in them."""
    folder, boxes = tmp_path_factory.mktemp("large"), [(250, 170, 160, 140), (230, 150, 190, 150)]
    for kind, options in (("jpg", [cv2.IMWRITE_JPEG_QUALITY, 98]), ("png", [])):
        for i, box in enumerate(boxes):
            cv2.imwrite(str(folder / f"{i}.{kind}"), painted(box, 480, 640, i)[..., ::-1], options)
    return {kind: pair_of(ImageFrames([folder / f"{i}.{kind}" for i in range(2)]), boxes) for kind in ("jpg", "png")}


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_reduced_frames_give_nearly_the_same_crops_and_boxes(large, flip):
    config = dataclasses.replace(PairConfig(), grayscale=0.0, brightness=0.0, flip=flip, centre_jitter=1.0)
    for seed in range(12):
        whole = example(large["jpg"], dataclasses.replace(config, reduced_decode=False), seed=seed)
        reduced = example(large["jpg"], config, seed=seed)
        assert any((whole[name] != reduced[name]).any() for name in ("template", "search"))
        for name in ("template", "search"):
            np.testing.assert_allclose(reduced[f"{name}_box"], whole[f"{name}_box"], atol=1 / 64)
            # A corner is a whole pixel of its frame: up to half a pixel of the crop elsewhere. So two crops differ
            # less than one does from itself moved by a pixel.
            one, other = whole[name].astype(int), reduced[name].astype(int)
            assert np.abs(one - other).mean() < np.abs(one[:, 1:] - one[:, :-1]).mean()


def test_only_jpegs_in_training_are_reduced_and_only_where_asked(large, monkeypatch):
    asked = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: asked.append(flags & 127) or decode(data, flags))
    small = dataclasses.replace(STILL, reduced_decode=True)
    for kind, config, train, expected in (
        ("jpg", small, True, {cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_COLOR_4}),
        ("jpg", small, False, {0}),
        ("jpg", dataclasses.replace(small, reduced_decode=False), True, {0}),
        ("png", small, True, {cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH}),
    ):
        asked.clear()
        example(large[kind], config, train)
        assert set(asked) == expected, (kind, train)


@settings(max_examples=200)
@given(st.floats(1, 900), st.floats(1, 900), st.sampled_from([64, 128]))
def test_a_frame_is_never_reduced_below_the_crops_own_resolution(w, h, size):
    box = np.array([5.0, 5, w, h])
    factor = _CropPlan(box, box, 4.0, size).reduction()
    assert factor in (1, 2, 4, 8)
    assert factor == 1 or crop_side(box / factor, 4.0) >= size
    assert factor == 8 or crop_side(box, 4.0) < 2 * factor * size
