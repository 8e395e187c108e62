"""Tiny folders in the layouts of the data sets, for tests: a few images of 32 x 24 pixels and their annotations."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import cv2
import numpy as np

BOX = "1,2,10,8\n"


def make_images(folder: Path, count: int = 3, form: str = "{:08d}.jpg", first: int = 1) -> Path:
    """``count`` images, image i of grey 40 * i (modulo 256)."""
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / form.format(first + i)), np.full((24, 32, 3), 40 * i % 256, np.uint8))
    return folder


def got10k(root: Path, names: tuple[str, ...] = ("a", "b"), count: int = 3, labels: bool = False) -> Path:
    """A part of GOT-10k."""
    for name in names:
        make_images(root / name, count)
        (root / name / "groundtruth.txt").write_text(BOX * count)
        if labels:
            (root / name / "absence.label").write_text("0\n" * count)
            (root / name / "cover.label").write_text("8\n" * count)
    (root / "list.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def otb(root: Path, names: tuple[str, ...] = ("Girl",), count: int = 3) -> Path:
    """Sequences of OTB."""
    for name in names:
        make_images(root / name / "img", count, "{:04d}.jpg")
        (root / name / "groundtruth_rect.txt").write_text(BOX * count)
    return root


def lasot(root: Path, names: tuple[str, ...] = ("cat-4", "cat-1"), count: int = 3, flat: bool = False) -> Path:
    """Sequences of LaSOT: cat-4 is of its training list, cat-1 of its test list."""
    for name in names:
        folder = root / name if flat else root / name.rpartition("-")[0] / name
        make_images(folder / "img", count)
        (folder / "groundtruth.txt").write_text(BOX * count)
        for label in ("full_occlusion.txt", "out_of_view.txt"):
            (folder / label).write_text(",".join("0" * count) + "\n")
    return root


def trackingnet(root: Path, chunk: str = "TRAIN_0", names: tuple[str, ...] = ("v_0", "v_1"), count: int = 3) -> Path:
    """A chunk of TrackingNet; of the test chunk the first box alone."""
    (root / chunk / "anno").mkdir(parents=True)
    for name in names:
        make_images(root / chunk / "frames" / name, count, "{}.jpg", first=0)
        (root / chunk / "anno" / f"{name}.txt").write_text(BOX * (1 if chunk == "TEST" else count))
    return root


def lasot_ext(root: Path) -> Path:
    """A sequence of LaSOT's extension."""
    return lasot(root, ("atv-1",))


def nfs(root: Path, rate: str = "30", name: str = "car_jumping", count: int = 3, lines: int | None = None) -> Path:
    """A sequence of NFS as its authors have it: boxes at 240 frames a second, as corners, with flags and a label."""
    make_images(root / name / rate / name, count, "{:05d}.jpg")
    lines = lines if lines is not None else count * (8 if rate == "30" else 1)
    rows = [f'0 {1 + i} 2 {11 + i} 10 {i + 1} {int(i == 16)} 0 1 "car"\n' for i in range(lines)]
    (root / name / rate / f"{name}.txt").write_text("".join(rows))
    return root


def nfs_rehosted(root: Path) -> Path:
    """A sequence of NFS, 22 frames long, in the form it is handed on in."""
    make_images(root / "sequences/car_jumping", 22, "{:05d}.jpg")
    (root / "anno").mkdir()
    (root / "anno/nfs_car_jumping.txt").write_text("1\t2\t10\t8\n" * 22)
    return root


def uav(
    root: Path, video: str = "uav6", pieces: tuple[tuple[str, int], ...] = (("uav6", 109),), long: str = ""
) -> Path:
    """A video of UAV123, all its sequences by name and length; ``long``: of UAV20L, its boxes too."""
    last = sum(count - 1 for _, count in pieces) + 1
    make_images(root / "data_seq/UAV123" / video, last, "{:06d}.jpg")
    for part, names in (("UAV123", pieces), ("UAV20L", ((long, last),) if long else ())):
        (root / "anno" / part / "att").mkdir(parents=True)
        for name, count in names:
            (root / "anno" / part / f"{name}.txt").write_text(BOX * count)
            (root / "anno" / part / "att" / f"{name}.txt").write_text("1,0,0,1,0,0,0,0,0,0,0,0\n")
    return root


def uav_10fps(root: Path, name: str = "uav6", count: int = 37) -> Path:
    """A sequence of UAV123@10fps."""
    make_images(root / "data_seq/UAV123_10fps" / name, count, "{:06d}.jpg")
    (root / "anno/UAV123_10fps").mkdir(parents=True)
    (root / f"anno/UAV123_10fps/{name}.txt").write_text(BOX * count)
    return root


def uavdt(
    root: Path, name: str = "S0601", videos: str = "UAV-benchmark-S", boxes: str = "UAV-benchmark-SOT_v1.0/anno"
) -> Path:
    """A sequence of UAVDT's single-object set."""
    make_images(root / videos / name, 3, "img{:06d}.jpg")
    (root / boxes).mkdir(parents=True)
    (root / boxes / f"{name}_gt.txt").write_text(BOX * 3)
    return root


def tc128(root: Path, name: str = "Ball_ce2", first: int = 3, count: int = 3) -> Path:
    """A sequence of TC-128 with images before and after the annotated ones, its files in another case."""
    make_images(root / name / "img", first + count + 1, "{:04d}.jpg")
    (root / name / f"{name.lower()}_gt.txt").write_text(BOX * count)
    (root / name / f"{name.lower()}_frames.txt").write_text(f"{first},{first + count - 1}\n")
    return root


def tnl2k(root: Path, names: tuple[str, ...] = ("Cat_video_01-Done",), part: str = "") -> Path:
    """Sequences of TNL2K, side by side or in a folder of one of its archives."""
    for name in names:
        make_images(root / part / name / "imgs", 3, "{:05d}.png")
        (root / part / name / "groundtruth.txt").write_text(BOX * 3)
        (root / part / name / "language.txt").write_text("the cat\n")
    return root


def itb(root: Path) -> Path:
    """A sequence of ITB."""
    make_images(root / "Cartoon" / "mouse", 3, "{:04d}.jpg")
    (root / "Cartoon/mouse/groundtruth.txt").write_text(BOX * 3)
    return root


def vot(root: Path, regions: str = "1,2,11,2,11,10,1,10\n" * 3, color: str = "color") -> Path:
    """A sequence of VOT."""
    make_images(root / "ants1" / color, len(regions.splitlines()))
    (root / "ants1/groundtruth.txt").write_text(regions)
    (root / "ants1/camera_motion.tag").write_text("0\n1\n0\n")
    (root / "ants1/occlusion.tag").write_text("0\n0\n0\n")
    (root / "list.txt").write_text("ants1\n")
    return root


# Of every benchmark its name, and what makes a tiny folder of it; of those with a ground truth the box is BOX.
BENCHMARKS = {
    "lasot": lasot,
    "lasot_ext": lasot_ext,
    "trackingnet": lambda root: trackingnet(root, "TEST", ("t_0",)),
    "got10k_val": lambda root: got10k(root / "val") and root,
    "got10k_test": lambda root: got10k(root / "test") and root,
    "nfs30": nfs_rehosted,
    "nfs240": lambda root: nfs(root, "240"),
    "uav123": uav,
    "uav123_10fps": uav_10fps,
    "uav20l": lambda root: uav(root, "car3", (("car3", 1717),), "car3"),
    "tnl2k": tnl2k,
    "otb100": otb,
    "otb": otb,
    "dtb70": lambda root: otb(root, ("Animal1",)),
    "uavdt": uavdt,
    "tc128": tc128,
    "itb": itb,
    **{f"vot{year}": vot for year in (2018, 2019)},
    **{f"vot{year}": lambda root: vot(root, "m1,2,10,8,0,80\n" * 3) for year in (2020, 2021, 2022)},
    "folder": lambda root: folder_of_ones_own(root),
}


def coco(root: Path, split: str = "train2017", below: str = "", images: int = 2, annotations: int = 2) -> Path:
    """COCO with as many annotations an image, and a crowd."""
    folder = make_images(root / below / split, images, "{:012d}.jpg", first=7)
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
    make_images(root / "Data/VID/train" / snippet, len(frames), "{:06d}.JPEG", first=0)
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
    """A plain folder with one sequence of images."""
    (make_images(root / "mine") / "boxes.txt").write_text(BOX * 3)
    return root


def tagged(kind: str, orientation: int, image: np.ndarray) -> bytes:
    """An image file with an EXIF orientation tag."""
    data = cv2.imencode(f".{kind}", image[..., ::-1])[1].tobytes()
    tag = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    if kind == "jpg":
        tag = b"Exif\0\0" + tag
        return data[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + data[2:]
    chunk = b"eXIf" + tag
    return data[:33] + len(tag).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]


def turn(video: Path) -> None:
    """Give an mp4 file the tag of a phone's that was held upright: to be shown a quarter turn clockwise."""
    data = bytearray(video.read_bytes())
    at = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2: the matrix of a version 0 box
    data[at : at + 36] = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    video.write_bytes(data)
