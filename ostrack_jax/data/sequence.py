"""One annotated video: frames, boxes, flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ostrack_jax.data.frames import ArrayFrames, Frames


@dataclass(frozen=True, eq=False)
class Sequence:
    """One target in one video (or one image).

    Attributes:
      name: unique within its set; result files carry it.
      frames: t images, always `Frames`: another object with a length and RGB items (h, w, 3) is wrapped as such.
      boxes_xywh: left, top, width, height in pixels of the frame, zero-based; NaN where not annotated.
      visible: the target is present and annotated, so the box may be learned from.
      cover: GOT-10k's visible share in eighths (0 absent .. 8 completely visible), or None where the set has none.
      size_wh: frame width and height in pixels where the annotation states it, else None.
      is_image: a single image whose box serves as template and search alike (COCO).
      flaws: what the reader found wrong and left out, each in a line that names the file.
      missing: label files that sequences of this layout have and this one has not.
      present: whether the target is there by the set's own list, whatever its box (LaSOT: neither fully occluded nor
        out of view); None where the set has no such list.
      category: the target's class by the set's own name, such as `airplane`; empty where it has none.
      attributes: such as `fast motion`; empty where the set has none.
    """

    name: str
    frames: Frames | Any
    boxes_xywh: Float[np.ndarray, "t 4"]
    visible: Bool[np.ndarray, " t"]
    cover: Int[np.ndarray, " t"] | None = None
    size_wh: tuple[int, int] | None = None
    is_image: bool = False
    flaws: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    present: Bool[np.ndarray, " t"] | None = None
    category: str = ""
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.frames, Frames):
            object.__setattr__(self, "frames", ArrayFrames(self.frames))

    def __len__(self) -> int:
        return len(self.frames)
