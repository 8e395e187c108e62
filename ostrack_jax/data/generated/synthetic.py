"""Made-up videos with exact boxes. Enters: seed, part, number, size. Leaves: sequences whose frames are drawn lazily.

A textured target of any outline moves, turns and changes size and aspect on a cluttered, panning background, among
distractors that look like it; things pass before it, it may leave the frame and return, the light changes. A frame
follows from (seed, part, sequence, index) alone; parts share no sequence, since the part is part of the seed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ostrack_jax.data.generated import motion, shapes
from ostrack_jax.data.generated.scene import Scene, SceneFrames, Thing, film, place
from ostrack_jax.data.lazy import LazySequences, NumberedNames
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown

# Enter the seed: never change one, or a part's sequences change with it.
PARTS = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Recipe:
    """What a sequence follows from: the seed's parts, its length, the frame's size and how many distractors at most."""

    seed: tuple[int, int, int]
    frames: int
    width: int
    height: int
    distractors: int


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
    """Sequences made up on the spot.

    Args:
      part: train | val | test; they share no sequence whatever the seed.
      seed: another seed, other sequences; sequence i does not depend on their number.
      sequences: how many.
      frames: length of each.
      width: of the frames in pixels; ``height`` likewise.
      distractors: things like the target, at most.

    Raises:
      UserError: an unknown part or an option out of its range.
    """
    if part not in PARTS:
        raise unknown("part of synthetic", part, PARTS)
    for name, value, least, most in (
        ("seed", seed, 0, 2**32 - 1),
        ("sequences", sequences, 1, 1_000_000),
        ("frames", frames, 1, 100_000),
        ("width", width, 32, 4096),
        ("height", height, 32, 4096),
        ("distractors", distractors, 0, 32),
    ):
        if not least <= value <= most:
            raise UserError(f"synthetic {name}: expected {least} to {most}, found {value}")
    recipe = Recipe((PARTS[part], seed, 0), frames, width, height, distractors)
    names = NumberedNames(f"synthetic_{part}_{{:06d}}", range(sequences))
    return LazySequences.of(names, range(sequences), functools.partial(_make_numbered, recipe), keep=512)


def _make_numbered(recipe: Recipe, name: str, number: int) -> Sequence:
    """Make sequence ``number`` of a set, otherwise by ``recipe``."""
    return make_sequence(name, replace(recipe, seed=(*recipe.seed[:2], number)))


def make_sequence(name: str, recipe: Recipe) -> Sequence:
    """The sequence a recipe leads to."""
    return film(name, SceneFrames(functools.partial(make_scene, recipe), recipe.frames))


def make_scene(recipe: Recipe) -> Scene:
    """Set up everything that moves; all dice are rolled here, in a fixed order."""
    rng = np.random.default_rng(np.random.SeedSequence(recipe.seed))
    frames, size = recipe.frames, np.array([recipe.width, recipe.height], np.float64)
    side = float(np.sqrt(size.prod()) * np.exp(rng.uniform(np.log(0.12), np.log(0.3))))
    look = shapes.make_look(rng)
    path = motion.roam(rng, frames, 0.55 * np.full(2, side), size - 0.55 * side, side * rng.uniform(0.04, 0.14))
    if frames >= 40 and rng.random() < 0.35:
        path = motion.leave(rng, path, (recipe.width, recipe.height), side)
    target = _make_thing(rng, look, path, side)
    below, above = [], []
    for _ in range(int(rng.integers(recipe.distractors + 1))):
        other = motion.roam(rng, frames, np.zeros(2), size, side * rng.uniform(0.02, 0.1))
        alike = shapes.alter(look, rng, 45.0)
        below.append(_make_thing(rng, alike, other, side * rng.uniform(0.7, 1.3)))
    for _ in range(int(rng.integers(3)) if frames >= 10 else 0):
        way = motion.cross(rng, path, (recipe.width, recipe.height), side)
        above.append(_make_thing(rng, shapes.make_look(rng), way, side * rng.uniform(0.8, 1.4)))
    wide, high = (int(1.3 * s) for s in size)
    background = shapes.make_background(rng, wide, high)
    room = (np.array([wide, high]) - size) / 2
    sway = np.stack([motion.wander(rng, frames, 120.0), motion.wander(rng, frames, 120.0)], axis=1)
    camera = np.array([wide, high]) / 2 - 0.5 + room * rng.uniform(0, 1) * np.clip(sway, -1, 1)
    gain = 1 + rng.uniform(0, 0.3) * motion.wander(rng, frames)
    things = [*below, target, *above]
    return Scene(background, camera, things, len(below), np.clip(gain, 0.5, 1.5), (recipe.width, recipe.height))


def _make_thing(rng: motion.Rng, look: shapes.Look, path: Float[np.ndarray, "t 2"], side: float) -> Thing:
    """A thing of mean side ``side`` on ``path``, its size, aspect and turn changing smoothly."""
    frames = len(path)
    outline = shapes.make_outline(rng)
    aspect = rng.normal(0, 0.3) + rng.uniform(0, 0.3) * motion.wander(rng, frames)
    scale = side * np.exp(rng.uniform(0, 0.4) * motion.wander(rng, frames, 100.0))
    turn = rng.choice([0.0, 0.3, 0.8]) * motion.wander(rng, frames, 80.0)
    wide, high = scale * np.exp(aspect / 2), scale * np.exp(-aspect / 2)
    patch = shapes.make_patch(rng, look, outline, int(np.clip(1.2 * side, 16, 256)))
    return Thing(patch, outline, place(path, wide, high, turn))
