"""What the network sees and answers, for the eye. Enters: pairs and their `Prediction`. Leaves: one RGB picture.

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
    """Which data sets the pictures are of: the validation's, where there are some."""
    return "validation" if any(data.use == "validation" for data in config.data.values()) else "train"


def pairs(config: Config, count: int = PAIRS) -> dict[str, np.ndarray]:
    """The first ``count`` validation pairs, always the same ones (training pairs where there is no validation)."""
    use = use_of(config)
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


def draw(batch: Mapping[str, np.ndarray], prediction: Prediction) -> Image:
    """All pairs of ``batch`` below one another; ``prediction`` as `make_look` gives it, on the host."""
    pairs_of_batch = range(len(batch["search"]))
    return sheet([_row({name: batch[name][i] for name in FIELDS}, _one(prediction, i)) for i in pairs_of_batch])


def _one(prediction: Prediction, i: int) -> Prediction:
    """Sample ``i`` alone, as numpy."""
    return jax.tree.map(lambda value: np.asarray(value[i]), prediction)


def _row(pair: Mapping[str, np.ndarray], prediction: Prediction) -> list[Image]:
    """One pair's tiles."""
    true, predicted = pair["search_box"], cxcywh_to_xywh(prediction.boxes)
    overlap = float(iou(xywh_to_xyxy(predicted), np.clip(xywh_to_xyxy(true), 0, 1)))
    boxes: Words = [("true", TRUTH_COLOUR), ("predicted", TRACK_COLOUR), (f"IoU {overlap:.2f}", WORDS)]
    tiles = [
        captioned(boxed(tile(pair["template"]), (pair["template_box"], TRUTH_COLOUR)), [("template", WORDS)]),
        captioned(boxed(tile(pair["search"]), (true, TRUTH_COLOUR), (predicted, TRACK_COLOUR)), boxes),
        captioned(heat(tile(pair["search"]), np.asarray(prediction.score_map)), _score_words(prediction)),
    ]
    side = prediction.score_map.shape[0]
    return tiles + stages(pair["search"], list(map(np.asarray, prediction.eliminated)), side, (true, TRUTH_COLOUR))


def _score_words(prediction: Prediction) -> Words:
    return [(f"score {float(prediction.score_map.min()):.2f} to {float(prediction.score_map.max()):.2f}", WORDS)]
