"""Shrink training data, to copy it: long side at most 260 pixels (COCO 230), boxes and polygons scaled with it.

Example: python benchmarks/gpu/shrink.py DATA OUTPUT
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np


def shrink_image(source: Path, target: Path, long_side: int, quality: int) -> np.ndarray:
    """Write a smaller JPEG; the factors of its width and height."""
    image = cv2.imread(str(source))
    assert image is not None, source
    height, width = image.shape[:2]
    factor = min(1.0, long_side / max(height, width))
    size = (round(width * factor), round(height * factor))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    return np.array([size[0] / width, size[1] / height])


def shrink_got10k(source: Path, target: Path) -> None:
    """Shrink a part in GOT-10k's layout."""
    sequences = sorted(path for path in source.iterdir() if path.is_dir())
    for sequence in sequences:
        output = target / sequence.name
        output.mkdir(parents=True)
        factors = [shrink_image(frame, output / frame.name, 260, 72) for frame in sorted(sequence.glob("*.jpg"))]
        boxes = np.loadtxt(sequence / "groundtruth.txt", delimiter=",", ndmin=2) * np.tile(factors[-1], 2)
        np.savetxt(output / "groundtruth.txt", boxes, delimiter=",", fmt="%.2f")
        for path in sequence.iterdir():
            if path.suffix in (".label", ".ini"):
                shutil.copy(path, output)
    (target / "list.txt").write_text("".join(f"{sequence.name}\n" for sequence in sequences))


def shrink_coco(source: Path, target: Path) -> None:
    """Shrink a set in COCO's layout: its train2017."""
    annotations = json.loads((source / "annotations/instances_train2017.json").read_text())
    (target / "annotations").mkdir(parents=True)
    (target / "train2017").mkdir()
    factors = {}
    for image in annotations["images"]:
        name = image["file_name"]
        factor = factors[image["id"]] = shrink_image(source / "train2017" / name, target / "train2017" / name, 230, 65)
        image["width"], image["height"] = round(image["width"] * factor[0]), round(image["height"] * factor[1])
    for entry in annotations["annotations"]:
        factor = factors[entry["image_id"]]
        entry["bbox"] = (np.array(entry["bbox"]) * np.tile(factor, 2)).round(2).tolist()
        if isinstance(entry.get("segmentation"), list):
            polygons = [(np.array(p).reshape(-1, 2) * factor).round(1).ravel().tolist() for p in entry["segmentation"]]
            entry["segmentation"] = polygons
    (target / "annotations/instances_train2017.json").write_text(json.dumps(annotations))


if __name__ == "__main__":
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    cv2.setNumThreads(1)
    shrink_got10k(data / "got10k/train", out / "got10k/train")
    shrink_got10k(data / "train_more/got10k_more/train", out / "got10k_more/train")
    shrink_coco(data / "train_more/coco_more", out / "coco_more")
