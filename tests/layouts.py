"""Tiny folders in the layouts of the data sets, for tests: a few pictures of 32 x 24 pixels and their annotations."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

BOX = "1,2,10,8\n"


def pictures(folder: Path, count: int = 3, form: str = "{:08d}.jpg", first: int = 1) -> Path:
    """``count`` pictures, picture i of grey 40 * i (modulo 256)."""
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / form.format(first + i)), np.full((24, 32, 3), 40 * i % 256, np.uint8))
    return folder


def got10k(root: Path, names: tuple[str, ...] = ("a", "b"), count: int = 3, labels: bool = False) -> Path:
    """A part of GOT-10k."""
    for name in names:
        pictures(root / name, count)
        (root / name / "groundtruth.txt").write_text(BOX * count)
        if labels:
            (root / name / "absence.label").write_text("0\n" * count)
            (root / name / "cover.label").write_text("8\n" * count)
    (root / "list.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def otb(root: Path, names: tuple[str, ...] = ("Girl",), count: int = 3) -> Path:
    """Sequences of OTB."""
    for name in names:
        pictures(root / name / "img", count, "{:04d}.jpg")
        (root / name / "groundtruth_rect.txt").write_text(BOX * count)
    return root


def lasot(root: Path, names: tuple[str, ...] = ("cat-4", "cat-1"), count: int = 3, flat: bool = False) -> Path:
    """Sequences of LaSOT: cat-4 is of its training list, cat-1 of its test list."""
    for name in names:
        folder = root / name if flat else root / name.rpartition("-")[0] / name
        pictures(folder / "img", count)
        (folder / "groundtruth.txt").write_text(BOX * count)
        for label in ("full_occlusion.txt", "out_of_view.txt"):
            (folder / label).write_text(",".join("0" * count) + "\n")
    return root


def trackingnet(root: Path, chunk: str = "TRAIN_0", names: tuple[str, ...] = ("v_0", "v_1"), count: int = 3) -> Path:
    """A chunk of TrackingNet; of the test chunk the first box alone."""
    (root / chunk / "anno").mkdir(parents=True)
    for name in names:
        pictures(root / chunk / "frames" / name, count, "{}.jpg", first=0)
        (root / chunk / "anno" / f"{name}.txt").write_text(BOX * (1 if chunk == "TEST" else count))
    return root


def coco(root: Path, split: str = "train2017", below: str = "", images: int = 2, annotations: int = 2) -> Path:
    """COCO with as many annotations a picture, and a crowd."""
    folder = pictures(root / below / split, images, "{:012d}.jpg", first=7)
    listed = [{"id": i, "file_name": f"{i:012d}.jpg", "width": 32, "height": 24} for i in range(7, 7 + images)]
    records = [
        {"id": 100 * i + j, "image_id": i, "bbox": [1.25, 2, 10 + j, 8], "iscrowd": 0, "segmentation": [[1, 2, 3, 4]]}
        for j in range(annotations)
        for i in range(7, 7 + images)
    ]
    mask = {"counts": [1, 2], "size": [2]}
    crowd = {"id": 1, "image_id": 7, "bbox": [0, 0, 5, 5], "iscrowd": 1, "segmentation": mask}
    (root / "annotations").mkdir(exist_ok=True)
    write_coco(root, split, listed, [*records, crowd])
    assert folder.is_dir()
    return root


def write_coco(root: Path, split: str, images: list[dict], annotations: list[dict]) -> None:
    """The annotation file alone."""
    content = {"info": {"year": 2017}, "licenses": [{"id": 1}], "images": images, "annotations": annotations}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def vid(root: Path, frames: list[dict[str, tuple[int, int, int, int, int]]], snippet: str = "g/s_000") -> Path:
    """A snippet of ImageNet VID: for each frame its targets: track -> (xmin, ymin, xmax, ymax, occluded)."""
    pictures(root / "Data/VID/train" / snippet, len(frames), "{:06d}.JPEG", first=0)
    folder = root / "Annotations/VID/train" / snippet
    folder.mkdir(parents=True)
    for i, targets in enumerate(frames):
        (folder / f"{i:06d}.xml").write_text(vid_xml(targets))
    return root


def vid_xml(targets: dict[str, tuple[int, int, int, int, int]]) -> str:
    """One frame's annotation."""
    objects = "".join(
        f"<object><trackid>{track}</trackid><name>n02691156</name><bndbox><xmax>{right}</xmax><xmin>{left}</xmin>"
        f"<ymax>{bottom}</ymax><ymin>{top}</ymin></bndbox><occluded>{hidden}</occluded><generated>0</generated></object>"
        for track, (left, top, right, bottom, hidden) in targets.items()
    )
    return f"<annotation><folder>x</folder><size><width>32</width><height>24</height></size>{objects}</annotation>"


def folder_of_ones_own(root: Path) -> Path:
    """A plain folder with one sequence of pictures."""
    (pictures(root / "mine") / "boxes.txt").write_text(BOX * 3)
    return root
