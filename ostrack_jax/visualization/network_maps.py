"""Draw the network's view of frames of a sequence: sheets with a row a frame, and pages of a video.

Three sheets: the elimination stages (the paper's figures 5 and A3), the attention of the centre template token per
block (4 and A2), the discriminative regions (6). Answered boxes are amber, true ones blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from ostrack_jax.visualization.draw import TRACK_COLOUR, TRUTH_COLOUR, Colour, Image
from ostrack_jax.visualization.tiles import WORDS, boxed, captioned, heat, mask, sheet, tile

_PAGE = 6  # tiles in a row of a video's page


@dataclass(frozen=True, eq=False)
class Seen:
    """One frame as the network saw it; boxes are fractions of the search region, maps lie on its grid of cells.

    Attributes:
      frame: its number, from 0.
      truth_xywh: the true box; None where there is none.
      search: the search region.
      answer_xywh: the answered box; ``score`` that of the answer.
      score_map: how likely the target's centre lies in each cell.
      eliminated: positions in the grid that each stage drops.
      attention: per block what the template's centre token attends to; NaN where the candidate is gone.
      regions: on which cells the answer rests.
    """

    frame: int
    truth_xywh: Float[np.ndarray, " 4"] | None
    search: UInt8[np.ndarray, "s s 3"]
    answer_xywh: Float[np.ndarray, " 4"]
    score: float
    score_map: Float[np.ndarray, "h w"]
    eliminated: tuple[Int[np.ndarray, " _"], ...]
    attention: Float[np.ndarray, "blocks h w"]
    regions: Float[np.ndarray, "h w"]


def elimination(seen: list[Seen]) -> Image:
    """A row a frame: search region, the candidates left after each stage, the score map."""
    return sheet([[_search(one), *_stages(one), _score(one)] for one in seen])


def attention(seen: list[Seen]) -> Image:
    """A row a frame: search region, and per block what the template's centre token attends to in it."""
    return sheet([[_search(one), *_attention(one)] for one in seen])


def regions(seen: list[Seen]) -> Image:
    """A row a frame: search region, its discriminative regions, the score map."""
    return sheet([[_search(one), _regions(one), _score(one)] for one in seen])


def page(one: Seen) -> Image:
    """All of one frame, for a video: the tiles of the three sheets in rows."""
    tiles = [_search(one), *_stages(one), _score(one), _regions(one), *_attention(one)]
    return sheet([tiles[i : i + _PAGE] for i in range(0, len(tiles), _PAGE)])


def stages(
    crop: UInt8[np.ndarray, "h w 3"],
    eliminated: Sequence[Int[np.ndarray, " _"]],
    side: int,
    *boxes: tuple[Float[np.ndarray, " 4"], Colour],
) -> list[Image]:
    """After each elimination stage a captioned tile with the candidates gone so far masked (the paper's figure 5).

    Args:
      crop: the search region.
      eliminated: positions in its grid of ``side`` x ``side`` cells that each stage drops.
      side: of the grid.
      boxes: to draw, as of `boxed`.
    """
    gone, tiles = np.zeros(side * side, bool), []
    for stage, positions in enumerate(eliminated, 1):
        gone[positions] = True
        masked = boxed(mask(tile(crop), gone.reshape(side, side)), *boxes)
        tiles.append(captioned(masked, [(f"after stage {stage}: {int((~gone).sum())} of {gone.size}", WORDS)]))
    return tiles


def _boxes(one: Seen) -> list[tuple[Float[np.ndarray, " 4"], Colour]]:
    truth = [] if one.truth_xywh is None else [(one.truth_xywh, TRUTH_COLOUR)]
    return [*truth, (one.answer_xywh, TRACK_COLOUR)]


def _search(one: Seen) -> Image:
    return captioned(boxed(tile(one.search), *_boxes(one)), [(f"frame {one.frame}", WORDS)])


def _stages(one: Seen) -> list[Image]:
    return stages(one.search, one.eliminated, one.score_map.shape[0], *_boxes(one)[:-1])


def _score(one: Seen) -> Image:
    return captioned(heat(tile(one.search), one.score_map), [(f"score {one.score:.2f}", WORDS)])


def _regions(one: Seen) -> Image:
    return captioned(heat(tile(one.search), one.regions), [("discriminative regions", WORDS)])


def _attention(one: Seen) -> list[Image]:
    """Each block's map, with the share of the attention that falls on the search region."""
    background = tile(one.search)
    return [
        captioned(heat(background, values), [(f"block {block}: {np.nansum(values):.0%} on search", WORDS)])
        for block, values in enumerate(one.attention, 1)
    ]
