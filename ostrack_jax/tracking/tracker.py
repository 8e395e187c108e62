"""The tracker: a first frame with a box, then a `Track` for every frame.

tracker = Tracker.from_checkpoint()  # the small network that is shipped with the package
tracker.init(first_frame, (x, y, w, h))
track = tracker.update(next_frame)  # track.box_xywh, track.score

Several targets go through the network together, in one video (`Tracker.from_checkpoint("weights", targets=3)`, `init`
with three boxes, `update_all`) or each in its own: `init_slot`, then `crop_search` and `predict_slots` for every frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from ostrack_jax.checkpoint.files import load_weights, sha256
from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.geometry.boxes import clip_xywh
from ostrack_jax.geometry.crops import box_to_crop, crop_to_frame, square_crop
from ostrack_jax.tracking.precision import for_device
from ostrack_jax.tracking.track import Track
from ostrack_jax.weights import DEFAULT

if TYPE_CHECKING:
    from ostrack_jax.tracking.details import Details

Frame = UInt8[np.ndarray, "h w 3"]


class Tracker:
    """One target through one video at a time, or up to ``targets`` at once; `init` starts again.

    Everything is compiled when the tracker is made, for crops of a fixed size and a fixed number of slots: no frame,
    whatever its size, and no slot that is empty, compiles anything again. A template is prepared once, at its start.

    With ``details`` (and one target) it also keeps what the network saw in the last frame, see `details`.

    Attributes:
      targets: how many there may be at once; each has a slot, counted from 0.
      network: the compiled step, on ready crops.
      compile_seconds: what making the executables took, or loading them from the cache.
    """

    def __init__(self, config: Config, weights: Mapping[str, Any], targets: int = 1, details: bool = False):
        from ostrack_jax.tracking.network import TrackingNetwork  # Flax takes a second to import

        if targets < 1 or (details and targets > 1):
            raise UserError(f"a tracker of {targets} targets: expected at least 1, with details exactly 1")
        self.config, self.targets = config, targets
        self.network = TrackingNetwork(config, weights, targets, details)
        self.compile_seconds = self.network.compile_seconds
        size = config.model.search_size
        self._searches = np.zeros((targets, size, size, 3), np.uint8)
        self._boxes_xywh: dict[int, np.ndarray] = {}
        self._cropped: dict[int, tuple[float, tuple[int, int]]] = {}  # the crop's resize factor, the frame's size

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path = DEFAULT,
        config: Config | str | Path | None = None,
        targets: int = 1,
        *,
        changes: Sequence[str] = (),
        details: bool = False,
    ) -> Tracker:
        """Load a weights directory, a ``.safetensors`` file, a training's workdir or a shipped network.

        Args:
          path: of the checkpoint, or the name of a shipped network.
          config: itself, its name or its path, in place of the checkpoint's own; its model must fit the weights. The
            checkpoint's own holds but for its precision where the device does not compute in it, see `precision`.
          targets: how many there may be at once.
          changes: settings of a config that is not given itself, as ``model.dtype=bfloat16``.
          details: keep what the network saw in the last frame.

        Raises:
          UserError: no checkpoint, no such config, an unknown setting, weights that do not fit the model.
        """
        stored, weights = load_weights(path)
        if not isinstance(config, Config):
            config = for_device(stored, config, changes)
        config = dataclasses.replace(config, data=stored.data)  # what the weights were trained on
        return cls(config, weights, targets, details)

    @property
    def provenance(self) -> dict[str, Any]:
        """What the predictions depend on, for a report: the settings that matter and a hash of the weights."""
        whole, weights = to_dict(self.config), sha256(self.network.weights())
        return {
            "tracker": self.config.name,
            "weights_sha256": weights,
            "model": whole["model"],
            "track": whole["track"],
        }

    def init(self, frame: Frame, box_xywh: Sequence[Any] | Float[np.ndarray, "*n 4"]) -> None:
        """Start on RGB ``frame`` with the target's box in pixels, or with a box for each of up to ``targets``.

        Raises:
          UserError: the frame is not an RGB image of bytes, or a box has no area or is not finite.
        """
        _check_frame(frame)
        boxes = _check_boxes(box_xywh)
        if not 1 <= len(boxes) <= self.targets:
            raise UserError(f"{len(boxes)} boxes for a tracker of {self.targets}: make it with targets={len(boxes)}")
        self._boxes_xywh.clear()
        for slot, box in enumerate(boxes):
            self.init_slot(slot, frame, box)

    def update(self, frame: Frame) -> Track:
        """Track the target into the next frame: a box that keeps ``config.track.margin`` pixels inside the frame.

        Raises:
          UserError: the frame is not an RGB image of bytes.
          RuntimeError: there was no `init`, or there are several targets.
        """
        if len(self._boxes_xywh) > 1:
            raise RuntimeError(f"Tracker.update tracks one target, there are {len(self._boxes_xywh)}: use update_all")
        return self.update_all(frame)[0]

    def update_all(self, frame: Frame) -> list[Track]:
        """Track every target that `init` was given into the next frame, in that order."""
        if not self._boxes_xywh:
            raise RuntimeError("Tracker.update before Tracker.init: there is no target yet")
        for slot in self._boxes_xywh:
            self.crop_search(slot, frame)
        tracks = self.predict_slots()
        return [tracks[slot] for slot in self._boxes_xywh]

    def details(self) -> Details:
        """The network's view of the last frame; a RuntimeError without ``details=True`` or before an `update`."""
        from ostrack_jax.tracking.details import details_of

        if self.network.details is None:
            raise RuntimeError("Tracker.details: expected a tracker made with details=True, after an update")
        return details_of(self._searches[0].copy(), *self.network.details, self.config.model)

    def search_around(self, slot: int, box_xywh: Float[np.ndarray, " 4"]) -> None:
        """Search the next frame of the target in ``slot`` around this box in place of the last prediction."""
        self._boxes_xywh[slot] = np.array(box_xywh, np.float64)

    def init_slot(self, slot: int, frame: Frame, box_xywh: Sequence[Any] | Float[np.ndarray, " 4"]) -> None:
        """Start a target in ``slot``, whatever was there, with its box in ``frame``.

        Raises:
          UserError: as `init`; or the slot does not exist.
        """
        if not 0 <= slot < self.targets:
            raise UserError(f"slot {slot} of a tracker of {self.targets}: expected 0 to {self.targets - 1}")
        _check_frame(frame)
        boxes = _check_boxes(box_xywh)
        if len(boxes) != 1:
            raise UserError(f"{len(boxes)} boxes for one slot: expected one")
        box, model = boxes[0], self.config.model
        crop = square_crop(frame, box, model.template_factor, model.template_size)
        inside = box_to_crop(box, box, crop.resize_factor, model.template_size)
        self.network.place(slot, crop.image, inside)
        self._boxes_xywh[slot] = box
        self._cropped.pop(slot, None)

    def crop_search(self, slot: int, frame: Frame) -> None:
        """Crop the search region of the target in ``slot`` out of its next frame. Several threads may, a slot each.

        Raises:
          UserError: the frame is not an RGB image of bytes.
          RuntimeError: there was no `init_slot` of this slot.
        """
        _check_frame(frame)
        if slot not in self._boxes_xywh:
            raise RuntimeError(f"Tracker.crop_search before Tracker.init_slot: there is no target in slot {slot} yet")
        model = self.config.model
        crop = square_crop(frame, self._boxes_xywh[slot], model.search_factor, model.search_size)
        self._searches[slot] = crop.image
        self._cropped[slot] = crop.resize_factor, frame.shape[:2]

    def predict_slots(self) -> dict[int, Track]:
        """Predict each target whose search region was cropped since the last call: one step of the network for all."""
        cropped, self._cropped = self._cropped, {}
        boxes, scores = self.network.predict(self._searches)
        size, tracks = self.config.model.search_size, {}
        for slot, (resize_factor, (height, width)) in sorted(cropped.items()):
            found = crop_to_frame(boxes[slot].astype(np.float64), self._boxes_xywh[slot], resize_factor, size)
            box_xywh = self._boxes_xywh[slot] = clip_xywh(found, height, width, self.config.track.margin)
            tracks[slot] = Track(box_xywh.copy(), float(scores[slot]))
        return tracks


def _check_boxes(box_xywh: Any) -> Float[np.ndarray, "n 4"]:
    """Copy one box, or several, into an array."""
    try:
        boxes = np.array(box_xywh, np.float64, ndmin=2)
    except (ValueError, TypeError):  # texts, rows of different lengths
        boxes = np.zeros((0, 0))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UserError(f"a box has four numbers x, y, w, h: found {box_xywh!r}")
    return boxes


def _check_frame(frame: Any) -> None:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise UserError(f"a frame is a numpy array uint8 (height, width, 3) in RGB: found {found}")
