"""Outlines of real objects, from a directory in COCO's layout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from ostrack_jax.data.generated.scene import polygon_area
from ostrack_jax.data.index import Arrays, cached, sign
from ostrack_jax.data.readers.coco import Ids, each_object, image_path, images_directory, is_set
from ostrack_jax.errors import UserError

LEAST_SIDE = 16.0  # pixels of the shorter side: what is smaller shows no detail to follow


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
    file, images = find_instances(directory)
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
        raise UserError(f"{file}: no object with an outline of {LEAST_SIDE:.0f} pixels a side or more")
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


def find_instances(directory: Path) -> tuple[Path, Path]:
    """The annotation file of a directory in COCO's layout (train before others), and the directory of its images.

    Raises:
      UserError: the file or the images are missing.
    """
    files = sorted((directory / "annotations").glob("instances_*.json"), key=lambda f: ("train" not in f.name, f.name))
    if not files:
        raise UserError(f"no annotations/instances_*.json in {directory}: expected COCO's layout")
    name = files[0].stem.removeprefix("instances_")
    images = images_directory(directory, name)
    if images is None:
        raise UserError(f"no images for {files[0]}: expected the folder images/{name} or {name} in {directory}")
    return files[0], images


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
    return largest if np.ptp(largest, axis=0).min() >= LEAST_SIDE else None
