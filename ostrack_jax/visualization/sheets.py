"""What the network saw, drawn. Enters: `Look`s at frames of a sequence. Leaves: RGB sheets, a row a frame; video pages.

Three sheets: the elimination stages (the paper's figures 5 and A3), the attention of the centre template token per
block (4 and A2), the discriminative regions (6). Answered boxes are amber, true ones blue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ostrack_jax.visualization.draw import TRACK_COLOUR, TRUTH_COLOUR, Colour, Picture
from ostrack_jax.visualization.looks import Look
from ostrack_jax.visualization.tiles import WORDS, boxed, captioned, heat, sheet, stages, tile

_PAGE = 6  # tiles in a row of a video's page


@dataclass(frozen=True, eq=False)
class Seen:
    """A look with its place in the sequence.

    Attributes:
      frame: its number, from 0.
      look: at it.
      truth_xywh: the true box as fractions of the search region; None where there is none.
    """

    frame: int
    look: Look
    truth_xywh: Float[np.ndarray, " 4"] | None = None


def elimination(seen: list[Seen]) -> Picture:
    """A row a frame: search region, the candidates left after each stage, the score map."""
    return sheet([[_search(one), *_stages(one), _score(one)] for one in seen])


def attention(seen: list[Seen]) -> Picture:
    """A row a frame: search region, and per block what the template's centre token attends to in it."""
    return sheet([[_search(one), *_attention(one)] for one in seen])


def regions(seen: list[Seen]) -> Picture:
    """A row a frame: search region, its discriminative regions, the score map."""
    return sheet([[_search(one), _regions(one), _score(one)] for one in seen])


def page(one: Seen) -> Picture:
    """All of one frame, for a video: the tiles of the three sheets in rows."""
    tiles = [_search(one), *_stages(one), _score(one), _regions(one), *_attention(one)]
    return sheet([tiles[i : i + _PAGE] for i in range(0, len(tiles), _PAGE)])


def _boxes(one: Seen) -> list[tuple[Float[np.ndarray, " 4"], Colour]]:
    truth = [] if one.truth_xywh is None else [(one.truth_xywh, TRUTH_COLOUR)]
    return [*truth, (one.look.answer_xywh, TRACK_COLOUR)]


def _search(one: Seen) -> Picture:
    return captioned(boxed(tile(one.look.search), *_boxes(one)), [(f"frame {one.frame}", WORDS)])


def _stages(one: Seen) -> list[Picture]:
    return stages(one.look.search, one.look.eliminated, one.look.score_map.shape[0], *_boxes(one)[:-1])


def _score(one: Seen) -> Picture:
    return captioned(heat(tile(one.look.search), one.look.score_map), [(f"score {one.look.score:.2f}", WORDS)])


def _regions(one: Seen) -> Picture:
    return captioned(heat(tile(one.look.search), one.look.regions), [("discriminative regions", WORDS)])


def _attention(one: Seen) -> list[Picture]:
    """Each block's map, with the share of the attention that falls on the search region."""
    background = tile(one.look.search)
    return [
        captioned(heat(background, values), [(f"block {block}: {np.nansum(values):.0%} on search", WORDS)])
        for block, values in enumerate(one.look.attention, 1)
    ]
