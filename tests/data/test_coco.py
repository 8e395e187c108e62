"""COCO: every annotation a sequence of one image, from an index that is made once."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax import config as configs
from ostrack_jax.config import DataConfig, PairConfig
from ostrack_jax.data.generated.pasted import read_cutouts
from ostrack_jax.data.readers import coco
from ostrack_jax.data.readers.coco import open_coco
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import open_sources
from ostrack_jax.pipeline.sampling import Source, draw_pair
from tests import layouts


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("below", ["", "images"])
def test_both_places_of_the_images(tmp_path, below):
    layouts.coco(tmp_path, below=below)
    layouts.coco(tmp_path, "val2017", below=below, images=1)
    sequences = open_dataset(DataConfig(reader="coco", dir=str(tmp_path), split="train2017"))
    assert [*sequences.names] == ["700", "800", "701", "801"]
    sequence = sequences[3]
    assert (sequence.name, sequence.is_image, len(sequence), sequence.size_wh) == ("801", True, 1, (32, 24))
    np.testing.assert_array_equal(sequence.boxes_xywh, [[1.25, 2, 11, 8]])
    assert sequence.visible.tolist() == [True]
    assert sequence.frames[0].mean() == pytest.approx(40, abs=2)
    assert [*open_coco(tmp_path, "val").names] == ["700", "701"]
    assert [*open_coco(tmp_path, split="val2017").names] == ["700", "701"]


def test_it_is_indexed_once_and_again_when_the_file_changes(tmp_path, monkeypatch):
    layouts.coco(tmp_path)
    read, made = coco.read_instances, []
    monkeypatch.setattr(coco, "read_instances", lambda path: made.append(path) or read(path))
    first = open_coco(tmp_path)
    again = open_coco(tmp_path)
    assert len(made) == 1
    np.testing.assert_array_equal(again[2].boxes_xywh, first[2].boxes_xywh)
    assert again[2].frames[0].shape == (24, 32, 3)
    layouts.write_coco(
        tmp_path, "train2017", [{"id": 7, "file_name": "7.jpg"}], [{"id": 5, "image_id": 7, "bbox": [1, 2, 3, 4]}]
    )
    assert [*open_coco(tmp_path).names] == ["5"]
    assert len(made) == 2
    assert open_coco(tmp_path)[0].size_wh is None


def test_it_travels_and_serves_as_a_pair(tmp_path):
    sequences = pickle.loads(pickle.dumps(open_coco(layouts.coco(tmp_path))))
    pair = draw_pair((Source("coco", sequences, 1.0),), PairConfig(), np.random.default_rng(0))
    (template, _), (search, _) = pair.read()
    assert template is search
    assert pair.sequence.name in sequences.names
    assert sequences.select(["801", "700"])[1].name == "700"


def test_flaws_of_the_real_data_are_survived(tmp_path):
    layouts.coco(tmp_path)
    images = [{"id": 9, "file_name": "b.jpg"}, {"id": 7, "file_name": "a.jpg", "width": None, "height": 3}]
    boxes = [[1, 2, 0, 4], [1, 2, -3, 4], [float("nan"), 2, 3, 4], [1, 2, 3, 4]]
    annotations = [{"id": i, "image_id": 7 + 2 * (i % 2), "bbox": box} for i, box in enumerate(boxes)]
    layouts.write_coco(tmp_path, "train2017", images, [*annotations, {"id": 9, "image_id": 8, "bbox": [1, 2, 3, 4]}])
    sequences = open_coco(tmp_path)
    assert [bool(sequence.visible[0]) for sequence in sequences] == [False, False, False, True]
    assert [note.partition(".json: ")[2] for note in sequences.notes] == [
        "1 annotations of images that it does not list are left out"
    ]
    with pytest.raises(UserError, match=r"cannot read the image .*train2017/b.jpg: no such file"):
        sequences[3].frames[0]
    with pytest.raises(UserError, match=r"a.jpg"):
        sequences[0].frames[0]


IMAGE, BOX = {"id": 7, "file_name": "a.jpg"}, {"id": 1, "image_id": 7, "bbox": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([], [], "expected images and annotations with boxes"),
        ([IMAGE], [{**BOX, "bbox": [1, 2, 3]}], "expected images and annotations with boxes"),
        ([IMAGE], [{**BOX, "image_id": 2**70}], "none of its 1 annotations is left; 1 annotations of images"),
        ([IMAGE], [{**BOX, "image_id": 7.5}], "image_id is '7.5': expected an integer or a string"),
        ([IMAGE], [{**BOX, "image_id": None}], "image_id is 'None': expected"),
        ([IMAGE], [{**BOX, "image_id": [7]}], r"image_id is '\[7\]': expected"),
        ([{**IMAGE, "id": True}], [BOX], "the id of an image is 'True': expected an integer or a string"),
        ([{**IMAGE, "file_name": "\ud800.jpg"}], [BOX], "does not hold COCO's annotations"),
    ],
)
def test_files_of_another_kind_are_told(tmp_path, images, annotations, message):
    layouts.coco(tmp_path)
    layouts.write_coco(tmp_path, "train2017", images, annotations)
    with pytest.raises(UserError, match=message) as caught:
        open_coco(tmp_path)
    assert len(str(caught.value)) < 400


OUTSIDE = (
    "../../secret.jpg",
    "a/../../b.jpg",
    "..",
    "/etc/passwd",
    "..\\up.jpg",
    "C:\\a.jpg",
    "C:a.jpg",
    "\\\\host\\a.jpg",
)


@pytest.mark.parametrize(
    "name", [*OUTSIDE, "http://host/a.jpg", "s3://bucket/a.jpg", "", ".", "a\0.jpg", None, 7, ["a.jpg"]]
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    """By both readers of such files."""
    polygon = {**BOX, "segmentation": [[0, 0, 30, 0, 30, 30]]}
    layouts.write_coco(layouts.coco(tmp_path), "train2017", [{**IMAGE, "file_name": name}], [polygon])
    for read in (open_coco, read_cutouts):
        with pytest.raises(UserError) as caught:
            read(tmp_path)
        assert f"file_name is {str(name)!r}: expected a path below the folder of the images" in str(caught.value)
        assert "instances_train2017.json" in str(caught.value)


@pytest.mark.parametrize("name", ["camera1/1.jpg", "./camera1/1.jpg", "camera1\\1.jpg", "camera1//1.jpg"])
def test_images_in_folders(tmp_path, name):
    """As annotation tools name them, those of Windows too."""
    layouts.coco(tmp_path)
    layouts.make_images(tmp_path / "train2017/camera1", 1, "{}.jpg")
    layouts.write_coco(tmp_path, "train2017", [{**IMAGE, "file_name": name}], [BOX])
    assert open_coco(tmp_path)[0].frames[0].shape == (24, 32, 3)


IDS = {
    "texts": ("frame-1", "frame-2"),
    "written as texts": ("1", "2"),
    "texts with zeros": ("01", "1"),
    "written as fractions": (1.0, 2.0),
    "UUIDs": ("6f1d-a", "6f1d-b"),
    "large": (2**63 - 1, 2**63),
    "very large": (10**40, 10**40 + 1),
    "negative": (-1, -2),
    "of several kinds": (1, "a"),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_kind(tmp_path, kind):
    layouts.coco(tmp_path)
    one, other = IDS[kind]
    images = [{"id": one, "file_name": "1.jpg"}, {"id": other, "file_name": "2.jpg"}]
    boxes = [(11, other, 30), (12, one, 40), (13, other, 50)]
    polygon = [[0, 0, 30, 0, 30, 30]]
    annotations = [
        {"id": i, "image_id": image, "bbox": [0, 0, side, side], "segmentation": polygon} for i, image, side in boxes
    ]
    layouts.write_coco(tmp_path, "train2017", images, annotations)
    sequences = open_coco(tmp_path)
    assert [*sequences.names] == ["11", "12", "13"]
    assert [Path(sequence.frames.name(0)).stem for sequence in sequences] == ["2", "1", "2"]
    assert [sequence.boxes_xywh[0, 2] for sequence in sequences] == [30, 40, 50]
    assert sequences.notes == ()
    cutouts = read_cutouts(tmp_path)
    assert sorted(Path(cutouts.images[i]).stem for i in cutouts.image) == ["1", "2", "2"]


def test_what_is_written_as_text_matches_what_is_a_number(tmp_path):
    layouts.coco(tmp_path)
    layouts.write_coco(tmp_path, "train2017", [IMAGE], [{**BOX, "image_id": "7"}, {**BOX, "id": 2, "image_id": 7.0}])
    assert [*open_coco(tmp_path).names] == ["1", "2"]


def test_odd_annotations_are_left_out_and_counted(tmp_path, caplog):
    layouts.coco(tmp_path)
    good = {**BOX, "width": None}
    odd = [[], None, [1, 2, 3], [1, 2, "a", 4], [1, 2, [3], 4], "1,2,3,4", {"x": 1}]
    annotations = [{**BOX, "id": 100 + i, "bbox": value} for i, value in enumerate(odd)]
    annotations += [{"id": "a\nb", "image_id": 7, "category_id": 1, "segmentation": {"counts": "abc", "size": [9, 9]}}]
    annotations += [
        {**good, "id": 2, "bbox": ["1", "2.5", "3", "4"], "iscrowd": "0"},
        {**good, "id": 3, "iscrowd": "1"},
    ]
    layouts.write_coco(tmp_path, "train2017", [IMAGE, IMAGE], [good, *annotations])
    sequences = open_coco(tmp_path)
    assert [*sequences.names] == ["1", "2"]
    np.testing.assert_array_equal(sequences[1].boxes_xywh, [[1, 2.5, 3, 4]])
    assert [note.partition(".json: ")[2] for note in sequences.notes] == [
        "8 annotations without a box of four numbers (ids 100, 101, 102, 103, 104 and 3 more) are left out",
        "1 images have the id of one before: no annotation is theirs",
    ]
    config = configs.change(
        configs.load("tiny"), ["data.synthetic.weight=0", "data.mine.reader=coco", f"data.mine.dir={tmp_path}"]
    )
    open_sources(config)
    assert "config.data.mine: " in caplog.text
    assert "8 annotations without a box" in caplog.text


@pytest.mark.parametrize("ids", [("a", "b"), (1, 1), (None, 2), ("a/../b", 1.5)])
def test_annotations_without_distinct_numbers_are_named_by_their_place(tmp_path, ids):
    layouts.coco(tmp_path)
    annotations = [{**BOX, "id": 9, "bbox": []}, *({**BOX, "id": number} for number in ids)]
    layouts.write_coco(tmp_path, "train2017", [IMAGE], annotations)
    sequences = open_coco(tmp_path)
    assert [*sequences.names] == ["2", "3"]
    assert "named by their place in the file, from 1" in sequences.notes[1]


def test_sizes_and_categories_may_be_missing(tmp_path):
    layouts.coco(tmp_path)
    sizes = [{}, {"width": "32", "height": 24.0}, {"width": "wide", "height": 24}, {"width": -3, "height": 1e300}]
    images = [{"id": i, "file_name": f"{i}.jpg", **size} for i, size in enumerate(sizes)]
    layouts.write_coco(tmp_path, "train2017", images, [{**BOX, "id": i, "image_id": i} for i in range(4)])
    assert [sequence.size_wh for sequence in open_coco(tmp_path)] == [None, (32, 24), None, None]


@pytest.mark.parametrize("place", ["images/mine", "mine", "images"])
def test_a_split_of_another_name(tmp_path, place):
    layouts.make_images(tmp_path / place, 1, "{}.jpg")
    (tmp_path / "annotations").mkdir()
    layouts.write_coco(tmp_path, "mine", [{**IMAGE, "file_name": "1.jpg"}], [BOX])
    assert open_coco(tmp_path, split="mine")[0].frames[0].shape == (24, 32, 3)
    with pytest.raises(
        UserError, match=r"no file annotations/instances_train2017\.json in .*; of other splits .* mine"
    ):
        open_coco(tmp_path)


def test_turned_images_are_read_as_boxes_count(tmp_path):
    layouts.coco(tmp_path, annotations=1)
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # a quarter turn
    for path in (tmp_path / "train2017").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + data[2:])
    data = DataConfig(reader="coco", dir=str(tmp_path))
    assert open_dataset(data)[0].frames[0].shape == (24, 32, 3)
    shown = dataclasses.replace(data, options={"orientation": "shown"})
    assert open_dataset(shown)[0].frames[0].shape == (32, 24, 3)
    with pytest.raises(UserError, match="unknown orientation 'upright'"):
        open_coco(tmp_path, orientation="upright")


@pytest.mark.parametrize("text", ["", "[1, 2", "[" * 100_000, "\xff", json.dumps([IMAGE, BOX])])
def test_what_is_no_json_is_told(tmp_path, text):
    layouts.coco(tmp_path)
    (tmp_path / "annotations/instances_train2017.json").write_text(text, "latin-1")
    with pytest.raises(UserError, match="does not hold COCO's annotations"):
        open_coco(tmp_path)


def test_foreign_folders_and_wrong_names_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no file annotations/instances_train2017.json in .*: expected COCO's layout$"):
        open_coco(tmp_path)
    layouts.coco(tmp_path)
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"no images in .*: expected the folder images/train2017 or train2017"):
        open_coco(tmp_path)
    with pytest.raises(UserError, match=r"no file annotations/instances_train17.json in .* there are train2017$"):
        open_coco(tmp_path, split="train17")


@pytest.mark.data
def test_the_real_images(shared_data):
    sequences = open_coco(shared_data / "coco")
    assert len(sequences) == 250  # 252 annotations, 2 crowds
    for sequence in sequences:
        assert sequence.visible.all()
        left, top, width, height = sequence.boxes_xywh[0]
        assert left >= 0
        assert top >= 0
        assert left + width <= sequence.size_wh[0] + 0.01
        assert top + height <= sequence.size_wh[1] + 0.01
    assert sequences[-1].frames[0].shape[1::-1] == sequences[-1].size_wh
