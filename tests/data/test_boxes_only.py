"""Ground truth without images, and what is told of sequences apart from their data."""

from __future__ import annotations

import pytest

from ostrack_jax.data.lists import published
from ostrack_jax.data.lists.published import read_table, with_attributes_of_files, with_published_attributes
from ostrack_jax.data.readers.boxes_only import open_boxes_only
from ostrack_jax.errors import UserError


@pytest.fixture
def otb(tmp_path):
    folder = tmp_path / "truth"
    folder.mkdir()
    for name in ("Biker", "Human4.2", "Mine"):
        (folder / f"{name}.txt").write_text("1\t2\t3\t4\n5\t6\t0\t0\n")
    return folder


def test_files_side_by_side(otb):
    sequences = open_boxes_only(otb)
    assert list(sequences.names) == ["Biker", "Human4.2", "Mine"]
    assert sequences[0].boxes_xywh.tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]
    assert sequences[0].visible.tolist() == [True, False]
    assert sequences[0].present is None
    with pytest.raises(UserError, match="without images"):
        sequences[0].frames[0]


@pytest.mark.parametrize("place", ["cat-1", "cat/cat-1"])
def test_folders_with_the_list_of_what_is_absent(tmp_path, place):
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / "groundtruth.txt").write_text("1,2,3,4\n" * 3)
    (folder / "full_occlusion.txt").write_text("0,1,0")
    (folder / "out_of_view.txt").write_text("0,0,0")
    sequence = with_published_attributes(open_boxes_only(tmp_path), "lasot")[0]
    assert (sequence.name, sequence.category) == ("cat-1", "cat")
    assert sequence.present is not None
    assert sequence.present.tolist() == sequence.visible.tolist() == [True, False, True]


def test_a_folder_without_any_is_told(tmp_path):
    (tmp_path / "deep/deeper/deepest").mkdir(parents=True)
    with pytest.raises(UserError, match="no ground truth"):
        open_boxes_only(tmp_path)


def test_the_published_table_tells_class_and_attributes(otb):
    biker, human, mine = with_published_attributes(open_boxes_only(otb), "otb")
    assert biker.category == "person head"
    assert "low resolution" in biker.attributes
    assert human.category == "person"
    assert (mine.category, mine.attributes) == ("", ())


def test_each_part_of_uav_has_its_own_sequences(tmp_path):
    names = sorted(read_table("uav", "uav20l"))
    assert len(names) == 20
    for name in (*names, "car16_1"):
        (tmp_path / f"{name}.txt").write_text("1,2,3,4\n")
    classes = {one.name: one.category for one in with_published_attributes(open_boxes_only(tmp_path), "uav", "uav20l")}
    assert classes["car16"] == classes["car3"] == "car"
    assert (classes["group2"], classes["bird1"], classes["uav1"]) == ("person", "bird", "aircraft")
    assert all(classes[name] for name in names)
    assert classes["car16_1"] == ""  # of UAV123 alone
    classes = {one.name: one.category for one in with_published_attributes(open_boxes_only(tmp_path), "uav", "uav123")}
    assert (classes["car16_1"], classes["car16"]) == ("car", "")


def test_files_of_zeros_and_ones(otb, tmp_path):
    folder = tmp_path / "att"
    folder.mkdir()
    (folder / "biker.txt").write_text("0,1,1,1,0,1,1,0,1,0,1\n")
    sequences = with_attributes_of_files(open_boxes_only(otb), folder, "otb")
    assert sequences[0].attributes[:2] == ("out-of-plane rotation", "scale variation")
    assert len(sequences[0].attributes) == 7
    assert sequences[1].attributes == ()
    (folder / "Human4.txt").write_text("0,1,2\n")
    sequences = with_attributes_of_files(open_boxes_only(otb), folder, "otb")
    with pytest.raises(UserError, match=r"Human4.txt: expected 11 times 0 or 1 \(IV, "):
        sequences[1].attributes  # noqa: B018
    with pytest.raises(UserError, match="no attributes of these sequences"):
        with_attributes_of_files(open_boxes_only(otb), otb.parent, "otb")
    with pytest.raises(UserError, match="columns of folder's attribute files"):
        with_attributes_of_files(open_boxes_only(otb), folder, "folder")


def test_every_column_has_a_meaning():
    for columns in published.COLUMNS.values():
        assert all(column in published.ATTRIBUTES for column in columns)
    assert [len(published.COLUMNS[reader]) for reader in ("otb", "lasot", "uav")] == [11, 14, 12]
