"""What the network sees and answers, for the eye. Enters: pairs and their `Prediction`. Leaves: one RGB picture.

A row a pair: the template with its box; the search region with the true box (blue) and the predicted one (amber); the
score map as heat over it; and for each elimination stage the search region with the candidates gone so far masked, as
in the paper's figure 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Bool, Float, UInt8

from ostrack_jax.config import Config
from ostrack_jax.drawing import TRACK_COLOUR, TRUTH_COLOUR, Colour, Picture, draw_box
from ostrack_jax.geometry.boxes import cxcywh_to_xywh, iou, xywh_to_xyxy
from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.models.weights import from_flat, structure
from ostrack_jax.pipeline.loader import open_sources, record
from ostrack_jax.training.step import State, weights_of

PAIRS = 4
TILE, CAPTION, GAP = 256, 24, 6  # pixels: a tile's side, the line of words above it, the space around
GROUND, WORDS, MASK = (24, 26, 30), (230, 230, 230), (62, 66, 74)
MASKED = 0.82  # the share of the mask's colour where a candidate is gone
FIELDS = ("template", "search", "template_box", "search_box")

Words = list[tuple[str, Colour]]


def pairs(config: Config, count: int = PAIRS) -> dict[str, np.ndarray]:
    """The first ``count`` validation pairs, always the same ones (training pairs where there is no validation)."""
    use = "validation" if any(data.use == "validation" for data in config.data.values()) else "train"
    sources = open_sources(config, use)
    records = [record(config, i, use, sources) for i in range(count)]
    return {name: np.stack([fields[name] for fields in records]) for name in FIELDS}


def make_look(config: Config, mesh: Mesh) -> Callable[..., Prediction]:
    """The jitted ``look(state, batch, valid, kept=...)``: a `Prediction` with what each stage drops."""
    graph = structure(config.model)[0]

    def look(state: State, batch: Mapping[str, Any], valid: None = None, *, kept: tuple[int, ...]) -> Prediction:
        model = nnx.merge(graph, from_flat(config.model, weights_of(state)))
        arguments = batch["template"], batch["search"], batch["template_box"]
        prediction = model(*arguments, kept_counts=kept, valid_counts=valid, details=True)
        return prediction._replace(features=None, centre_attention=())  # large, and not drawn

    everywhere = NamedSharding(mesh, PartitionSpec())  # so that any host can read it
    return jax.jit(look, static_argnames="kept", out_shardings=everywhere)


def draw(batch: Mapping[str, np.ndarray], prediction: Prediction) -> Picture:
    """All pairs of ``batch`` below one another; ``prediction`` as `make_look` gives it, on the host."""
    rows = [_row({name: batch[name][i] for name in FIELDS}, _one(prediction, i)) for i in range(len(batch["search"]))]
    picture = np.concatenate(rows)
    return cv2.copyMakeBorder(picture, GAP, 0, GAP, 0, cv2.BORDER_CONSTANT, value=GROUND)


def _one(prediction: Prediction, i: int) -> Prediction:
    """Sample ``i`` alone, as numpy."""
    return jax.tree.map(lambda value: np.asarray(value[i]), prediction)


def _row(pair: Mapping[str, np.ndarray], prediction: Prediction) -> Picture:
    """One pair's tiles beside one another."""
    true, predicted = pair["search_box"], cxcywh_to_xywh(prediction.boxes)
    overlap = float(iou(xywh_to_xyxy(predicted), np.clip(xywh_to_xyxy(true), 0, 1)))
    boxes: Words = [("true", TRUTH_COLOUR), ("predicted", TRACK_COLOUR), (f"IoU {overlap:.2f}", WORDS)]
    tiles = [
        _captioned(_boxed(_tile(pair["template"]), (pair["template_box"], TRUTH_COLOUR)), [("template", WORDS)]),
        _captioned(_boxed(_tile(pair["search"]), (true, TRUTH_COLOUR), (predicted, TRACK_COLOUR)), boxes),
        _captioned(heat(_tile(pair["search"]), np.asarray(prediction.score_map)), _score_words(prediction)),
    ]
    side = prediction.score_map.shape[0]
    gone = np.zeros(side * side, bool)
    for stage, positions in enumerate(prediction.eliminated, 1):
        gone[positions] = True
        masked = _boxed(mask(_tile(pair["search"]), gone.reshape(side, side)), (true, TRUTH_COLOUR))
        tiles.append(_captioned(masked, [(f"after stage {stage}: {int((~gone).sum())} of {gone.size}", WORDS)]))
    return np.concatenate(tiles, axis=1)


def heat(tile: Picture, score_map: Float[np.ndarray, "h w"]) -> Picture:
    """The score map over the picture, from its least (the darkened picture alone) to its greatest (full colour)."""
    spread = score_map - score_map.min()
    share = spread / max(float(spread.max()), 1e-9)
    share = np.clip(cv2.resize(share, tile.shape[1::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = np.sqrt(share)[..., None]
    return np.rint(0.45 * tile * (1 - weight) + colours * weight).astype(np.uint8)


def mask(tile: Picture, gone: Bool[np.ndarray, "h w"]) -> Picture:
    """The picture with each cell of the grid ``gone`` hidden but for a trace."""
    cells = cv2.resize(gone.astype(np.uint8), tile.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    hidden = np.rint((1 - MASKED) * tile + MASKED * np.array(MASK)).astype(np.uint8)
    return np.where(cells[..., None], hidden, tile)


def _tile(crop: UInt8[np.ndarray, "h w 3"]) -> Picture:
    smooth = cv2.INTER_AREA if crop.shape[0] > TILE else cv2.INTER_CUBIC
    return cv2.resize(crop, (TILE, TILE), interpolation=smooth)


def _boxed(tile: Picture, *boxes: tuple[Float[np.ndarray, " 4"], Colour]) -> Picture:
    """With boxes given as x, y, w, h in fractions of the tile."""
    for box, colour in boxes:
        draw_box(tile, np.asarray(box, np.float64) * TILE, colour, 2)
    return tile


def _score_words(prediction: Prediction) -> Words:
    return [(f"score {float(prediction.score_map.min()):.2f} to {float(prediction.score_map.max()):.2f}", WORDS)]


def _captioned(tile: Picture, words: Words) -> Picture:
    """The tile with words above it and space to the right and below."""
    out = cv2.copyMakeBorder(tile, CAPTION, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=GROUND)
    x = 2
    for text, colour in words:
        cv2.putText(out, text, (x, CAPTION - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
        x += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] + 10
    return out
