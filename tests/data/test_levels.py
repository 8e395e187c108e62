"""16-bit values to bytes: the range, and what becomes of its ends."""

from __future__ import annotations

import numpy as np

from ostrack_jax.data.levels import find_levels, sampled, to_bytes


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
