"""The compiled network of a tracker: templates of several targets stay on the device, one step serves all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from ostrack_jax.config import Config
from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.models.weights import flat, model_of
from ostrack_jax.tracking.details import discriminative_regions
from ostrack_jax.tracking.prior import hann


class TrackingNetwork:
    """Templates of a fixed number of targets on the device, and one compiled step that finds them all.

    Both executables are made at once: no frame size, and no number of targets below ``targets``, compiles again.

    Attributes:
      compile_seconds: what making the executables took; where the cache of executables has them, their loading.
      details: of the last step of a network made with ``details`` (and one target): its `Prediction` with all details,
        and the discriminative regions.
    """

    def __init__(self, config: Config, weights: Mapping[str, Any], targets: int, details: bool = False):
        graph, self._state = nnx.split(model_of(config.model, weights))
        began = time.perf_counter()
        self._place, self._predict, self._templates = _compile(config, graph, self._state, targets, details)
        self.compile_seconds = time.perf_counter() - began
        self.details: tuple[Prediction, np.ndarray] | None = None

    def weights(self) -> dict[str, np.ndarray]:
        """Return the tensors by dotted name."""
        return jax.device_get(flat(self._state))

    def place(self, slot: int, template: UInt8[np.ndarray, "t t 3"], box_xywh_fractions: Float[np.ndarray, " 4"]):
        """Keep a template crop, with its box as fractions of it, as the target in ``slot``; the others stay."""
        box = box_xywh_fractions.astype(np.float32)
        self._templates = self._place(self._state, self._templates, np.int32(slot), template, box)

    def predict(
        self, searches: UInt8[np.ndarray | jax.Array, "b s s 3"]
    ) -> tuple[Float[np.ndarray, "b 4"], Float[np.ndarray, " b"]]:
        """Predict box (cx, cy, w, h, fractions of the crop) and score in each slot's search crop.

        Slots are independent of one another: what an empty one holds changes no other's prediction.
        """
        boxes, scores, *details = jax.device_get(self._predict(self._state, self._templates, searches))
        self.details = details[0] if details else None
        return boxes, scores


def _compile(
    config: Config, graph: nnx.GraphDef, state: nnx.State, targets: int, details: bool
) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    """Compile the functions that set a slot's template and find all targets; return both and the empty slots."""
    model = config.model
    window = jnp.asarray(hann(model.search_size // model.patch)) if config.track.window else None

    def embed(state: nnx.State, template: jax.Array) -> jax.Array:
        return nnx.merge(graph, state).embed_template(template[None])[0]

    def place(state: nnx.State, templates: Any, slot: jax.Array, template: jax.Array, box: jax.Array) -> Any:
        tokens, boxes = templates
        return tokens.at[slot].set(embed(state, template)), boxes.at[slot].set(box)

    def predict(state: nnx.State, templates: Any, searches: jax.Array) -> Any:
        tokens, boxes = templates
        network = nnx.merge(graph, state)
        prediction = network(tokens, searches, boxes, window=window, details=details)
        found = prediction.boxes, prediction.scores
        if not details:
            return found
        ranked = prediction.score_map if window is None else prediction.score_map * window
        regions = discriminative_regions(network, prediction, ranked.reshape(-1).argmax())
        return *found, (prediction._replace(features=None), regions)

    crop = jax.ShapeDtypeStruct((model.template_size, model.template_size, 3), jnp.uint8)
    searches = jax.ShapeDtypeStruct((targets, model.search_size, model.search_size, 3), jnp.uint8)
    tokens = jax.eval_shape(embed, state, crop)
    templates = (jnp.zeros((targets, *tokens.shape), tokens.dtype), jnp.zeros((targets, 4), jnp.float32))
    slot, box = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((4,), jnp.float32)
    return (
        # Nothing is donated: a start that fails (no memory on the device) leaves the other targets' templates alone.
        jax.jit(place).lower(state, templates, slot, crop, box).compile(),
        jax.jit(predict).lower(state, templates, searches).compile(),
        templates,
    )
