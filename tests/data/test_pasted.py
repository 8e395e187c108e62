"""Objects pasted into images: what is cut out, where it is drawn, the same from the same seed."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ostrack_jax.config import DataConfig
from ostrack_jax.data.generated import pasted, scene, shapes
from ostrack_jax.data.generated.pasted import open_pasted, read_cutouts, read_outlines
from ostrack_jax.data.generated.scene import Scene, SceneFrames
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.errors import UserError

Names = Callable[[int], str]
RED, GROUND = (40, 60, 210), (30, 90, 20)  # blue, green, red


def record(image: int, corners, category: int = 1, **more) -> dict:
    flat = [float(v) for corner in corners for v in corner]
    return {"image_id": image, "category_id": category, "iscrowd": 0, "segmentation": [flat], **more}


def rectangle(x: float, y: float, w: float, h: float) -> list[tuple[float, float]]:
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


def coco(
    folder: Path, annotations: list[dict], sizes: dict[int, tuple[int, int]], names: Callable[[int], str] = str
) -> Path:
    """A folder in COCO's layout: green images in which every polygon is filled with red."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "train2017").mkdir()
    images = [{"id": i, "file_name": f"{names(i)}.png"} for i in sizes]
    for i, (width, height) in sizes.items():
        image = np.full((height, width, 3), GROUND, np.uint8)
        for found in annotations:
            if found["image_id"] == i and isinstance(found["segmentation"], list):
                for flat in (flat for flat in found["segmentation"] if len(flat) % 2 == 0):
                    cv2.fillPoly(image, [np.rint(np.reshape(flat, (-1, 2))).astype(np.int32)], RED)
        cv2.imwrite(str(folder / "train2017" / f"{i}.png"), image)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    star = [(60, 20), (75, 60), (110, 65), (80, 90), (90, 130), (60, 105), (30, 130), (40, 90), (10, 65), (45, 60)]
    large = [(100, 100), (900, 200), (700, 800), (300, 650)]
    sizes = {7: (160, 150), 3: (1300, 900), 5: (200, 160)}
    annotations = [record(7, star), record(3, large, 2), record(5, [(20, 30), (80, 30), (20, 120)])]
    return coco(tmp_path_factory.mktemp("coco"), annotations, sizes)


def test_a_set_of_a_million_is_as_small_as_one_of_three(folder):
    many, few = open_pasted(folder, sequences=1_000_000), open_pasted(folder, sequences=3)
    assert len(pickle.dumps(many)) <= len(pickle.dumps(few)) + 20  # what a loader process is given
    assert many[999_999].name == "pasted_train_999999"
    assert np.array_equal(many[2].boxes_xywh, few[2].boxes_xywh)
    assert not np.array_equal(many[2].boxes_xywh, many[1].boxes_xywh)


def test_objects_are_read_with_their_largest_polygon_and_neighbours(tmp_path):
    two = record(2, rectangle(10, 10, 20, 20), 4)
    two["segmentation"].append([float(v) for corner in rectangle(60, 60, 80, 30) for v in corner])
    annotations = [
        record(2, rectangle(0, 0, 30, 40), 1),
        record(9, rectangle(5, 5, 50, 50), 8),
        two,
        record(2, rectangle(30, 0, 40, 40), 1),
        record(2, rectangle(0, 0, 15, 40)),  # too narrow
        record(2, rectangle(0, 0, 30, 40), iscrowd=1),
        record(44, rectangle(0, 0, 30, 40)),  # of no image
        {**record(2, []), "segmentation": {"counts": [1, 2], "size": [3, 4]}},
        {**record(2, []), "segmentation": [[1.0, 2.0, 3.0]]},
    ]
    found = read_cutouts(coco(tmp_path / "a", annotations, {9: (99, 99), 2: (200, 200), 1: (40, 40)}))
    assert [Path(path).name for path in found.images] == ["2.png", "9.png"]
    assert found.image.tolist() == [0, 0, 0, 1]
    assert found.category.tolist() == [1, 4, 1, 8]
    np.testing.assert_array_equal(found.outline(1), rectangle(60, 60, 80, 30))
    np.testing.assert_array_equal(found.outline(3), rectangle(5, 5, 50, 50))
    assert [found.neighbours(i).tolist() for i in range(4)] == [[2, 1], [0, 2], [0, 1], []]
    assert len(read_outlines(next((tmp_path / "a/annotations").iterdir()), most=2)["picture"]) == 3


def test_a_frame_follows_from_seed_and_index_alone(folder):
    one, other = open_pasted(folder, seed=1, sequences=99), open_pasted(folder, seed=1, sequences=9)
    forward = [one[5].frames[i] for i in (0, 20, 29)]
    backward = [pickle.loads(pickle.dumps(other))[5].frames[i] for i in (29, 20, 0)]
    for a, b in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one[5])).frames[20], forward[1])
    firsts = {
        open_pasted(folder, p, seed=s)[i].frames[0].tobytes() for p in scene.PARTS for s in (0, 1) for i in (0, 1)
    }
    assert len(firsts) == 12


def test_what_is_cut_out_is_the_object_and_nothing_else(folder, monkeypatch):
    """Also from an image that is shrunk: all that is opaque is of the object's one colour."""
    monkeypatch.setattr(pasted, "_SYNTHETIC", 0.0)
    for sequence in open_pasted(folder, sequences=40):
        assert isinstance(sequence.frames, SceneFrames)
        scene = sequence.frames.scene
        patch = scene.things[scene.target].patch
        core = cv2.erode((patch[..., 3] == 255).astype(np.uint8), np.ones((3, 3))) > 0
        assert core.any()
        colours = patch[core][:, :3].astype(int)
        assert np.ptp(colours, axis=0).max() <= 2
        assert np.abs(patch[..., :3].astype(int) - np.median(colours, axis=0)).max() > 20


def test_boxes_are_tight_around_what_is_drawn(folder):
    compared = 0
    for sequence in open_pasted(folder, sequences=15, frames=20):
        assert isinstance(sequence.frames, SceneFrames)
        scene = sequence.frames.scene
        target = scene.things[scene.target]
        white = dataclasses.replace(
            target, patch=np.where([1, 1, 1, 0], 255, target.patch).astype(np.uint8), smear=None
        )
        black = Scene(np.zeros_like(scene.background), scene.camera, [white], 0, np.ones(20), scene.size_wh)
        alone = SceneFrames(lambda black=black: black, 20)
        for t in range(0, 20, 5):
            rows, columns = np.nonzero(alone[t][..., 0] > 100)
            x, y, w, h = sequence.boxes_xywh[t]
            if min(w, h) < 6:
                continue
            drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(drawn, [x, y, x + w, y + h], atol=2.0 + 0.04 * max(w, h), err_msg=sequence.name)
            compared += 1
    assert compared > 35


def test_a_part_is_followed_within_the_whole(folder):
    wholes, parts = open_pasted(folder, sequences=25), open_pasted(folder, sequences=25, parts=1.0)
    followed = 0
    for whole, part in zip(wholes, parts, strict=True):
        (x, y, w, h), (a, b, c, d) = whole.boxes_xywh[0], part.boxes_xywh[0]
        if np.allclose((x, y, w, h), (a, b, c, d)):
            continue  # too small to have parts
        assert isinstance(part.frames, SceneFrames)
        outline = part.frames.scene.things[part.frames.scene.target].outline
        assert 0.24 <= np.ptp(outline, axis=0).min() <= np.ptp(outline, axis=0).max() <= 0.71
        if c * d:
            followed += 1
            assert (x - 1 <= a, y - 1 <= b, a + c <= x + w + 1, b + d <= y + h + 1) == (True,) * 4
    assert followed > 12


def test_targets_are_small_and_large_and_mostly_in_sight(folder):
    sequences = list(open_pasted(folder, sequences=60))
    first = np.array([np.sqrt(s.boxes_xywh[0, 2:].prod()) for s in sequences])
    assert np.mean(first < 20) > 0.15
    assert np.mean(first > 60) > 0.15
    shares = np.concatenate([s.visible for s in sequences])
    assert 0.85 < shares.mean() < 1
    assert any((s.cover < 6).any() for s in sequences)


def test_backgrounds_come_from_their_folder(folder, tmp_path):
    for name, inner in (("flat", ""), ("deep", "a")):
        place = tmp_path / name / inner
        place.mkdir(parents=True)
        cv2.imwrite(str(place / "1.png"), np.full((90, 120, 3), (200, 0, 0), np.uint8))
        for sequence in open_pasted(folder, sequences=5, distractors=0, backgrounds=str(tmp_path / name)):
            frame = sequence.frames[0].astype(int)
            assert ((frame[..., 2] > 90) & (frame[..., :2] < 5).all(axis=2)).mean() > 0.4


def test_impossible_wishes_are_told(folder, tmp_path):
    with pytest.raises(UserError, match="no file annotations/instances_"):
        open_pasted(tmp_path)
    for option in ({"frames": 0}, {"width": 63}, {"seed": -1}, {"distractors": 99}, {"parts": 1.5}):
        with pytest.raises(UserError, match=f"pasted {next(iter(option))}: expected .* to .*, found"):
            open_pasted(folder, **option)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no image and no folder"):
        open_pasted(folder, backgrounds=str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"file_name is '\.\./1\.png': expected a path below"):
        open_pasted(coco(tmp_path / "b", [record(1, rectangle(0, 0, 30, 30))], {1: (40, 40)}, lambda i: f"../{i}"))
    small = coco(tmp_path / "c", [record(1, rectangle(0, 0, 9, 9))], {1: (40, 40)})
    with pytest.raises(UserError, match="no object with an outline"):
        open_pasted(small)
    (small / "annotations" / "instances_train2017.json").write_text("[1")
    with pytest.raises(UserError, match="does not hold COCO's annotations"):
        open_pasted(small)


def test_a_shutter_smears_along_the_motion():
    patch = np.zeros((31, 31, 4), np.uint8)
    patch[12:19, 12:19] = (200, 100, 50, 255)
    still, smeared = patch[..., 3] > 100, shapes.smear(patch, np.array([8.0, 0.0]))
    assert smeared[..., 3].astype(int).sum() == pytest.approx(patch[..., 3].astype(int).sum(), rel=0.02)
    rows, columns = np.nonzero(smeared[..., 3])
    assert (np.ptp(rows), np.ptp(columns)) == (np.ptp(np.nonzero(still)[0]), np.ptp(np.nonzero(still)[1]) + 8)
    seen = smeared[..., 3] > 60
    np.testing.assert_allclose(smeared[seen][:, :3], np.broadcast_to([200, 100, 50], (seen.sum(), 3)), atol=3)


@pytest.mark.data
@pytest.mark.slow
def test_real_objects_before_real_frames(shared_data):
    options = {"backgrounds": str(shared_data / "got10k" / "train"), "sequences": 30, "frames": 20}
    data = open_dataset(DataConfig(reader="pasted", dir=str(shared_data / "coco"), options=options))
    for sequence in data:
        assert sequence.visible.sum() >= 5
        assert sequence.frames[19].std() > 5
