"""The tracker. Enters: RGB frames and a first box. Leaves: a `Track` per frame.

tracker = Tracker.from_checkpoint("weights")
tracker.init(first_frame, (x, y, w, h))
track = tracker.update(next_frame)  # track.box_xywh, track.score
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from ostrack_jax.checkpoint import load_weights
from ostrack_jax.config import Config
from ostrack_jax.errors import UserError
from ostrack_jax.geometry.boxes import clip_xywh
from ostrack_jax.geometry.crops import box_to_crop, crop_to_frame, square_crop
from ostrack_jax.models.weights import model_of
from ostrack_jax.tracking.prior import hann
from ostrack_jax.tracking.track import Track


class Tracker:
    """One target through one video at a time; `init` starts anew.

    Everything is compiled when the tracker is made, for crops of a fixed size: no frame, whatever its size, compiles
    anything again. The template is prepared once, in `init`.

    Attributes:
      compile_seconds: what making the executables took.
    """

    def __init__(self, config: Config, weights: Mapping[str, Any]):
        self.config = config
        graph, self._state = nnx.split(model_of(config.model, weights))
        started = time.perf_counter()
        self._embed, self._predict = _compile(config, graph, self._state)
        self.compile_seconds = time.perf_counter() - started
        self._template: Any = None
        self._box_xywh: np.ndarray | None = None

    @classmethod
    def from_checkpoint(cls, path: str | Path, config: Config | None = None) -> Tracker:
        """The tracker of a weights folder, a ``.safetensors`` file or a training workdir.

        ``config`` replaces the one stored there (its model must fit the weights).
        """
        stored, weights = load_weights(Path(path))
        return cls(config or stored, weights)

    def init(
        self, frame: UInt8[np.ndarray, "h w 3"], box_xywh: Sequence[float | int] | Float[np.ndarray, " 4"]
    ) -> None:
        """Start on RGB ``frame`` with the target's box in pixels.

        Raises:
          UserError: the frame is no RGB picture of bytes, or the box has no area or is not finite.
        """
        _check_frame(frame)
        box = np.asarray(box_xywh, np.float64)
        if box.shape != (4,):
            raise UserError(f"a box has four numbers x, y, w, h: found {box_xywh!r}")
        model = self.config.model
        crop = square_crop(frame, box, model.template_factor, model.template_size)
        inside = box_to_crop(box, box, crop.resize_factor, model.template_size).astype(np.float32)
        self._template = self._embed(self._state, crop.image[None]), inside[None]
        self._box_xywh = box

    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Track:
        """Where the target is in the next frame: a box that keeps ``config.track.margin`` pixels inside the frame.

        Raises:
          UserError: the frame is no RGB picture of bytes.
          RuntimeError: there was no `init`.
        """
        if self._box_xywh is None:
            raise RuntimeError("Tracker.update before Tracker.init: there is no target yet")
        _check_frame(frame)
        model = self.config.model
        crop = square_crop(frame, self._box_xywh, model.search_factor, model.search_size)
        box, score = jax.device_get(self._predict(self._state, *self._template, crop.image[None]))
        found = crop_to_frame(box[0].astype(np.float64), self._box_xywh, crop.resize_factor, model.search_size)
        height, width = frame.shape[:2]
        self._box_xywh = box_xywh = clip_xywh(found, height, width, self.config.track.margin)
        return Track(box_xywh.copy(), float(score[0]))


def _check_frame(frame: Any) -> None:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise UserError(f"a frame is a numpy array uint8 (height, width, 3) in RGB: found {found}")


def _compile(config: Config, graph: nnx.GraphDef, state: nnx.State) -> tuple[Callable, Callable]:
    """Executables for the template's tokens and for box and score in a search region, ahead of time."""
    model = config.model
    window = jnp.asarray(hann(model.search_size // model.patch)) if config.track.window else None

    def embed(state: nnx.State, template: jax.Array) -> jax.Array:
        return nnx.merge(graph, state).embed_template(template)

    def predict(state: nnx.State, tokens: jax.Array, template_box: jax.Array, search: jax.Array) -> Any:
        prediction = nnx.merge(graph, state)(tokens, search, template_box, window=window)
        return prediction.boxes, prediction.scores

    template, search = (jax.ShapeDtypeStruct((1, s, s, 3), jnp.uint8) for s in (model.template_size, model.search_size))
    tokens = jax.eval_shape(embed, state, template)
    box = jax.ShapeDtypeStruct((1, 4), jnp.float32)
    return (
        jax.jit(embed).lower(state, template).compile(),
        jax.jit(predict).lower(state, tokens, box, search).compile(),
    )
