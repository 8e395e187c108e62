"""The published augmentations: what each does to pixels and boxes, and in which order."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostrack_jax.config import ModelConfig, PairConfig
from ostrack_jax.geometry.crops import box_to_crop, square_crop
from ostrack_jax.pipeline.augment import flip_crop, flip_frame, grayscale, make_example, scale_brightness
from ostrack_jax.pipeline.pairs import Pair, UnusablePairError

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


def pair(box=(70, 50, 24, 16), box2=(60, 40, 30, 20), size=(120, 160)) -> Pair:
    return Pair(
        source="s",
        sequence="v",
        template_index=0,
        search_index=9,
        template_frame=painted(box, *size, seed=0),
        search_frame=painted(box2, *size, seed=1),
        template_box_xywh=np.asarray(box, np.float64),
        search_box_xywh=np.asarray(box2, np.float64),
    )


def example(pair_, config, train=True, seed=0, model=MODEL):
    return make_example(pair_, config, model, train, np.random.default_rng(seed))


def published(frame, box, factor, size):
    crop = square_crop(frame, box, factor, size)
    return crop.image, box_to_crop(box, box, crop.resize_factor, size)


def test_without_augmentation_the_crops_are_the_trackers():
    p = pair()
    made = example(p, STILL)
    for name, frame, box, factor, size in (
        ("template", p.template_frame, p.template_box_xywh, 2.0, 64),
        ("search", p.search_frame, p.search_box_xywh, 4.0, 128),
    ):
        image, fractions = published(frame, box, factor, size)
        np.testing.assert_array_equal(made[name], image)
        np.testing.assert_allclose(made[f"{name}_box"], fractions, atol=1e-6)


def test_the_order_is_gray_and_flip_of_frames_then_crop_then_brightness_and_flip():
    p = pair()
    config = dataclasses.replace(STILL, grayscale=1.0, flip=1.0, brightness=0.6)
    rng = np.random.default_rng(7)
    made = make_example(p, config, MODEL, True, rng)
    for name, frame, box, factor, size in (
        ("template", p.template_frame, p.template_box_xywh, 2.0, 64),
        ("search", p.search_frame, p.search_box_xywh, 4.0, 128),
    ):
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
    flipped, box = flip_frame(frame, np.array([x, 5, w, 6], np.float64))
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
    flat = dataclasses.replace(
        pair(),
        template_frame=np.full((120, 160, 3), 200, np.uint8),
        search_frame=np.full((120, 160, 3), 200, np.uint8),
    )
    config = dataclasses.replace(STILL, brightness=0.2)
    drawn = np.array(
        [
            (made["template"].max() / 200, made["search"].max() / 200)
            for made in (example(flat, config, seed=i) for i in range(600))
        ]
    )
    assert drawn.min() < 0.81
    assert drawn.max() > 1.19
    assert drawn.min() >= 0.799
    assert drawn.max() <= 1.201
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.02)
    np.testing.assert_allclose(drawn.std(0), 0.4 / np.sqrt(12), rtol=0.08)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.15


def test_the_first_flip_is_shared_and_the_second_is_not():
    """With both flips at one half, template and search are mirrored independently: four cases, equally often."""
    plain = example(pair(), STILL)
    config = dataclasses.replace(STILL, flip=0.5)
    for train, cases in ((True, 4), (False, 2)):
        seen = []
        for seed in range(400):
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
        assert counts.min() > 400 / cases * 0.7


def test_validation_leaves_out_brightness_and_the_second_flip():
    config = dataclasses.replace(STILL, brightness=0.5, flip=1.0)
    made = example(pair(), config, train=False)
    p = pair()
    frame, box = flip_frame(p.search_frame, p.search_box_xywh)
    image, fractions = published(frame, box, 4.0, 128)
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
    broken = dataclasses.replace(pair(), **{f"{which}_box_xywh": np.array(box, np.float64)})
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
        p = dataclasses.replace(pair(), template_frame=frame, template_box_xywh=box)
        example(p, STILL, model=model)

    crop_with(16)
    with pytest.raises(UnusablePairError, match="padding"):
        crop_with(15)


def test_a_picture_serving_twice_is_flipped_and_grayed_once_for_both():
    p = pair()
    p = dataclasses.replace(p, search_frame=p.template_frame, search_box_xywh=p.template_box_xywh)
    made = example(p, dataclasses.replace(STILL, grayscale=1.0, flip=1.0), train=False)
    frame, box = flip_frame(grayscale(p.template_frame), p.template_box_xywh)
    for name, factor, size in (("template", 2.0, 64), ("search", 4.0, 128)):
        image, fractions = published(frame, box, factor, size)
        np.testing.assert_array_equal(made[name], image)
        np.testing.assert_allclose(made[f"{name}_box"], fractions, atol=1e-6)
