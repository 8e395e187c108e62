"""Images of validation pairs with the network's candidates and predictions.

A row a pair: the template with its box; the search region with the true box (blue) and the predicted one (amber); the
score map as heat over it; and for each elimination stage the search region with the candidates gone so far masked, as
in the paper's figure 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ostrack_jax.config import Config
from ostrack_jax.geometry.boxes import cxcywh_to_xywh, iou, xywh_to_xyxy
from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.models.weights import from_flat, structure
from ostrack_jax.pipeline.loader import Use, open_sources, record
from ostrack_jax.training.step import State, weights_of
from ostrack_jax.visualization.draw import TRACK_COLOUR, TRUTH_COLOUR, Image
from ostrack_jax.visualization.network_maps import stages
from ostrack_jax.visualization.tiles import WORDS, Words, boxed, captioned, heat, sheet, tile

PAIRS = 4
FIELDS = ("template", "search", "template_box", "search_box")


def use_of(config: Config) -> Use:
    """Which data sets the images are of: the validation's, where there are some."""
    return "validation" if any(data.use == "validation" for data in config.data.values()) else "train"


def pairs_to_draw(config: Config, count: int = PAIRS) -> dict[str, np.ndarray]:
    """The first ``count`` validation pairs, always the same ones (training pairs where there is no validation)."""
    use = use_of(config)
    sources = open_sources(config, use)
    records = [record(config, i, use, sources) for i in range(count)]
    return {name: np.stack([fields[name] for fields in records]) for name in FIELDS}


def make_predict(config: Config, mesh: Mesh) -> Callable[..., Prediction]:
    """The jitted ``predict(state, batch, valid, kept=...)``: a `Prediction` with the tokens that each stage drops."""
    graph = structure(config.model)[0]

    def predict(state: State, batch: Mapping[str, Any], valid: None = None, *, kept: tuple[int, ...]) -> Prediction:
        model = nnx.merge(graph, from_flat(config.model, weights_of(state)))
        arguments = batch["template"], batch["search"], batch["template_box"]
        prediction = model(*arguments, kept_counts=kept, valid_counts=valid, details=True)
        return prediction._replace(features=None, centre_attention=())  # large, and not drawn

    everywhere = NamedSharding(mesh, PartitionSpec())  # so that any host can read it
    return jax.jit(predict, static_argnames="kept", out_shardings=everywhere)


def draw_pairs(batch: Mapping[str, np.ndarray], prediction: Prediction) -> Image:
    """All pairs of ``batch`` below one another; ``prediction`` as `make_predict` gives it, on the host."""
    rows = []
    for i in range(len(batch["search"])):
        pair, predicted = jax.tree.map(lambda value, i=i: np.asarray(value[i]), (dict(batch), prediction))
        rows.append(_row(pair, predicted))
    return sheet(rows)


def _row(pair: Mapping[str, np.ndarray], prediction: Prediction) -> list[Image]:
    """One pair's tiles."""
    true, predicted, score = pair["search_box"], cxcywh_to_xywh(prediction.boxes), np.asarray(prediction.score_map)
    overlap = float(iou(xywh_to_xyxy(predicted), np.clip(xywh_to_xyxy(true), 0, 1)))
    boxes: Words = [("true", TRUTH_COLOUR), ("predicted", TRACK_COLOUR), (f"IoU {overlap:.2f}", WORDS)]
    search = tile(pair["search"])
    tiles = [
        captioned(boxed(tile(pair["template"]), (pair["template_box"], TRUTH_COLOUR)), [("template", WORDS)]),
        captioned(boxed(tile(pair["search"]), (true, TRUTH_COLOUR), (predicted, TRACK_COLOUR)), boxes),
        captioned(heat(search, score), [(f"score {score.min():.2f} to {score.max():.2f}", WORDS)]),
    ]
    eliminated = list(map(np.asarray, prediction.eliminated))
    return tiles + stages(pair["search"], eliminated, len(score), (true, TRUTH_COLOUR))
