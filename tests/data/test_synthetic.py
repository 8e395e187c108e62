"""Made-up videos: the same from the same seed, with boxes that agree with what is drawn."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ostrack_jax.data.generated.scene import (
    PARTS,
    Recipe,
    Scene,
    SceneFrames,
    Thing,
    annotate,
    clip_polygon,
    film,
    polygon_area,
)
from ostrack_jax.data.generated.synthetic import make_scene, open_synthetic
from ostrack_jax.errors import UserError


def test_a_frame_follows_from_seed_and_index_alone():
    one, other = open_synthetic("train", seed=1), open_synthetic("train", seed=1, sequences=7)
    forward = [one[5].frames[i] for i in (0, 20, 59)]
    backward = [pickle.loads(pickle.dumps(other))[5].frames[i] for i in (59, 20, 0)]
    for a, b in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one[5])).frames[20], forward[1])


def test_parts_seeds_and_numbers_share_no_sequence():
    images = {
        (part, seed, i): open_synthetic(part, seed=seed, width=32, height=32)[i].frames[0].tobytes()
        for part in PARTS
        for seed in (0, 1, 2)
        for i in (0, 1, 2)
    }
    assert len(set(images.values())) == len(images) == 27
    assert len(set(PARTS.values())) == len(PARTS)


def _alone(recipe: Recipe) -> tuple[SceneFrames, SceneFrames]:
    """The sequence's target drawn white, and then nothing, both on black under steady light."""
    scene = make_scene(recipe)
    target = scene.things[scene.target]
    white = type(target)(np.where([1, 1, 1, 0], 255, target.patch).astype(np.uint8), target.outline, target.affine)
    black = np.zeros_like(scene.background)
    gain = np.ones_like(scene.gain)

    def frames(*things: Thing) -> SceneFrames:
        return SceneFrames(lambda: Scene(black, scene.camera, list(things), 0, gain, scene.size_wh), recipe.frames)

    return frames(white), frames(white, *scene.things[scene.target + 1 :])


@pytest.mark.parametrize("number", range(5))
def test_boxes_are_tight_around_what_is_drawn(number):
    recipe = Recipe((0, 7, number), 80, (160, 120), 3)
    sequence = film(make_scene, recipe, "s", number)
    alone, _ = _alone(recipe)
    for t in range(0, 80, 3):
        rows, columns = np.nonzero(alone[t][..., 0] > 127)
        x, y, w, h = sequence.boxes_xywh[t]
        if min(w, h) < 2:  # a sliver at the rim, less than a pixel wide
            continue
        drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(drawn, [x, y, x + w, y + h], atol=2.0, err_msg=str(t))


def test_cover_is_the_share_that_is_seen():
    """Against pixels: where the white target is drawn over by others, and how much of it lies in the frame."""
    compared = 0
    for number in range(12):
        recipe = Recipe((0, 3, number), 60, (160, 120), 0)
        sequence = film(make_scene, recipe, "s", number)
        alone, covered = _alone(recipe)
        inside = (sequence.boxes_xywh[:, :2] > 1).all(1)
        inside &= (sequence.boxes_xywh[:, :2] + sequence.boxes_xywh[:, 2:] < (159, 119)).all(1)
        for t in np.flatnonzero(inside & (sequence.cover < 8))[::4]:
            target = alone[t] > 127
            seen = np.count_nonzero((covered[t] == alone[t]) & target) / np.count_nonzero(target)
            assert sequence.cover[t] == pytest.approx(8 * seen, abs=1.2)
            compared += 1
    assert compared > 8


def test_sequences_hold_what_a_tracker_must_cope_with():
    sequences = list(open_synthetic("train", sequences=30, frames=60))
    assert all(sequence.visible[0] and sequence.cover[0] == 8 for sequence in sequences)
    gone = [bool((sequence.cover == 0).any()) for sequence in sequences]
    back = [
        bool(sequence.visible[np.flatnonzero(sequence.cover == 0)[-1] :].any())
        for sequence in sequences
        if (sequence.cover == 0).any()
    ]
    assert 2 < sum(gone) < 20
    assert sum(back) > 1
    shares = np.concatenate([sequence.visible for sequence in sequences])
    assert 0.75 < shares.mean() < 0.99
    areas = [np.sqrt(np.prod(s.boxes_xywh[s.visible, 2:], axis=1)) for s in sequences]
    assert np.mean([a.max() / a.min() > 1.3 for a in areas]) > 0.3
    moves = [
        np.abs(s.boxes_xywh[-1, :2] - s.boxes_xywh[0, :2]).max() / a[0] for s, a in zip(sequences, areas, strict=True)
    ]
    assert np.median(moves) > 0.7


def test_hidden_and_absent_targets_are_not_visible():
    for sequence in open_synthetic("val", sequences=10, frames=60):
        assert not sequence.visible[sequence.cover < 4].any()
        assert sequence.visible[sequence.cover > 4].all()
        w, h = sequence.size_wh
        low, high = sequence.boxes_xywh[:, :2], sequence.boxes_xywh[:, :2] + sequence.boxes_xywh[:, 2:]
        assert (low >= 0).all()
        assert (high <= np.array([w, h]) + 1e-9).all()


@pytest.mark.parametrize(("frames", "width", "height"), [(1, 32, 32), (2, 40, 200), (15, 320, 240), (300, 48, 48)])
def test_any_length_and_size(frames, width, height):
    for sequence in open_synthetic("test", sequences=4, frames=frames, width=width, height=height, distractors=1):
        assert len(sequence) == frames == len(sequence.boxes_xywh)
        assert sequence.frames[frames - 1].shape == (height, width, 3)
        assert sequence.visible[0]
        with pytest.raises(IndexError):
            sequence.frames[frames]


@pytest.mark.parametrize("options", [{"frames": 0}, {"width": 31}, {"seed": -1}, {"height": 5000}])
def test_impossible_options_are_told(options):
    (name,) = options
    with pytest.raises(UserError, match=f"synthetic {name}: expected .* to .*, found"):
        open_synthetic(**options)


def test_clipped_polygons():
    square = np.array([[-1.0, -1.0], [3.0, -1.0], [3.0, 3.0], [-1.0, 3.0]])
    assert polygon_area(square) == 16
    assert polygon_area(clip_polygon(square, 2, 2)) == pytest.approx(4)
    assert polygon_area(clip_polygon(square + 0.5, 10, 10)) == pytest.approx(3.5**2)
    assert polygon_area(clip_polygon(square + 20, 10, 10)) == 0
    diamond = np.array([[0.0, 5.0], [5.0, 0.0], [10.0, 5.0], [5.0, 10.0]]) - [5, 0]
    inside = clip_polygon(diamond, 10, 10)
    assert polygon_area(inside) == pytest.approx(25)
    np.testing.assert_allclose([inside.min(axis=0), inside.max(axis=0)], [[0, 0], [5, 10]], atol=1e-12)


def test_truth_of_a_square_half_hidden_and_half_outside():
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    target = np.stack([square + 20, square + np.array([-5, 20]), square + np.array([-40, 20]), square + 20])
    cover = np.stack([square + 90, square + 90, square + 90, square + np.array([25, 20])])
    boxes, share = annotate(target, [cover], 100, 100)
    np.testing.assert_allclose(boxes, [[20, 20, 10, 10], [0, 20, 5, 10], [0, 0, 0, 0], [20, 20, 10, 10]], atol=1e-9)
    np.testing.assert_allclose(share, [1, 0.5, 0, 0.5], atol=0.03)


def test_a_set_of_a_million_is_as_small_as_one_of_three():
    many, few = open_synthetic(sequences=1_000_000), open_synthetic(sequences=3)
    assert len(pickle.dumps(many)) <= len(pickle.dumps(few)) + 20  # what a loader process is given
    assert len(many) == 1_000_000
    assert many.names[-3 + 1_000_000] == "synthetic_train_999997"
    assert many[999_997].name == "synthetic_train_999997"
    assert np.array_equal(many[2].boxes_xywh, few[2].boxes_xywh)
    assert not np.array_equal(many[2].boxes_xywh, many[1].boxes_xywh)
    assert list(many[5:8].names) == [f"synthetic_train_{i:06d}" for i in (5, 6, 7)]
    assert np.array_equal(many[5:8][1].boxes_xywh, many[6].boxes_xywh)
