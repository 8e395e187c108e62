"""Synthetic videos with exact boxes.

A textured target of any outline moves, turns and changes size and aspect on a cluttered, panning background, among
distractors that look like it; other objects occlude it, it may leave the frame and return, the light changes. A frame
follows from (seed, part, sequence, index) alone; parts share no sequence, since the part is part of the seed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.generated import scene, shapes
from ostrack_jax.data.generated.scene import Recipe, Scene, Thing, open_generated, place
from ostrack_jax.data.lazy import LazySequences


def open_synthetic(
    part: str = "train",
    *,
    seed: int = 0,
    sequences: int = 200,
    frames: int = 60,
    width: int = 160,
    height: int = 120,
    distractors: int = 3,
) -> LazySequences:
    """Sequences that are drawn from their numbers.

    Args:
      part: train | val | test; they share no sequence whatever the seed.
      seed: another seed, other sequences; sequence i does not depend on their number.
      sequences: how many.
      frames: length of each.
      width: of the frames in pixels; ``height`` likewise.
      distractors: things like the target, at most.

    Raises:
      UserError: an option out of its range.
    """
    recipe = Recipe((0, seed, 0), frames, (width, height), distractors)
    return open_generated("synthetic", part, make_scene, recipe, sequences, least_side=32, keep=512)


def make_scene(recipe: Recipe) -> Scene:
    """Set up everything that moves; all random numbers are drawn here, in a fixed order."""
    rng = np.random.default_rng(np.random.SeedSequence(recipe.seed))
    frames, size = recipe.frames, np.array(recipe.size_wh, np.float64)
    side = float(np.sqrt(size.prod()) * np.exp(rng.uniform(np.log(0.12), np.log(0.3))))
    look = shapes.make_look(rng)
    path = scene.roam(rng, frames, 0.55 * np.full(2, side), size - 0.55 * side, side * rng.uniform(0.04, 0.14))
    if frames >= 40 and rng.random() < 0.35:
        path = scene.leave(rng, path, recipe.size_wh, side)
    target = _make_thing(rng, look, path, side)
    below, above = [], []
    for _ in range(int(rng.integers(recipe.distractors + 1))):
        other = scene.roam(rng, frames, np.zeros(2), size, side * rng.uniform(0.02, 0.1))
        alike = shapes.alter(look, rng, 45.0)
        below.append(_make_thing(rng, alike, other, side * rng.uniform(0.7, 1.3)))
    for _ in range(int(rng.integers(3)) if frames >= 10 else 0):
        way = scene.cross(rng, path, recipe.size_wh, side)
        above.append(_make_thing(rng, shapes.make_look(rng), way, side * rng.uniform(0.8, 1.4)))
    wide, high = (int(1.3 * s) for s in size)
    background = shapes.make_background(rng, wide, high)
    room = (np.array([wide, high]) - size) / 2
    sway = np.stack([scene.wander(rng, frames, 120.0), scene.wander(rng, frames, 120.0)], axis=1)
    camera = np.array([wide, high]) / 2 - 0.5 + room * rng.uniform(0, 1) * np.clip(sway, -1, 1)
    gain = 1 + rng.uniform(0, 0.3) * scene.wander(rng, frames)
    things = [*below, target, *above]
    return Scene(background, camera, things, len(below), np.clip(gain, 0.5, 1.5), recipe.size_wh)


def _make_thing(rng: scene.Rng, look: shapes.Look, path: Float[np.ndarray, "t 2"], side: float) -> Thing:
    """A thing of mean side ``side`` on ``path``, its size, aspect and turn changing smoothly."""
    frames = len(path)
    outline = shapes.make_outline(rng)
    aspect = rng.normal(0, 0.3) + rng.uniform(0, 0.3) * scene.wander(rng, frames)
    scale = side * np.exp(rng.uniform(0, 0.4) * scene.wander(rng, frames, 100.0))
    turn = rng.choice([0.0, 0.3, 0.8]) * scene.wander(rng, frames, 80.0)
    wide, high = scale * np.exp(aspect / 2), scale * np.exp(-aspect / 2)
    patch = shapes.make_patch(rng, look, outline, int(np.clip(1.2 * side, 16, 256)))
    return Thing(patch, outline, place(path, wide, high, turn))
