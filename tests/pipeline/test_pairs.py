"""The published sampling rules, each by its statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ostrack_jax.config import PairConfig
from ostrack_jax.data.frames import Frames
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.sampling import (
    Source,
    UnusablePairError,
    draw_pair,
    is_eligible,
    jitter_box,
    pick_frames,
    pick_sequence,
    pick_source,
)

CONFIG = PairConfig()


class CountedFrames(Frames):
    """Frame i is filled with i; what was read is remembered; some cannot be."""

    def __init__(self, length: int, broken: tuple[int, ...] = ()):
        self.length, self.broken, self.read = length, broken, []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int, /) -> np.ndarray:
        self.read.append(index)
        if index in self.broken:
            raise UserError(f"cannot read frame {index}")
        return np.full((8, 12, 3), index, np.uint8)


def video(name: str = "v", length: int = 30, visible=None, broken=(), image: bool = False) -> Sequence:
    shown = np.ones(length, bool) if visible is None else np.asarray(visible, bool)
    boxes = np.arange(length, dtype=np.float64)[:, None] + np.array([0.0, 1, 2, 3])
    return Sequence(name, CountedFrames(len(shown), broken), boxes, shown, is_image=image)


def chi_square(counts, probabilities) -> float:
    """The statistic over its degrees of freedom; about 1 where the law holds."""
    expected = np.asarray(probabilities) * np.sum(counts)
    return float(np.sum((counts - expected) ** 2 / expected) / (len(counts) - 1))


def test_data_sets_are_drawn_by_weight():
    rng = np.random.default_rng(0)
    sources = tuple(Source(str(i), [video()], w) for i, w in enumerate((1.0, 0.5, 2.5)))
    counts = np.bincount([int(pick_source(sources, rng).name) for _ in range(8000)], minlength=3)
    assert chi_square(counts, [0.25, 0.125, 0.625]) < 4


def test_sequences_are_drawn_uniformly_among_the_eligible():
    rng = np.random.default_rng(1)
    hidden = video("hidden", visible=np.arange(30) < 4)
    sequences = [video("a"), video("short", 19), video("b", 500), hidden, video("c"), video("image", 1, image=True)]
    drawn = [pick_sequence(Source("s", sequences, 1.0), CONFIG, rng).name for _ in range(4000)]
    names, counts = np.unique(drawn, return_counts=True)
    assert list(names) == ["a", "b", "c", "image"]
    assert chi_square(counts, [0.25] * 4) < 4


@given(length=st.integers(1, 60), visible=st.data())
def test_a_video_needs_twenty_frames_and_more_than_four_visible_ones(length, visible):
    shown = visible.draw(hnp.arrays(bool, length))
    expected = length >= 20 and shown.sum() > 2 * (1 + 1)
    assert is_eligible(video(length=length, visible=shown), CONFIG) == expected
    assert is_eligible(video(length=length, visible=shown, image=True), CONFIG)


def test_one_visible_frame_is_never_enough_whatever_the_config_says():
    lonely = video(visible=np.arange(30) == 3)
    assert not is_eligible(lonely, PairConfig(min_visible=1))


def test_a_set_without_an_eligible_sequence_is_an_error_that_says_what_is_missing():
    with pytest.raises(UserError, match=r"data set tiny: no sequence .* its 2; .*20 frames.*5 of them"):
        pick_sequence(Source("tiny", [video(length=5), video(length=6)], 1.0), CONFIG, np.random.default_rng(0))


@given(visible=hnp.arrays(bool, st.integers(20, 120)), gap=st.integers(2, 40), seed=st.integers(0, 2**32))
def test_search_frames_follow_template_frames_and_both_show_the_target(visible, gap, seed):
    if visible.sum() < 2:
        return
    template, search = pick_frames(visible, gap, np.random.default_rng(seed))
    assert visible[template]
    assert visible[search]
    assert template < search
    # Beyond the window only where no template has a search frame within it.
    shown = np.flatnonzero(visible)
    if np.diff(shown).max() < gap:
        assert search - template < gap


def frames_law(visible, max_gap: int) -> np.ndarray:
    """Probability of each (template, search), written out from the rule."""
    length = len(visible)
    law, left = np.zeros((length, length)), 1.0
    templates = [i for i in range(length - 1) if visible[i]]
    while left > 1e-9:
        failed = 0.0
        for template in templates:
            window = [j for j in range(template + 1, template + max_gap) if j < length and visible[j]]
            if window:
                law[template, window] += left / len(templates) / len(window)
            else:
                failed += left / len(templates)
        left, max_gap = failed, max_gap + 5
    return law


@pytest.mark.slow
@pytest.mark.parametrize("last_visible", [True, False])
def test_frames_are_drawn_by_the_causal_law_with_a_growing_window(last_visible):
    visible = np.zeros(40, bool)
    visible[[0, 1, 2, 5, 17, 18, 30]] = True
    visible[39] = last_visible
    rng = np.random.default_rng(2)
    counts = np.zeros((40, 40))
    for _ in range(20_000):
        counts[pick_frames(visible, 4, rng)] += 1
    law = frames_law(visible, 4)
    assert not counts[law == 0].any()
    assert chi_square(counts[law > 0], law[law > 0]) < 2


def test_the_published_window_is_199_frames():
    visible = np.zeros(501, bool)
    visible[[0, 199, 200, 201, 350, 500]] = True
    rng = np.random.default_rng(3)
    drawn = [pick_frames(visible, CONFIG.max_gap, rng) for _ in range(20_000)]
    assert {search for template, search in drawn if template == 0} == {199}


def test_an_image_is_template_and_search_and_read_once():
    image = video("p", 1, visible=[False], image=True)
    pair = draw_pair((Source("coco", [image], 1.0),), CONFIG, np.random.default_rng(0))
    (template, _), (search, _) = pair.read()
    assert search is template
    assert (pair.template_index, pair.search_index) == (0, 0)
    assert image.frames.read == [0]
    np.testing.assert_array_equal(pair.search_box_xywh, pair.template_box_xywh)


def test_a_pair_carries_the_frames_and_boxes_of_its_indices():
    rng = np.random.default_rng(4)
    for _ in range(50):
        pair = draw_pair((Source("s", [video()], 1.0),), CONFIG, rng)
        (template, _), (search, _) = pair.read()
        assert template[0, 0, 0] == pair.template_index == pair.template_box_xywh[0]
        assert search[0, 0, 0] == pair.search_index == pair.search_box_xywh[0]
        assert (pair.source, pair.sequence.name) == ("s", "v")


def test_frames_and_annotations_that_cannot_be_read_make_a_pair_unusable():
    class Annotations(list):
        def __getitem__(self, index):
            raise UserError("groundtruth.txt: line 3 is no box")

    for sequences in ([video(broken=tuple(range(30)))], Annotations([video()])):
        with pytest.raises(UnusablePairError) as caught:
            draw_pair((Source("s", sequences, 1.0),), CONFIG, np.random.default_rng(0)).read()
        assert (caught.value.kind, caught.value.source) == ("unreadable", "s")


def test_jitter_has_the_published_distribution():
    rng = np.random.default_rng(5)
    box = np.array([30.0, 40, 20, 50])
    drawn = np.array([jitter_box(box, 3.0, 0.25, rng) for _ in range(8000)])
    log_scale = np.log(drawn[:, 2:] / box[2:])
    np.testing.assert_allclose(log_scale.mean(0), 0, atol=4 * 0.25 / math.sqrt(8000))
    np.testing.assert_allclose(log_scale.std(0), 0.25, rtol=0.05)
    assert abs(np.corrcoef(log_scale.T)[0, 1]) < 0.05
    shift = drawn[:, :2] + drawn[:, 2:] / 2 - (box[:2] + box[2:] / 2)
    share = shift / np.sqrt(drawn[:, 2] * drawn[:, 3])[:, None] / 3.0
    for axis in share.T:
        counts, _ = np.histogram(axis, bins=20, range=(-0.5, 0.5))
        assert counts.sum() == 8000
        assert chi_square(counts, [0.05] * 20) < 2.5
    assert abs(np.corrcoef(share.T)[0, 1]) < 0.05


def test_no_jitter_leaves_the_box():
    box = np.array([3.0, 4, 20.5, 51])
    np.testing.assert_array_equal(jitter_box(box, 0.0, 0.0, np.random.default_rng(0)), box)


@given(box=hnp.arrays(np.float64, 4, elements=st.floats()))
def test_absurd_boxes_are_jittered_without_a_warning(box):
    assert jitter_box(box, 3.0, 0.25, np.random.default_rng(0)).shape == (4,)
