"""COCO: every annotation a sequence of one picture, from an index that is made once."""

from __future__ import annotations

import json
import pickle

import layouts
import numpy as np
import pytest

from ostrack_jax.config import DataConfig, PairConfig
from ostrack_jax.datasets import coco
from ostrack_jax.datasets.coco import open_coco
from ostrack_jax.datasets.readers import open_dataset
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.pairs import Source, draw_pair


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("below", ["", "images"])
def test_both_places_of_the_pictures(tmp_path, below):
    layouts.coco(tmp_path, below=below)
    layouts.coco(tmp_path, "val2017", below=below, images=1)
    sequences = open_dataset(DataConfig(reader="coco", dir=str(tmp_path), split="train2017"))
    assert [*sequences.names] == ["700", "800", "701", "801"]
    sequence = sequences[3]
    assert (sequence.name, sequence.is_picture, len(sequence), sequence.size_wh) == ("801", True, 1, (32, 24))
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


def test_flaws_of_the_real_data_are_survived(tmp_path, caplog):
    layouts.coco(tmp_path)
    images = [{"id": 9, "file_name": "b.jpg"}, {"id": 7, "file_name": "a.jpg", "width": None, "height": 3}]
    boxes = [[1, 2, 0, 4], [1, 2, -3, 4], [float("nan"), 2, 3, 4], [1, 2, 3, 4]]
    annotations = [{"id": i, "image_id": 7 + 2 * (i % 2), "bbox": box} for i, box in enumerate(boxes)]
    layouts.write_coco(tmp_path, "train2017", images, [*annotations, {"id": 9, "image_id": 8, "bbox": [1, 2, 3, 4]}])
    sequences = open_coco(tmp_path)
    assert [bool(sequence.visible[0]) for sequence in sequences] == [False, False, False, True]
    assert "1 annotations of pictures that it does not list are left out" in caplog.text
    with pytest.raises(UserError, match=r"cannot read the picture .*train2017/b.jpg: no such file"):
        sequences[3].frames[0]
    with pytest.raises(UserError, match=r"a.jpg"):
        sequences[0].frames[0]


IMAGE, BOX = {"id": 7, "file_name": "a.jpg"}, {"id": 1, "image_id": 7, "bbox": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([], [], "expected images and annotations with boxes"),
        ([IMAGE], [{**BOX, "bbox": [1, 2, 3]}], "not four numbers"),
        ([IMAGE], [{**BOX, "bbox": [1, 2, "a", 4]}], "does not hold COCO's annotations"),
        ([IMAGE], [{**BOX, "image_id": 2**70}], "does not hold COCO's annotations"),
        ([{**IMAGE, "file_name": "../../secret.jpg"}], [BOX], "'../../secret.jpg' is no name of a picture"),
        ([{**IMAGE, "file_name": "a" * 300}], [BOX], "is no name of a picture"),
    ],
)
def test_files_of_another_kind_are_told(tmp_path, images, annotations, message):
    layouts.coco(tmp_path)
    layouts.write_coco(tmp_path, "train2017", images, annotations)
    with pytest.raises(UserError, match=message):
        open_coco(tmp_path)


@pytest.mark.parametrize("text", ["", "[1, 2", "[" * 100_000, "\xff", json.dumps([IMAGE, BOX])])
def test_what_is_no_json_is_told(tmp_path, text):
    layouts.coco(tmp_path)
    (tmp_path / "annotations/instances_train2017.json").write_text(text, "latin-1")
    with pytest.raises(UserError, match="does not hold COCO's annotations"):
        open_coco(tmp_path)


def test_foreign_folders_and_wrong_names_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no file .*annotations/instances_train2017.json"):
        open_coco(tmp_path)
    layouts.coco(tmp_path)
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"no pictures in .*: expected the folder images/train2017 or train2017"):
        open_coco(tmp_path)
    with pytest.raises(UserError, match="unknown part of COCO 'test'"):
        open_coco(tmp_path, part="test")
    with pytest.raises(UserError, match="unknown split of COCO 'train17': did you mean 'train2017'"):
        open_coco(tmp_path, split="train17")


@pytest.mark.data
def test_the_real_pictures(shared_data):
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
