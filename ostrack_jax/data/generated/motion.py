"""How made-up things move. Enters: a random generator, lengths and sizes. Leaves: one value or place per frame."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Rng = np.random.Generator


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
      rng: the dice.
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
