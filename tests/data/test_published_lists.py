"""The published lists: what the package holds stands for what was published."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter

import pytest

from ostrack_jax.data.lists import published
from ostrack_jax.data.lists.published import LISTS, TABLES, expand, read_published, read_table
from ostrack_jax.errors import UserError

COUNTS = {
    "got10k_train_full": 9335,
    "got10k_vot_train": 7086,
    "got10k_vot_val": 1249,
    "lasot_ext": 150,
    "lasot_test": 280,
    "lasot_train": 1120,
}
# of the published files' own bytes
LASOT = {
    "lasot_ext": "8b297f881c489be46b97be3d4ad4fec1bf5757f8f2b0a11a1784bd00f5596ca3",
    "lasot_train": "0ae7df00644ee36794ac1d67f123612eb6341b4e94fef933169607d650ade893",
    "lasot_test": "228e9dd0ca25160162fa6410f4327267325ca192510629d56480d7da2fd14e86",
}

# sequences, videos and frames, as their papers and the published analysis count them
TOTALS = [("uav", 123, 91, 112_578), ("otb", 100, 98, 59_040), ("nfs", 100, 100, 47_953)]
TOTALS += [("dtb70", 70, 70, 15_777), ("uavdt", 50, 50, 37_084)]


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_whole(name):
    entries = read_published(name)
    assert len(entries) == len(set(entries)) == COUNTS[name]
    if name.startswith("lasot"):
        assert hashlib.sha256("".join(f"{entry}\n" for entry in entries).encode()).hexdigest() == LASOT[name]
    else:
        assert entries == sorted(entries, key=int)


def test_official_counts_are_those_of_the_lists():
    assert published.official_count("lasot", "test") == len(read_published("lasot_test"))
    assert published.official_count("lasot_ext", "test") == len(read_published("lasot_ext"))
    assert published.official_count("got10k", "train") == len(read_published("got10k_train_full"))
    for part, table in (("uav123", "uav"), ("", "otb"), ("30", "nfs")):
        assert published.official_count(table, part) == len(read_table(table))
    assert published.official_count("folder", "test") is None
    assert published.official_count("dtb70", "test") == len(read_table("dtb70"))
    assert published.official_count("uavdt", "test") == len(read_table("uavdt"))
    assert published.official_count("uav", "uav123_10fps") == len(read_table("uav", "uav123_10fps"))


def test_lasot_is_parted():
    train, test = read_published("lasot_train"), read_published("lasot_test")
    assert not set(train) & set(test)
    assert len({name.rpartition("-")[0] for name in train + test}) == 70
    assert train[:3] == ["airplane-10", "airplane-11", "airplane-12"]


@pytest.mark.parametrize(("name", "rows", "videos", "frames"), TOTALS)
def test_every_table_has_the_published_totals(name, rows, videos, frames):
    table = read_table(name)
    assert (len(table), len({*table}), len({row.video for row in table.values()})) == (rows, rows, videos)
    assert sum(row.last - row.first + 1 for row in table.values()) == frames


def test_some_rows_of_the_tables():
    rows = {name: read_table(name) for name in TABLES}
    assert rows["uav"]["bird1_3"] == published.Row("bird1", 1573, 2437, "bird")
    tiger = rows["otb"]["Tiger1"]
    assert (tiger.first, tiger.last, tiger.category, tiger.omit) == (1, 354, "other", 5)
    assert rows["otb"]["Jogging-2"].video == "Jogging"
    assert rows["nfs"]["car_jumping"].last == 22
    assert rows["nfs"]["Skydiving"].attributes == ("occlusion",)
    assert rows["otb"]["Basketball"].attributes[:2] == ("illumination variation", "out-of-plane rotation")


def test_otbs_attributes_have_the_published_totals():
    words = {"illumination variation": 38, "out-of-plane rotation": 63, "scale variation": 64, "occlusion": 49}
    words |= {"deformation": 44, "motion blur": 29, "fast motion": 39, "in-plane rotation": 51, "out of view": 14}
    words |= {"background clutter": 31, "low resolution": 9}
    assert Counter(word for row in read_table("otb").values() for word in row.attributes) == words
    assert all(row.attributes for row in read_table("otb").values())


def test_lasots_extension_has_classes_of_its_own():
    classes = {name.rpartition("-")[0] for name in read_published("lasot_ext")}
    assert len(classes) == 15
    assert not classes & {name.rpartition("-")[0] for name in read_published("lasot_train")}


def test_ranges_are_expanded():
    assert expand("0 2-4\n7") == ["0", "2", "3", "4", "7"]
    assert expand("cat 1 3-4\ntwo-legged 2") == ["cat-1", "cat-3", "cat-4", "two-legged-2"]


def test_a_damaged_list_is_told(monkeypatch):
    text = published._text
    monkeypatch.setattr(published, "_text", lambda file: text(file).replace("12", "13", 1))
    with pytest.raises(UserError, match=r"the list lasot_test of this installation is damaged \([0-9a-f]{12}\)"):
        read_published("lasot_test")
    with pytest.raises(UserError, match=r"the list uav123 of this installation is damaged"):
        read_table("uav")


@pytest.mark.data
@pytest.mark.parametrize(("name", "prefix"), [("uav", "uav_"), ("otb", ""), ("nfs", "nfs_")])
def test_the_tables_are_the_published_ones(shared_data, name, prefix):
    path = shared_data.parent / "splits" / f"{TABLES[name]}.csv"
    if not path.is_file():
        pytest.skip(f"no published tables in {path.parent}")
    with path.open() as file:
        true = list(csv.DictReader(file))
    assert len(true) == len(read_table(name))
    for (own, row), wanted in zip(read_table(name).items(), true, strict=True):
        assert own.replace("-", "_") == wanted["name"].removeprefix(prefix)
        assert row.video in wanted["path"].split("/")
        assert (row.first, row.last) == (int(wanted["startFrame"]), int(wanted["endFrame"]))
        assert row.category == wanted["object_class"]
        assert row.omit == int(wanted.get("initOmit") or 0)
        if name == "nfs":
            assert bool(row.attributes) == (wanted["occlusion"] == "True")


@pytest.mark.data
@pytest.mark.parametrize("name", LISTS)
def test_the_lists_are_the_published_files(shared_data, name):
    folder = shared_data.parent / "splits"
    path = folder / f"{name}.txt" if (folder / f"{name}.txt").is_file() else folder / f"{name}_split.txt"
    if not path.is_file():
        pytest.skip(f"no published lists in {folder}")
    true = path.read_text().splitlines()
    assert read_published(name) == (true if name.startswith("lasot") else sorted(true, key=int))
