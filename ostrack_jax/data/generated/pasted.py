"""Videos of real objects pasted into real images, with exact boxes.

The target is an object cut out along its outline, or a piece of an image in a synthetic outline; or, by ``parts``, a
part of such a thing, as a head is. It moves, turns, changes size and aspect before a panning image among things like
it, may be passed by others and blurred by its own speed; the light changes. A frame follows from (part, seed,
sequence, index) and the directories alone.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from ostrack_jax.data.frames import is_image_file, list_directory, list_images, read_image
from ostrack_jax.data.generated import scene, shapes
from ostrack_jax.data.generated.scene import Recipe, Rng, Scene, Thing, open_generated, place, polygon_area
from ostrack_jax.data.index import Arrays, cached, sign
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.readers.coco import Ids, annotated_splits, each_object, find_split, image_path, is_set
from ostrack_jax.errors import UserError
from ostrack_jax.io import local_path

Image = UInt8[np.ndarray, "h w 3"]

_LEAST_SIDE = 16.0  # pixels of an object's shorter side: what is smaller shows no detail to follow
_SMALLEST = 12.0  # pixels, mean side of a target
_LARGEST = 0.45  # of the frame's shorter side
_MOST_PIXELS = 640  # the longer side of an image in memory
_SYNTHETIC = 0.35  # share of targets whose outline is synthetic
_LARGEST_PART = 0.7  # of the object's width and height


def open_pasted(
    directory: Path,
    part: str = "train",
    *,
    seed: int = 0,
    sequences: int = 20_000,
    frames: int = 30,
    width: int = 320,
    height: int = 240,
    distractors: int = 3,
    parts: float = 0.0,
    backgrounds: str = "",
) -> LazySequences:
    """Sequences that are composed from their numbers.

    Args:
      directory: in COCO's layout, see `read_cutouts`.
      part: train | val | test; they share objects, but no sequence whatever the seed.
      seed: another seed, other sequences; sequence i does not depend on their number.
      sequences: how many.
      frames: length of each.
      width: of the frames in pixels; ``height`` likewise.
      distractors: things like the target, at most.
      parts: share of targets that are a part of what moves: a box is then to be kept as the first frame has it,
        not grown to the object.
      backgrounds: a directory of images, or of directories of them (GOT-10k's train); empty: those of ``directory``.

    Raises:
      UserError: an option out of its range, a directory without cut-outs or images.
    """
    recipe = Recipe((0, seed, 0), frames, (width, height), distractors, parts)
    behind = _image_directories(local_path(backgrounds)) if backgrounds else ()
    make = functools.partial(make_scene, read_cutouts(directory), behind)
    # Few are kept: each holds its images, and a mix hardly ever asks for one again.
    return open_generated("pasted", part, make, recipe, sequences, least_side=64, keep=8)


def make_scene(cutouts: Cutouts, backgrounds: tuple[str, ...], recipe: Recipe) -> Scene:
    """Set up everything that moves; all random numbers are drawn here, in a fixed order.

    Args:
      cutouts: objects to paste.
      backgrounds: directories of images; none: the cut-outs' images.
      recipe: of the sequence.
    """
    rng = np.random.default_rng(np.random.SeedSequence((*recipe.seed, 1)))  # 1: not synthetic's stream
    size, frames = np.array(recipe.size_wh, np.float64), recipe.frames
    chosen = int(rng.integers(len(cutouts)))
    near, scale = _read(cutouts.images[cutouts.image[chosen]])
    images = _images(backgrounds[rng.integers(len(backgrounds))]) if backgrounds else cutouts.images
    behind = _background(rng, images, recipe.size_wh)
    others = [cutouts.outline(int(i)) * scale for i in cutouts.neighbours(chosen)]
    synthetic = bool(rng.random() < _SYNTHETIC)
    outline = None if synthetic else cutouts.outline(chosen) * scale
    largest = _LARGEST * size.min()
    if outline is not None:  # not drawn much larger than it was seen
        largest = min(largest, max(1.5 * np.sqrt(np.ptp(outline, axis=0).prod()), 2 * _SMALLEST))
    side = float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(largest))))
    rim = rng.choice([0.6, 0.2]) * np.full(2, side)
    path = scene.roam(rng, frames, rim, size - rim, side * rng.uniform(0.02, 0.2))
    thing = functools.partial(_make_thing, rng, near, np.array(cv2.mean(behind)[:3]))
    target = thing(outline, path, side)
    if recipe.parts and side * _LARGEST_PART > _SMALLEST and rng.random() < recipe.parts:
        target = _part(rng, target, _SMALLEST / side)
    below, above = [], []
    for number in range(int(rng.integers(recipe.distractors + 1))):
        alike = None if synthetic or number >= len(others) else others[number]
        way = scene.roam(rng, frames, np.zeros(2), size, side * rng.uniform(0.0, 0.1))
        below.append(thing(alike, way, side * rng.uniform(0.6, 1.5)))
    for _ in range(int(rng.integers(3)) if frames >= 10 else 0):
        cover = others[rng.integers(len(others))] if others and rng.random() < 0.5 else None
        way = scene.cross(rng, path, recipe.size_wh, side)
        above.append(thing(cover, way, side * rng.uniform(0.6, 1.2)))
    room = (np.array(behind.shape[1::-1]) - size) / 2
    sway = np.stack([scene.wander(rng, frames, 90.0), scene.wander(rng, frames, 90.0)], axis=1)
    camera = np.array(behind.shape[1::-1]) / 2 - 0.5 + room * rng.uniform(0, 1) * np.clip(sway, -1, 1)
    gain = np.clip(1 + rng.uniform(0, 0.3) * scene.wander(rng, frames), 0.5, 1.5)
    return Scene(behind, camera, [*below, target, *above], len(below), gain, recipe.size_wh)


def _make_thing(
    rng: Rng,
    image: Image,
    surroundings: Float[np.ndarray, " 3"],
    outline: Float[np.ndarray, "k 2"] | None,
    path: Float[np.ndarray, "t 2"],
    side: float,
) -> Thing:
    """A piece of ``image`` on ``path``, its size, aspect and turn changing smoothly.

    Args:
      rng: random generator.
      image: what it is cut from.
      surroundings: a colour that its own is drawn towards, more or less.
      outline: pixels of the image; None: synthetic, somewhere in the image.
      path: of its centre, pixels of the frame.
      side: pixels of the frame, mean.
    """
    frames = len(path)
    if outline is None:
        outline = _synthetic_outline(rng, image)
    low = np.clip(np.floor(outline.min(axis=0)), 0, None).astype(int)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int), image.shape[1::-1])
    high = np.maximum(high, low + 1)
    aspect = np.log((high - low)[0] / (high - low)[1])
    aspect = aspect + rng.normal(0, 0.1) + rng.uniform(0, 0.25) * scene.wander(rng, frames)
    size = side * np.exp(rng.uniform(0, 0.5) * scene.wander(rng, frames, 100.0))
    turn = rng.choice([0.0, 0.15, 0.5]) * scene.wander(rng, frames, 80.0)
    wide, tall = size * np.exp(aspect / 2), size * np.exp(-aspect / 2)
    pixels = int(np.clip(1.2 * max(wide.max(), tall.max()), 16, 256))
    unit = np.clip((outline - low) / (high - low), 0, 1) - 0.5
    piece = image[low[1] : high[1], low[0] : high[0]]
    shrinks = min(piece.shape[:2]) > pixels
    piece = cv2.resize(piece, (pixels, pixels), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    mask = cv2.blur(shapes.fill(unit, pixels), (3, 3), borderType=cv2.BORDER_CONSTANT)
    speed = np.gradient(path, axis=0) if frames > 1 else np.zeros((1, 2))
    smear = np.clip(speed * rng.uniform(0, 0.8), -15, 15) if rng.random() < 0.4 else None
    return Thing(np.dstack([_tint(rng, piece, surroundings), mask]), unit, place(path, wide, tall, turn), smear)


def _part(rng: Rng, thing: Thing, least: float) -> Thing:
    """The thing, of which a round part of at least the share ``least`` of its width and height is followed.

    Of several drawn places that one is taken which most of the thing's own pixels fill.
    """
    opaque, pixels = thing.patch[..., 3] > 127, len(thing.patch)
    places = []
    for _ in range(8):
        extent = rng.uniform(max(least, 0.25), _LARGEST_PART, 2)
        low = rng.uniform(0, 1, 2) * (1 - extent)
        (x, y), (right, bottom) = (low * pixels).astype(int), np.ceil((low + extent) * pixels).astype(int)
        places.append((opaque[y:bottom, x:right].mean(), low, extent))
    _, low, extent = max(places, key=lambda place: place[0])
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(around), np.sin(around)], axis=1) / 2
    return replace(thing, outline=low + extent / 2 - 0.5 + extent * circle)


def _synthetic_outline(rng: Rng, image: Image) -> Float[np.ndarray, "k 2"]:
    """A synthetic outline somewhere in an image, in its pixels."""
    room = np.array(image.shape[1::-1], np.float64)
    extent = np.minimum(room.min() * rng.uniform(0.12, 0.45) * np.exp(rng.normal(0, 0.25, 2)), room)
    return (shapes.make_outline(rng) + 0.5) * extent + rng.uniform(0, 1, 2) * (room - extent)


def _tint(rng: Rng, piece: Image, surroundings: Float[np.ndarray, " 3"]) -> Image:
    """The piece in another light: each channel with a gain of its own, its mean drawn towards the surroundings."""
    mean = np.array(cv2.mean(piece)[:3])
    gain = np.exp(rng.normal(0, 0.12, 3)) * np.exp(rng.normal(0, 0.1))
    shift = rng.uniform(0, 0.4) * (surroundings - mean * gain)
    levels = np.arange(256)[:, None] * gain + shift
    return cv2.LUT(piece, np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None])


def _background(rng: Rng, images: tuple[str, ...], size_wh: tuple[int, int]) -> Image:
    """A piece of one of the images, 1.1 to 1.5 times as wide and high as the frames."""
    image, _ = _read(images[rng.integers(len(images))])
    wanted = (np.array(size_wh) * rng.uniform(1.1, 1.5)).astype(int)
    room = np.array(image.shape[1::-1])
    extent = np.maximum((wanted * (room / wanted).min() * rng.uniform(0.5, 1)).astype(int), 1)
    x, y = rng.integers(room - extent + 1)
    piece = image[y : y + extent[1], x : x + extent[0]]
    shrinks = extent[0] > wanted[0]
    return cv2.resize(piece, tuple(map(int, wanted)), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


@functools.lru_cache(maxsize=64)
def _read(path: str) -> tuple[Image, float]:
    """An image of at most 640 pixels a side, and by how much it was shrunk to that. The last used are kept."""
    image = read_image(path, "stored")
    scale = _MOST_PIXELS / max(image.shape[:2])
    if scale >= 1:
        return image, 1.0
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


@functools.lru_cache(maxsize=4096)
def _images(directory: str) -> tuple[str, ...]:
    return tuple(list_images(Path(directory)))


def _image_directories(directory: Path) -> tuple[str, ...]:
    """The directory itself if it holds images, else its subdirectories, which are not read yet."""
    found = list_directory(directory)
    if any(is_image_file(entry.name) for entry in found):
        return (str(directory),)
    inner = tuple(str(directory / entry.name) for entry in found if entry.is_dir())
    if not inner:
        raise UserError(f"pasted backgrounds: no image and no folder in {directory}: expected folders of images")
    return inner


@dataclass(frozen=True, eq=False)
class Cutouts:
    """Objects in images, each by the largest of its polygons; compact, so that it may travel to other processes.

    Attributes:
      images: paths of the images with an object.
      image: each object's place among ``images``; objects of one image follow one another.
      category: of each object, COCO's number.
      start: where each object's corners begin among ``corners``; one more, where the last ends.
      corners: pixels of the image.
    """

    images: tuple[str, ...]
    image: Int[np.ndarray, " n"]
    category: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " _"]
    corners: Float32[np.ndarray, "k 2"]

    def __len__(self) -> int:
        return len(self.image)

    def outline(self, index: int) -> Float[np.ndarray, "k 2"]:
        """The corners of object ``index`` in pixels of its image."""
        return self.corners[self.start[index] : self.start[index + 1]].astype(np.float64)

    def neighbours(self, index: int) -> Int[np.ndarray, " m"]:
        """The other objects of the same image, those of its category first."""
        low, high = np.searchsorted(self.image, [self.image[index], self.image[index] + 1])
        others = np.delete(np.arange(low, high), index - low)
        return others[np.argsort(self.category[others] != self.category[index], kind="stable")]


def read_cutouts(directory: Path) -> Cutouts:
    """The objects that have an outline; crowds and those under 16 pixels a side are left out. The index is cached.

    Args:
      directory: with ``annotations/instances_NAME.json`` and the images in ``images/NAME`` or ``NAME``.

    Raises:
      UserError: no annotation with outlines is there, or the file is invalid.
    """
    names = annotated_splits(directory)
    train_first = min(names, key=lambda name: ("train" not in name, f"{name}.json"), default="train2017")
    file, images = find_split(directory, train_first)
    index = cached("cutouts", file, sign([file]), lambda: read_outlines(file))
    names = (os.fsdecode(bytes(name)) for name in index["name"])
    paths = tuple(os.path.join(images, name) for name in names)
    return Cutouts(paths, index["picture"], index["category"], index["start"], index["corners"])


def read_outlines(file: Path, most: int = 100_000) -> Arrays:
    """`Cutouts` as arrays, the images by name; of more objects than ``most``, those of evenly spaced images."""
    names: dict[int, str] = {}
    image_ids, categories = Ids(), Ids()
    objects: list[tuple[int, int, Float32[np.ndarray, "k 2"]]] = []

    def take(entry: dict[str, Any]) -> bool:
        if "segmentation" in entry and "image_id" in entry:
            corners = _largest(entry)
            if corners is not None:
                category = categories.number(entry.get("category_id") or 0, "category_id")
                objects.append((image_ids.number(entry["image_id"], "image_id"), category, corners))
        elif "file_name" in entry and "id" in entry:
            names[image_ids.number(entry["id"], "the id of an image")] = image_path(entry["file_name"])
        else:
            return False
        return True

    each_object(file, take)
    objects = sorted((found for found in objects if found[0] in names), key=lambda found: found[0])
    if not objects:
        raise UserError(f"{file}: no object with an outline of {_LEAST_SIDE:.0f} pixels a side or more")
    ids = sorted({found[0] for found in objects})[:: -(-len(objects) // most)]
    place = {image: i for i, image in enumerate(ids)}
    objects = [found for found in objects if found[0] in place]
    return {
        "name": np.array([os.fsencode(names[image]) for image in ids]),
        "picture": np.array([place[image] for image, _, _ in objects]),
        "category": np.array([category for _, category, _ in objects]),
        "start": np.cumsum([0, *(len(corners) for _, _, corners in objects)]),
        "corners": np.concatenate([corners for _, _, corners in objects]),
    }


def _largest(entry: dict[str, Any]) -> Float32[np.ndarray, "k 2"] | None:
    """The corners of an annotation's largest polygon; None for a crowd, a mask of runs, a polygon that is too small."""
    outlines = entry["segmentation"]
    if is_set(entry.get("iscrowd")) or not isinstance(outlines, list):
        return None
    if outlines and not isinstance(outlines[0], list):  # a single polygon, as some tools write it
        outlines = [outlines]
    complete = [flat for flat in outlines if len(flat) >= 6 and len(flat) % 2 == 0]
    polygons = [np.array(flat, np.float32).reshape(-1, 2) for flat in complete]
    polygons = [polygon for polygon in polygons if np.isfinite(polygon).all()]
    if not polygons:
        return None
    largest = max(polygons, key=lambda polygon: polygon_area(polygon.astype(np.float64)))
    return largest if np.ptp(largest, axis=0).min() >= _LEAST_SIDE else None
