"""Images of pairs: each thing is drawn where it is, in its colour."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.models.weights import initial_weights
from ostrack_jax.training import images
from ostrack_jax.training.sharding import make_mesh
from ostrack_jax.training.step import init_state
from ostrack_jax.visualization import tiles
from ostrack_jax.visualization.draw import TRACK_COLOUR, TRUTH_COLOUR

GREY = 120
SIDE = 8  # cells


def _example(search=64):
    """Two pairs, all grey; the true box is the right half's upper half, the predicted one the left half."""
    batch = {
        "template": np.full((2, 32, 32, 3), GREY, np.uint8),
        "search": np.full((2, search, search, 3), GREY, np.uint8),
        "template_box": np.float32([[0.25, 0.25, 0.5, 0.5]] * 2),
        "search_box": np.float32([[0.5, 0.1, 0.4, 0.4]] * 2),
    }
    score_map = np.full((2, SIDE, SIDE), 0.01, np.float32)
    score_map[:, 6, 1] = 0.9
    eliminated = (np.int32([[0, 1], [62, 63]]), np.int32([[2], [61]]))
    maps = np.zeros((2, SIDE, SIDE, 2), np.float32)
    boxes = np.float32([[0.25, 0.5, 0.3, 0.6]] * 2)
    return batch, Prediction(score_map, maps, maps, boxes, np.float32([0.9, 0.9]), (), eliminated)


def _tiles(picture):
    """The picture's tiles as rows of columns, without captions and gaps."""
    tile, gap = tiles.TILE, tiles.GAP
    down, right = tiles.CAPTION + tile + gap, tile + gap
    rows, columns = (picture.shape[0] - gap) // down, (picture.shape[1] - gap) // right
    assert picture.shape == (gap + rows * down, gap + columns * right, 3)
    corners = [[(gap + tiles.CAPTION + y * down, gap + x * right) for x in range(columns)] for y in range(rows)]
    return [[picture[top : top + tile, left : left + tile] for top, left in row] for row in corners]


def _has(pixels, colour):
    return bool((pixels == np.array(colour)).all(-1).any())


@pytest.mark.parametrize("search", [64, 384])
def test_boxes_are_where_they_are_in_their_colours(search):
    batch, prediction = _example(search)
    (template, seen, *_), _ = _tiles(images.draw_pairs(batch, prediction))
    middle, quarter = tiles.TILE // 2, tiles.TILE // 4
    np.testing.assert_array_equal(template[middle, quarter], TRUTH_COLOUR)
    np.testing.assert_array_equal(template[middle, middle], GREY)
    np.testing.assert_array_equal(seen[round(0.1 * 256), round(0.7 * 256)], TRUTH_COLOUR)
    np.testing.assert_array_equal(seen[round(0.3 * 256), round(0.9 * 256)], TRUTH_COLOUR)
    np.testing.assert_array_equal(seen[round(0.8 * 256), round(0.25 * 256)], TRACK_COLOUR)
    np.testing.assert_array_equal(seen[round(0.5 * 256), round(0.1 * 256)], TRACK_COLOUR)
    assert not _has(seen[:, middle:], TRACK_COLOUR)
    assert not _has(seen[:, : middle - 8], TRUTH_COLOUR)
    assert (batch["search"] == GREY).all(), "what was given is left as it is"


def test_the_score_is_bright_where_it_is_high():
    (_, _, heat, *_), _ = _tiles(images.draw_pairs(*_example()))
    bright = heat.astype(int).sum(-1)
    y, x = np.unravel_index(bright.argmax(), bright.shape)
    assert (y // 32, x // 32) == (6, 1)
    np.testing.assert_array_equal(heat[16, 240], round(0.45 * GREY))  # the image, darkened


def test_eliminated_cells_are_dimmed_stage_by_stage():
    rows = _tiles(images.draw_pairs(*_example()))
    for row, gone in zip(rows, ([(0, 0), (0, 1), (0, 2)], [(7, 6), (7, 7), (7, 5)]), strict=True):
        for stage, cells in enumerate((gone[:2], gone)):
            tile = row[3 + stage]
            for y in range(SIDE):
                for x in range(SIDE):
                    value = int(tile[32 * y + 10, 32 * x + 12, 0])  # away from the lines of the boxes
                    assert value < 0.7 * GREY if (y, x) in cells else value == GREY, (stage, y, x)


def test_without_elimination_there_are_three_tiles():
    batch, prediction = _example()
    assert [len(row) for row in _tiles(images.draw_pairs(batch, prediction._replace(eliminated=())))] == [3, 3]
    assert [len(row) for row in _tiles(images.draw_pairs(batch, prediction))] == [5, 5]


@pytest.mark.slow
@pytest.mark.usefixtures("quickly_compiled")
def test_from_a_config_and_its_weights(run_config):
    batch, again = images.pairs_to_draw(run_config), images.pairs_to_draw(run_config)
    assert all(np.array_equal(batch[name], again[name]) for name in images.FIELDS)
    state = init_state(run_config, initial_weights(run_config.model, 42), make_mesh(run_config))
    prediction = jax.device_get(images.make_predict(run_config, make_mesh(run_config))(state, batch, kept=(12,)))
    assert prediction.eliminated[0].shape == (4, 4)
    assert prediction.features is None
    assert [len(row) for row in _tiles(images.draw_pairs(batch, prediction))] == [4] * 4
    only_training = {name: part for name, part in run_config.data.items() if part.use == "train"}
    assert images.pairs_to_draw(dataclasses.replace(run_config, data=only_training))["search"].shape == (4, 32, 32, 3)
