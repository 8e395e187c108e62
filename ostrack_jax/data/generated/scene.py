"""Objects moving over an image, as a video with exact boxes: motion, drawing and annotation.

Shared by `synthetic`, whose things are textured shapes, and `pasted`, whose things are cut out of real images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from ostrack_jax.data.frames import Frames, Image, within
from ostrack_jax.data.generated import shapes
from ostrack_jax.data.lazy import LazySequences, NumberedNames
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

Rng = np.random.Generator
Values = Float[np.ndarray, " t"]
Polygons = Float[np.ndarray, "t k 2"]

# Enter the seed: never change one, or a part's sequences change with it.
PARTS = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Recipe:
    """The parameters of a sequence: the seed's parts, its length, the frames' size and the most distractors.

    ``parts`` is the share of targets that are a part of what moves (`pasted`).
    """

    seed: tuple[int, int, int]
    frames: int
    size_wh: tuple[int, int]
    distractors: int
    parts: float = 0.0


def open_generated(
    kind: str,
    part: str,
    make_scene: Callable[[Recipe], Scene],
    recipe: Recipe,
    sequences: int,
    least_side: int,
    keep: int,
) -> LazySequences:
    """Sequences that are computed from their number when asked for.

    Args:
      kind: name of the set.
      part: of `PARTS`.
      make_scene: sets up the scene of one sequence.
      recipe: of all sequences; of its seed the middle number counts.
      sequences: how many.
      least_side: of the frames, in pixels.
      keep: sequences held in memory.

    Raises:
      UserError: an option out of its range.
    """
    for name, value, least, most in (
        ("seed", recipe.seed[1], 0, 2**32 - 1),
        ("sequences", sequences, 1, 1_000_000),
        ("frames", recipe.frames, 1, 100_000),
        ("width", recipe.size_wh[0], least_side, 4096),
        ("height", recipe.size_wh[1], least_side, 4096),
        ("distractors", recipe.distractors, 0, 32),
        ("parts", recipe.parts, 0.0, 1.0),
    ):
        if not least <= value <= most:
            raise UserError(f"{kind} {name}: expected {least} to {most}, found {value}")
    names = NumberedNames(f"{kind}_{part}_{{:06d}}", range(sequences))
    recipe = replace(recipe, seed=(PARTS[part], recipe.seed[1], 0))
    return LazySequences.of(names, range(sequences), functools.partial(film, make_scene, recipe), keep)


def film(make_scene: Callable[[Recipe], Scene], recipe: Recipe, name: str, number: int) -> Sequence:
    """The sequence of that number; ``cover`` is the visible share in eighths, ``visible`` at least half."""
    recipe = replace(recipe, seed=(*recipe.seed[:2], number))
    frames = SceneFrames(functools.partial(make_scene, recipe), recipe.frames)
    scene = frames.scene
    target, *above = (thing.corners() for thing in scene.things[scene.target :])
    boxes, share = annotate(target, above, *scene.size_wh)
    visible = (share >= 0.5) & (boxes[:, 2:] >= 1).all(axis=1)
    cover = np.rint(8 * share).astype(np.int64)
    return Sequence(name, frames, boxes, visible, cover, scene.size_wh)


@dataclass(frozen=True, eq=False)
class Thing:
    """A moving object: its appearance and where its unit square (-0.5..0.5) is in each frame."""

    patch: UInt8[np.ndarray, "s s 4"]
    outline: Float[np.ndarray, "k 2"]
    affine: Float[np.ndarray, "t 2 3"]  # unit square -> pixels
    smear: Float[np.ndarray, "t 2"] | None = None  # pixels it moves while the shutter is open; None: sharp

    def corners(self) -> Float[np.ndarray, "t k 2"]:
        """The outline in every frame, in pixels."""
        return self.outline @ self.affine[:, :, :2].swapaxes(1, 2) + self.affine[:, None, :, 2]


@dataclass(frozen=True, eq=False)
class Scene:
    """The content of a sequence's frames; objects are drawn in their order, the target among them."""

    background: UInt8[np.ndarray, "bh bw 3"]
    camera: Float[np.ndarray, "t 2"]  # centre of the view on the background
    things: list[Thing]
    target: int  # its place among the things
    gain: Values
    size_wh: tuple[int, int]  # of the frames, pixels


class SceneFrames(Frames):
    """Frames drawn when asked for; picklable where ``make`` is: the scene is set up again."""

    def __init__(self, make: Callable[[], Scene], frames: int) -> None:
        self._make, self._frames = make, frames

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: SupportsIndex, /) -> Image:
        """Draw frame ``index``."""
        t = within(index, len(self))
        x, y = self.scene.camera[t]
        frame = cv2.getRectSubPix(self.scene.background, self.scene.size_wh, (x, y))
        for thing in self.scene.things:
            _draw(frame, thing, t)
        return cv2.convertScaleAbs(frame, alpha=float(self.scene.gain[t]))

    @functools.cached_property
    def scene(self) -> Scene:
        """The content of the frames."""
        return self._make()

    def __getstate__(self) -> dict[str, Any]:
        return {"_make": self._make, "_frames": self._frames}


def place(path: Float[np.ndarray, "t 2"], wide: Values, high: Values, turn: Values) -> Float[np.ndarray, "t 2 3"]:
    """The unit square's place in each frame: its centre on ``path``, sides in pixels, turned by radians."""
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


def wander(rng: Rng, frames: int, slow: float = 60.0) -> Float[np.ndarray, " t"]:
    """Smooth values about 0, mostly within -1..1: three waves of ``slow`` frames and less."""
    periods = slow * rng.uniform(0.3, 1.5, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    return np.sin(2 * np.pi * np.arange(frames)[:, None] / periods + phases).sum(axis=1) / 2


def roam(
    rng: Rng, frames: int, low_xy: Float[np.ndarray, " 2"], high_xy: Float[np.ndarray, " 2"], step: float
) -> Float[np.ndarray, "t 2"]:
    """A path inside a rectangle: accelerations at random, now and then a burst of speed, turned back at the rim.

    Args:
      rng: random generator.
      frames: length.
      low_xy: the rectangle's corner in pixels; ``high_xy`` its other.
      step: typical speed in pixels a frame.
    """
    speed = rng.normal(0, step, 2)
    burst = 0.0
    steps = np.empty((frames, 2))
    for t in range(frames):
        burst = rng.uniform(2, 4) if rng.random() < 0.02 else burst * 0.7
        speed = 0.92 * speed + np.sqrt(1 - 0.92**2) * rng.normal(0, step, 2)
        steps[t] = speed * (1 + burst)
    extent = np.maximum(high_xy - low_xy, 1.0)
    path = rng.uniform(0, extent) + np.cumsum(steps, axis=0) - steps[0]
    path %= 2 * extent  # folded at the rim, like light between mirrors
    return low_xy + np.where(path > extent, 2 * extent - path, path)


def leave(rng: Rng, path: Float[np.ndarray, "t 2"], frame_wh: tuple[int, int], side: float) -> Float[np.ndarray, "t 2"]:
    """The path with one way out over the nearest side of the frame and back, in its later two thirds."""
    frames = len(path)
    half = int(rng.integers(8, 16))
    middle = int(rng.integers(frames // 3 + half, max(frames // 3 + half + 1, frames - half // 2)))
    if middle >= frames:
        return path
    far = np.array(frame_wh) - path[middle]
    ways = np.array([[-path[middle, 0], 0], [far[0], 0], [0, -path[middle, 1]], [0, far[1]]])
    way = ways[np.abs(ways).sum(axis=1).argmin()]
    way = way + np.sign(way) * 1.2 * side
    away = np.clip(1 - np.abs(np.arange(frames) - middle) / half, 0, 1)
    return path + np.sin(np.pi / 2 * away)[:, None] ** 2 * way


def cross(rng: Rng, path: Float[np.ndarray, "t 2"], frame_wh: tuple[int, int], side: float) -> Float[np.ndarray, "t 2"]:
    """A straight path that meets ``path`` once, later than its start, and is well away from it in frame 0."""
    frames = len(path)
    middle = int(rng.integers(max(1, frames // 5), max(2, frames)))
    direction = rng.uniform(0, 2 * np.pi)
    speed = max(side * rng.uniform(0.05, 0.25), 2.5 * side / middle + np.hypot(*frame_wh) / (8 * middle))
    course = speed * np.array([np.cos(direction), np.sin(direction)])
    # Seen from the target's place at the start, whichever way leads further off.
    if np.dot(path[middle] - path[0], course) > 0:
        course = -course
    return path[middle] + course * (np.arange(frames) - middle)[:, None]


def annotate(
    target: Polygons, above: list[Float[np.ndarray, "t _ 2"]], width: int, height: int
) -> tuple[Float[np.ndarray, "t 4"], Float[np.ndarray, " t"]]:
    """The box of the target's part in the frame, occluded or not, and the share of the target that is seen.

    Args:
      target: outline in each frame, pixels (pixel i covers i .. i + 1).
      above: outlines of what is drawn over it.
      width: of the frame; ``height`` likewise.

    Returns:
      left, top, width, height in pixels, all 0 where nothing of it is in the frame; and shares in 0..1.
    """
    low, high = target.min(axis=1), target.max(axis=1)
    boxes = np.concatenate([low, high - low], axis=1)
    share = np.ones(len(target))
    for t in np.flatnonzero((low < 0).any(axis=1) | (high > (width, height)).any(axis=1)):
        inside = clip_polygon(target[t], width, height).clip(0, (width, height))
        share[t] = polygon_area(inside) / polygon_area(target[t])
        boxes[t] = 0 if share[t] <= 0 else [*inside.min(axis=0), *np.ptp(inside, axis=0)]
    for other in above:
        # A coarse test first: most frames need no drawing.
        near = (other.min(axis=1) < high).all(axis=1) & (other.max(axis=1) > low).all(axis=1)
        for t in np.flatnonzero(near & (share > 0)):
            share[t] *= 1 - _hidden(target[t], other[t], boxes[t])
    return boxes, share


def clip_polygon(polygon: Float[np.ndarray, "k 2"], width: int, height: int) -> Float[np.ndarray, "m 2"]:
    """The part of a polygon inside 0..width, 0..height (Sutherland and Hodgman 1974); may be empty."""
    for axis, limit, sign in ((0, 0.0, 1), (0, float(width), -1), (1, 0.0, 1), (1, float(height), -1)):
        depth = sign * (polygon[:, axis] - limit)
        following, next_depth = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
        cuts = (depth >= 0) != (next_depth >= 0)
        part = depth / np.where(cuts, depth - next_depth, 1)
        crossing = polygon + part[:, None] * (following - polygon)
        both = np.stack([polygon, crossing], axis=1)
        polygon = both[np.stack([depth >= 0, cuts], axis=1)]
    return polygon


def polygon_area(polygon: Float[np.ndarray, "k 2"]) -> float:
    """The area enclosed, in square pixels (the shoelace formula)."""
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _hidden(
    target: Float[np.ndarray, "k 2"], other: Float[np.ndarray, "m 2"], box_xywh: Float[np.ndarray, " 4"]
) -> float:
    """The share of the target's pixels within its box that ``other`` covers, drawn at four pixels per pixel or less."""
    scale = min(4.0, 256 / max(box_xywh[2:].max(), 1.0))
    wide, high = (int(np.ceil(v * scale)) + 1 for v in box_xywh[2:])
    masks = []
    for polygon in (target, other):
        mask = np.zeros((high, wide), np.uint8)
        cv2.fillPoly(mask, [np.rint((polygon - box_xywh[:2]) * scale).astype(np.int32)], 1)
        masks.append(mask)
    every = int(np.count_nonzero(masks[0]))
    return np.count_nonzero(masks[0] & masks[1]) / every if every else 0.0
