"""Pairs of real frames: boxes lie where the annotations say, and crops hold what the frames hold there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ostrack_jax.config import DataConfig, ModelConfig, PairConfig
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.pipeline.augment import make_example
from ostrack_jax.pipeline.sampling import Source, UnusablePairError, draw_pair

MODEL = ModelConfig()


def pairs(folder, n: int, config: PairConfig, train: bool):
    """Pairs as the loader draws them, with the frames they come from."""
    rng = np.random.default_rng(0)
    sources = (Source("got10k", open_dataset(DataConfig(reader="got10k", dir=str(folder / "got10k"))), 1.0),)
    made, refused = [], []
    while len(made) < n:
        try:
            pair = draw_pair(sources, config, rng)
            made.append((pair, make_example(pair, config, MODEL, train, rng)))
        except UnusablePairError as e:
            refused.append(e.kind)
    assert set(refused) <= {"padding"}
    return made


def patch(image: np.ndarray, box_xywh: np.ndarray, side: int = 24) -> np.ndarray:
    """What lies in a box in pixels, as a small gray image of zero mean and unit length."""
    x, y, w, h = box_xywh
    corners = np.array([[x, y], [x + w, y], [x, y + h]], np.float32) - 0.5
    to = np.array([[0, 0], [side, 0], [0, side]], np.float32) - 0.5
    gray = cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0), cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.warpAffine(gray, cv2.getAffineTransform(corners, to), (side, side))
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


@pytest.mark.slow
@pytest.mark.data
def test_two_hundred_published_pairs_of_real_frames(shared_data):
    made = pairs(shared_data, 200, PairConfig(), train=True)
    boxes = np.array([example["search_box"] for _, example in made])
    assert boxes.min() > -0.5
    assert boxes.max() < 1.5
    assert (boxes[:, 2:] > 0).all()
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    assert abs(centres.mean() - 0.5) < 0.05  # jitter and flips favour no side
    assert 0.12 < centres.std() < 0.32  # 3 / 4 of a crop's side, uniform: 0.217 and a little more by the scale
    templates = np.array([example["template_box"] for _, example in made])
    np.testing.assert_allclose(templates[:, :2] + templates[:, 2:] / 2, 0.5, atol=0.005)
    assert {pair.sequence.name for pair, _ in made}.isdisjoint({"davis_dog-agility"})  # 13 frames
    assert len({pair.sequence.name for pair, _ in made}) > 40


@pytest.mark.slow
@pytest.mark.data
def test_a_crops_box_holds_what_the_frames_box_holds(shared_data):
    config = PairConfig(grayscale=0.0, flip=0.0)
    likeness = []
    for pair, example in pairs(shared_data, 200, config, train=False):
        frames = pair.sequence.frames
        for frame, box, crop, fractions in (
            (frames[pair.template_index], pair.template_box_xywh, example["template"], example["template_box"]),
            (frames[pair.search_index], pair.search_box_xywh, example["search"], example["search_box"]),
        ):
            if fractions.min() > 0 and (fractions[:2] + fractions[2:]).max() < 1:
                inside = patch(crop, fractions * crop.shape[0])
                likeness.append(float((inside * patch(frame, box)).sum()))
    assert len(likeness) > 250
    assert np.median(likeness) > 0.95
    assert np.quantile(likeness, 0.05) > 0.7
