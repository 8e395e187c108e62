"""What goes beyond the published augmentation: what each kind does to a crop, and that all are off by default."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from ostrack_jax import config as configs
from ostrack_jax.config import PairConfig
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.distort import blur, coarsen, cover, distort, recolour

BOX = np.array([0.3, 0.4, 0.25, 0.3])
KINDS = ("contrast", "saturation", "tint", "blur", "coarse", "occlude")


def image(size: int = 80, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(40, 200, (size // 4, size // 4, 3), np.uint8)
    return cv2.resize(small, (size, size))


def test_what_is_off_draws_no_number_and_changes_nothing():
    rng = np.random.default_rng(3)
    crop = image()
    assert distort(crop, BOX, PairConfig(), True, rng) is crop
    assert rng.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_changes_the_crop_and_leaves_its_input(kind):
    config = dataclasses.replace(PairConfig(), **{kind: 1.0 if kind in ("blur", "coarse", "occlude") else 0.3})
    crop = image(160)
    for seed in range(5):
        made = distort(crop, BOX, config, True, np.random.default_rng(seed))
        assert made.shape == crop.shape
        assert made.dtype == np.uint8
        assert (made != crop).any()
    np.testing.assert_array_equal(crop, image(160))


def test_probabilities_are_kept():
    crop = image()
    for kind in ("blur", "coarse", "occlude"):
        config = dataclasses.replace(PairConfig(), **{kind: 0.3})
        changed = [distort(crop, BOX, config, True, np.random.default_rng(i)) is not crop for i in range(300)]
        assert 0.2 < np.mean(changed) < 0.4
    assert distort(crop, BOX, config, False, np.random.default_rng(0)) is crop  # the template is never hidden


def test_a_cover_hides_less_than_half_of_the_box_and_touches_it():
    crop = np.zeros((80, 80, 3), np.uint8) + np.arange(80, dtype=np.uint8)[:, None, None]
    inside = np.zeros((80, 80), bool)
    inside[32:56, 24:44] = True
    shares = []
    for seed in range(200):
        changed = (cover(crop, BOX, np.random.default_rng(seed)) != crop).any(axis=2)
        shares.append(changed[inside].mean())
        rows, columns = np.nonzero(changed)
        if len(rows):
            assert np.ptp(rows) < 0.7 * 24
            assert np.ptp(columns) < 0.7 * 20
    assert max(shares) <= 0.5
    assert np.mean(shares) > 0.1
    outside = np.array([-0.4, 0.9, 0.2, 0.8])  # a target beyond the crop's rim
    for seed in range(50):
        assert cover(crop, outside, np.random.default_rng(seed)).shape == crop.shape


def test_a_coarse_crop_holds_no_more_than_its_small_version():
    crop = image()
    expected = cv2.resize(cv2.resize(crop, (20, 20), interpolation=cv2.INTER_AREA), (80, 80))
    np.testing.assert_array_equal(coarsen(crop, 4.0), expected)
    assert coarsen(image(8), 100.0).std(axis=(0, 1)).max() == 0


def test_blur_keeps_the_mean_and_takes_detail():
    crop = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    for seed in range(20):
        made = blur(crop, np.random.default_rng(seed))
        np.testing.assert_allclose(made.mean(), crop.mean(), atol=2)
        assert made.std() < 0.95 * crop.std()


def test_colours_change_by_the_drawn_factors():
    crop = image()
    rng = np.random.default_rng(5)
    made = recolour(crop, dataclasses.replace(PairConfig(), tint=0.2), rng)
    gains = np.random.default_rng(5).uniform(0.8, 1.2, 3)
    np.testing.assert_allclose(made, np.clip(crop * gains, 0, 255), atol=0.51)
    made = recolour(crop, dataclasses.replace(PairConfig(), contrast=0.4), np.random.default_rng(6))
    gain = np.random.default_rng(6).uniform(0.6, 1.4)
    mean = crop.mean(axis=(0, 1))
    np.testing.assert_allclose(made, np.clip(mean + gain * (crop - mean), 0, 255), atol=0.6)
    gray = np.repeat(image()[..., :1], 3, axis=2)
    made = recolour(gray, dataclasses.replace(PairConfig(), saturation=0.9), np.random.default_rng(7))
    np.testing.assert_allclose(made, gray, atol=1)


def test_they_are_shares():
    with pytest.raises(UserError, match=r"config.pairs.blur: expected a share between 0 and 1, found 2"):
        configs.load("tiny", ["pairs.blur=2"])
