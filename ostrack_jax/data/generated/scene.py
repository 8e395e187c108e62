"""Things that move over a picture, as a video. Enters: patches, outlines, paths. Leaves: frames drawn lazily, boxes.

What is made up (`synthetic`) and what is cut out of real pictures (`pasted`) is drawn and annotated here alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, SupportsIndex

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from ostrack_jax.data.frames import within
from ostrack_jax.data.generated import shapes
from ostrack_jax.data.generated.truth import annotate
from ostrack_jax.data.sequence import Sequence

Values = Float[np.ndarray, " t"]


@dataclass(frozen=True, eq=False)
class Thing:
    """Something that moves: its look and where its unit square (-0.5..0.5) lies in each frame."""

    patch: UInt8[np.ndarray, "s s 4"]
    outline: Float[np.ndarray, "k 2"]
    affine: Float[np.ndarray, "t 2 3"]  # unit square -> pixels
    smear: Float[np.ndarray, "t 2"] | None = None  # pixels it moves while the shutter is open; None: sharp

    def corners(self) -> Float[np.ndarray, "t k 2"]:
        """The outline in every frame, in pixels."""
        return self.outline @ self.affine[:, :, :2].swapaxes(1, 2) + self.affine[:, None, :, 2]


@dataclass(frozen=True, eq=False)
class Scene:
    """All that a sequence's frames are drawn from; things are drawn in their order, the target among them."""

    background: UInt8[np.ndarray, "bh bw 3"]
    camera: Float[np.ndarray, "t 2"]  # centre of the view on the background
    things: list[Thing]
    target: int  # its place among the things
    gain: Values
    size_wh: tuple[int, int]  # of the frames, pixels


class SceneFrames:
    """Frames drawn when asked for; picklable where ``make`` is: it travels, the scene is set up again."""

    def __init__(self, make: Callable[[], Scene], frames: int) -> None:
        self._make, self._frames = make, frames

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: SupportsIndex, /) -> UInt8[np.ndarray, "h w 3"]:
        """Draw frame ``index``."""
        t = within(index, len(self))
        x, y = self.scene.camera[t]
        frame = cv2.getRectSubPix(self.scene.background, self.scene.size_wh, (x, y))
        for thing in self.scene.things:
            _draw(frame, thing, t)
        return cv2.convertScaleAbs(frame, alpha=float(self.scene.gain[t]))

    @functools.cached_property
    def scene(self) -> Scene:
        """What the frames are drawn from."""
        return self._make()

    def __getstate__(self) -> dict[str, Any]:
        return {"_make": self._make, "_frames": self._frames}


def film(name: str, frames: SceneFrames) -> Sequence:
    """The frames with their truth; ``cover`` is the visible share in eighths, ``visible`` at least half."""
    scene = frames.scene
    target, *above = (thing.corners() for thing in scene.things[scene.target :])
    boxes, share = annotate(target, above, *scene.size_wh)
    visible = (share >= 0.5) & (boxes[:, 2:] >= 1).all(axis=1)
    cover = np.rint(8 * share).astype(np.int64)
    return Sequence(name, frames, boxes, visible, cover, scene.size_wh)


def place(path: Float[np.ndarray, "t 2"], wide: Values, high: Values, turn: Values) -> Float[np.ndarray, "t 2 3"]:
    """Where the unit square lies in each frame: its centre on ``path``, sides in pixels, turned by radians."""
    return np.stack(
        [
            np.stack([wide * np.cos(turn), -high * np.sin(turn), path[:, 0]], axis=1),
            np.stack([wide * np.sin(turn), high * np.cos(turn), path[:, 1]], axis=1),
        ],
        axis=1,
    )


def _draw(frame: UInt8[np.ndarray, "h w 3"], thing: Thing, t: int) -> None:
    """Draw a thing into frame ``t`` in place, touching only the pixels under it."""
    patch, affine = thing.patch, thing.affine[t]
    smear = np.zeros(2) if thing.smear is None else thing.smear[t]
    reach = np.abs(affine[:, :2]).sum(axis=1) / 2 + 1 + np.abs(smear) / 2
    limit = np.array([frame.shape[1], frame.shape[0]])
    low = np.clip(np.floor(affine[:, 2] - reach), 0, limit).astype(int)
    high = np.clip(np.ceil(affine[:, 2] + reach), 0, limit).astype(int)
    if (high <= low).any():
        return
    # OpenCV counts pixel centres from 0, the unit square has its own from -0.5: shifted there and back.
    linear = affine[:, :2] / patch.shape[0]
    shift = affine[:, 2] - 0.5 - low + linear @ np.full(2, 0.5 - patch.shape[0] / 2)
    warped = cv2.warpAffine(patch, np.column_stack([linear, shift]), tuple(int(v) for v in high - low))
    if np.abs(smear).max() >= 1:
        warped = shapes.smear(warped, smear)
    shapes.paste(frame, warped, int(low[0]), int(low[1]))
