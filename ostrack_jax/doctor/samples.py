"""Draw random sequences of a data set with their boxes, an image of each, to check that boxes are on their targets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ostrack_jax.data.annotations import valid
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.io import write_atomically
from ostrack_jax.visualization.draw import TRUTH_COLOUR, Image, draw_box, draw_label
from ostrack_jax.visualization.tiles import grid

_TILES, _COLUMNS = 6, 3  # frames of a sequence on its sheet
_WIDTH = 480  # pixels of a frame there
_HIDDEN = (170, 170, 170)  # of a box that training does not learn from


def write_samples(sequences: LazySequences, directory: Path, count: int = 10, seed: int = 0) -> list[Path]:
    """Draw ``count`` sequences at random and write a JPEG of each; those that cannot be read are skipped.

    Args:
      sequences: opened.
      directory: made where it is not there.
      count: of sheets; fewer where there are fewer sequences.
      seed: of the choice.
    """
    written: list[Path] = []
    for index in np.random.default_rng(seed).permutation(len(sequences)):
        if len(written) == count:
            break
        try:
            sheet = draw_sheet(sequences[int(index)])
        except UserError:  # reported by the check itself
            continue
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in sequences.names[int(index)])
        written.append(directory / f"{len(written) + 1:02d}_{name[:80]}.jpg")
        # Not by OpenCV, which takes no name that is not UTF-8, and is silent about a full disk.
        write_atomically(written[-1], cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    return written


def draw_sheet(sequence: Sequence) -> Image:
    """Some frames of a sequence next to one another with their boxes: blue where visible, grey where not.

    Raises:
      UserError: an image cannot be read.
    """
    frames = np.unique(np.linspace(0, len(sequence) - 1, min(_TILES, len(sequence))).round().astype(int))
    tiles = [_tile(sequence, int(frame)) for frame in frames]
    return grid(tiles, _COLUMNS)


def _tile(sequence: Sequence, frame: int) -> Image:
    image = sequence.frames[frame]
    scale = _WIDTH / image.shape[1]
    tile = cv2.resize(image, (_WIDTH, max(1, round(image.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    box = sequence.boxes_xywh[frame] * scale
    visible = bool(sequence.visible[frame])
    colour = TRUTH_COLOUR if visible else _HIDDEN
    draw_box(tile, box, colour, 2)
    words = "" if visible else ", not visible" if valid(box[None])[0] else ", no box"
    draw_label(tile, f"{sequence.name[:40]}  frame {frame} of {len(sequence)}{words}", (0.0, 0.0), 2, colour)
    return tile
