"""The layouts that only benchmarks have, on tiny folders: NFS, UAV123, TC-128, TNL2K, ITB, VOT, LaSOT's extension."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ostrack_jax.config import DataConfig
from ostrack_jax.data.lists.published import read_table
from ostrack_jax.data.readers.lasot import open_lasot_ext
from ostrack_jax.data.readers.nfs import open_nfs
from ostrack_jax.data.readers.otb import open_dtb70, open_tc128
from ostrack_jax.data.readers.registry import open_dataset, orientation_of
from ostrack_jax.data.readers.tnl2k import open_itb, open_tnl2k
from ostrack_jax.data.readers.uav import open_uav, open_uavdt
from ostrack_jax.data.readers.vot import open_vot
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.benchmarks import BENCHMARKS, find
from tests import layouts


def level(sequence, t: int) -> int:
    """Of the grey of frame t, by which `layouts.make_images` numbers them: 0, 40, 80, ..."""
    return round(float(sequence.frames[t].mean()))


def test_raw_nfs_is_corners_at_240_frames_a_second(tmp_path):
    (slow,) = open_nfs(layouts.nfs(tmp_path), "30")
    np.testing.assert_array_equal(slow.boxes_xywh, [[1, 2, 10, 8], [9, 2, 10, 8], [17, 2, 10, 8]])  # every eighth
    assert slow.visible.tolist() == [True, True, False]  # line 16 says lost
    (fast,) = open_nfs(layouts.nfs(tmp_path, "240", count=20), "240")
    np.testing.assert_array_equal(fast.boxes_xywh[:2], [[1, 2, 10, 8], [2, 2, 10, 8]])
    assert fast.visible.tolist() == [True] * 16 + [False] + [True] * 3
    assert not slow.flaws + fast.flaws


@pytest.mark.parametrize(("count", "lines", "frames"), [(3, 2, 2), (3, 4, 3), (4, 24, 3), (2, 24, 2)])
def test_nfs_one_box_too_few_or_too_many_is_no_flaw(tmp_path, count, lines, frames):
    (sequence,) = open_nfs(layouts.nfs(tmp_path, "30", count=count, lines=lines), "30")
    assert len(sequence) == len(sequence.boxes_xywh) == len(sequence.visible) == frames
    assert not sequence.flaws


def test_nfs_with_many_boxes_missing_is_a_flaw(tmp_path):
    (sequence,) = open_nfs(layouts.nfs(tmp_path, "240", count=6, lines=3), "240")
    assert len(sequence) == 3
    assert "(6 images, 3 car_jumping.txt)" in sequence.flaws[0]


def test_rehosted_nfs_is_boxes(tmp_path):
    layouts.nfs_rehosted(tmp_path)
    (sequence,) = open_nfs(tmp_path, "30")
    assert len(sequence) == 22
    np.testing.assert_array_equal(sequence.boxes_xywh[-1], [1, 2, 10, 8])
    (tmp_path / "anno/nfs_car_jumping.txt").rename(tmp_path / "anno/car_jumping.txt")
    assert len(open_nfs(tmp_path, "30")[0]) == 22
    (tmp_path / "sequences/car_jumping/00007.jpg").unlink()
    with pytest.raises(UserError, match=r"no image 7 in .*car_jumping: expected 1 to 22"):
        open_nfs(tmp_path, "30")[0]


@pytest.mark.parametrize("line", ["1,2,10,8", '0 1 2 x 10 1 0 0 1 "car"', ""])
def test_a_broken_line_of_nfs_is_told(tmp_path, line):
    layouts.nfs(tmp_path, "240")
    path = tmp_path / "car_jumping/240/car_jumping.txt"
    path.write_text(f'0 1 2 11 10 1 0 0 1 "car"\n{line}\n0 1 2 11 10 1 0 0 1 "car"\n')
    with pytest.raises(UserError, match=r"car_jumping.txt line 2: expected track x1 y1 x2 y2 frame lost"):
        open_nfs(tmp_path, "240")[0]


def test_uav123_cuts_a_video_into_sequences(tmp_path):
    pieces = (("car16_1", 415), ("car16_2", 1579))  # 1 to 415, 415 to 1993
    layouts.uav(tmp_path / "UAV123", "car16", pieces, "car16")
    boxes = tmp_path / "UAV123/anno/UAV123/car16_2.txt"
    boxes.write_text("NaN,NaN,NaN,NaN\n".join([layouts.BOX, layouts.BOX * 1577]))
    one, two = open_uav(tmp_path)
    assert (one.name, len(one), two.name, len(two)) == ("car16_1", 415, "car16_2", 1579)
    assert level(one, 414) == level(two, 0) == 40 * 414 % 256
    assert two.visible.tolist() == [True, False] + [True] * 1577
    (long,) = open_uav(tmp_path / "UAV123", "uav20l")
    assert (long.name, len(long)) == ("car16", 1993)
    (tmp_path / "UAV123/data_seq/UAV123/car16/000415.jpg").unlink()
    for part, piece in (("uav123", 0), ("uav123", 1), ("uav20l", 0)):
        with pytest.raises(UserError, match=r"no image 415 in .*car16: expected"):
            open_uav(tmp_path, part)[piece]


def test_uav20l_has_the_published_totals():
    rows = read_table("uav", "uav20l")
    assert len(rows) == 20
    assert sum(row.last for row in rows.values()) == 58_670  # the paper's
    assert {row.first for row in rows.values()} == {1}


def test_uav123_at_10_frames_a_second_is_every_third_image(tmp_path):
    rows = {name: (row.video, row.first, row.last) for name, row in read_table("uav", "uav123_10fps").items()}
    # of its configSeqs.m
    assert rows["bike1"] == ("bike1", 1, 1029)
    assert [rows[f"bird1_{i}"] for i in (1, 2, 3)] == [("bird1", 1, 85), ("bird1", 259, 493), ("bird1", 525, 813)]
    assert (rows["car16_2"], rows["car1_s"], rows["uav1_3"]) == (
        *(("car16", 139, 665), ("car1_s", 1, 492), ("uav1", 825, 1157)),
    )
    layouts.uav_10fps(tmp_path / "UAV123_10fps")
    (sequence,) = open_uav(tmp_path, "uav123_10fps")
    assert (sequence.name, len(sequence), sequence.category) == ("uav6", 37, "aircraft")


@pytest.mark.parametrize("places", [(), ("sequences", "annotations"), ("seq", "anno")])
def test_uavdt_as_published_and_rehosted(tmp_path, places):
    layouts.uavdt(tmp_path, "S0601", *places)
    (sequence,) = open_uavdt(tmp_path)
    assert (sequence.name, len(sequence), level(sequence, 2)) == ("S0601", 3, 80)
    layouts.make_images(tmp_path / (places or ("UAV-benchmark-S",))[0] / "M0101")  # of its other set
    assert len(open_uavdt(tmp_path)) == 1


def test_dtb70_is_its_70_sequences(tmp_path, caplog):
    layouts.otb(tmp_path / "DTB70", ("Animal1", "Surfing03", "Girl"))
    assert list(open_dtb70(tmp_path).names) == list(open_dtb70(tmp_path / "DTB70").names) == ["Animal1", "Surfing03"]
    assert "2 of the 70 sequences are there, not Animal2" in caplog.text


def test_uav_elsewhere_is_told(tmp_path, caplog):
    open_uav(layouts.uav(tmp_path))
    assert "uav123 in" in caplog.text
    assert "1 of the 123 sequences are there" in caplog.text


def test_tc128_by_its_file_of_frames(tmp_path):
    layouts.tc128(tmp_path / "Temple-color-128")
    (sequence,) = open_tc128(tmp_path)
    assert (sequence.name, [level(sequence, t) for t in range(3)]) == ("Ball_ce2", [80, 120, 160])
    (tmp_path / "Temple-color-128/Ball_ce2/ball_ce2_gt.txt").write_text("1,2,10,8\nNaN,NaN,NaN,NaN\n1,2,10,8\n")
    assert open_tc128(tmp_path)[0].visible.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3\n", "expected the numbers of the first and the last image, found 1"),
        ("", "expected the numbers of the first and the last image, found 0"),
        ("nan,5\n", "expected whole numbers, found 'nan 5'"),
        ("6,8\n", r"no image 8 in .*img: expected 6 to 8"),
        ("3,999999999999999999\n", r"no image 8 in .*: expected 3 to 9+"),  # at once
        ("5,3\n", r"no image 5 in .*: expected 5 to 3"),
    ],
)
def test_tc128_with_a_file_of_frames_that_is_none(tmp_path, text, told):
    layouts.tc128(tmp_path)
    (tmp_path / "Ball_ce2/ball_ce2_frames.txt").write_text(text)
    with pytest.raises(UserError, match=told):
        open_tc128(tmp_path)[0]


@pytest.mark.parametrize("text", ["", "1,0\n", "nan,0,0,0,0,0,0,0,0,0,0,0\n", "2,0,0,0,0,0,0,0,0,0,0,0\n"])
def test_uav_with_a_file_of_attributes_that_is_none(tmp_path, text):
    layouts.uav(tmp_path)
    (tmp_path / "anno/UAV123/att/uav6.txt").write_text(text)
    with pytest.raises(UserError, match=r"att/uav6.txt.*expected"):
        open_uav(tmp_path)[0]


def test_nfs_refuses_endless_corners(tmp_path):
    layouts.nfs(tmp_path)
    (tmp_path / "car_jumping/30/car_jumping.txt").write_text('0 1 2 inf 4 1 0 0 1 "car"\n' * 24)
    with pytest.raises(UserError, match=r"car_jumping.txt line 1: expected track x1 y1"):
        open_nfs(tmp_path)[0]


def test_tnl2k_side_by_side_and_in_folders_of_its_archives(tmp_path):
    layouts.tnl2k(tmp_path, ("b", "a"))
    layouts.tnl2k(tmp_path, ("c",), "TNL2K_test_subset_p1")
    sequences = open_tnl2k(tmp_path)
    assert sequences.names == ("c", "a", "b")
    assert [level(sequences[0], t) for t in range(3)] == [0, 40, 80]
    shutil.copytree(tmp_path / "a", tmp_path / "TNL2K_test_subset_p1/a")
    with pytest.raises(UserError, match="two sequences named a in"):
        open_tnl2k(tmp_path)


def test_tnl2ks_training_archives_are_no_part_of_the_benchmark(tmp_path, caplog):
    layouts.tnl2k(tmp_path, ("a", "Train_video_01-Done"), "TNL2K_test_subset_p1")
    layouts.tnl2k(tmp_path, ("b",), "TNL2K_test_subset_p2")
    assert open_tnl2k(tmp_path).names == ("Train_video_01-Done", "a", "b")
    assert not caplog.text
    layouts.tnl2k(tmp_path, ("c",), "TNL2K_train_subset_p1")
    layouts.tnl2k(tmp_path, ("d",), "TNL2K_train_subset_p2")
    assert open_tnl2k(tmp_path).names == ("Train_video_01-Done", "a", "b")
    told = "the training sequences in TNL2K_train_subset_p1, TNL2K_train_subset_p2 are left out"
    assert caplog.text.count(told) == 1
    for part in ("p1", "p2"):
        shutil.rmtree(tmp_path / f"TNL2K_test_subset_{part}")
    with pytest.raises(UserError, match=r"training sequences alone \(TNL2K_train_subset_p1, TNL2K_train_subset_p2\)"):
        open_tnl2k(tmp_path)
    assert open_tnl2k(tmp_path / "TNL2K_train_subset_p1").names == ("c",)
    layouts.tnl2k(tmp_path, ("train_station",))
    assert open_tnl2k(tmp_path).names == ("train_station",)  # a sequence beside its archives, whatever it is called


def test_itb_by_scenario(tmp_path):
    layouts.itb(tmp_path)
    layouts.make_images(tmp_path / "Human/runner/frames")
    (tmp_path / "Human/runner/groundtruth.txt").write_text(layouts.BOX * 2)
    mouse, runner = open_itb(tmp_path)
    assert (mouse.name, len(mouse), runner.name, len(runner)) == ("mouse", 3, "runner", 2)
    assert "(3 images, 2 groundtruth.txt)" in runner.flaws[0]


@pytest.mark.parametrize("color", ["color", "."])
@pytest.mark.parametrize("inner", ["", "sequences", "vot2020", "VOT2020/sequences"])
def test_vot_as_downloaded_and_in_a_workspace(tmp_path, inner, color):
    root = tmp_path / "data" / inner
    (root / "ants1").mkdir(parents=True)
    if color == ".":
        (root / "ants1").rmdir()
    layouts.vot(root, "m1,2,10,8,0,80\n0\n1,2,11,2,11,10,1,10\n", color)
    (sequence,) = open_vot(tmp_path / "data", "2020")
    np.testing.assert_array_equal(sequence.boxes_xywh, [[1, 2, 10, 8], [np.nan] * 4, [1, 2, 10, 8]])
    assert sequence.visible.tolist() == [True, False, True]
    assert level(sequence, 2) == 80


@pytest.mark.parametrize(
    ("name", "category", "attributes"),
    [
        ("lasot_ext", "atv", ()),
        ("nfs240", "car", ()),
        ("nfs30", "car", ()),
        ("uav123", "aircraft", ("scale variation", "fast motion")),
        ("uav20l", "car", ("scale variation", "fast motion")),
        ("otb100", "face", ("out-of-plane rotation", "scale variation", "occlusion", "in-plane rotation")),
        ("itb", "Cartoon", ()),
        ("vot2018", "", ("camera motion",)),
        ("got10k_val", "bear", ()),
        ("folder", "", ()),
    ],
)
def test_class_and_attributes_where_the_set_has_them(tmp_path, name, category, attributes):
    root = layouts.BENCHMARKS[name](tmp_path)
    if name == "got10k_val":
        (root / "val/a/meta_info.ini").write_text("[METAINFO]\nobject_class: bear \nmajor_class: unknown\n")
        (root / "val/b/meta_info.ini").write_text("[METAINFO]\nobject_class: unknown\n")
        assert find(name).open(root)[1].category == ""
    sequence = find(name).open(root)[0]
    assert (sequence.category, sequence.attributes) == (category, attributes)


def test_vot_elsewhere_is_told(tmp_path):
    layouts.vot(tmp_path / "vot2020", "1,2,10,8\n" * 3)
    assert len(open_vot(tmp_path, "2020")) == len(open_vot(tmp_path / "vot2020", "2020")) == 1
    with pytest.raises(UserError, match=r"vot2020 is of VOT2020 by its name: expected VOT2019"):
        open_vot(tmp_path / "vot2020", "2019")


def test_lasots_extension(tmp_path, caplog):
    layouts.lasot(tmp_path, ("atv-10", "atv-2", "cat-1"))
    sequences = open_lasot_ext(tmp_path)
    assert sequences.names == ("atv-2", "atv-10")
    assert len(sequences[1]) == 3
    assert "LaSOT_ext in" in caplog.text


SETS = {
    **layouts.BENCHMARKS,
    "coco": layouts.coco,
    "vid": lambda root: layouts.vid(root, [{"0": (1, 2, 11, 10, 0)}] * 3),
}


@pytest.mark.parametrize("name", SETS)
def test_published_sets_are_read_as_stored_and_ones_own_as_shown(tmp_path, monkeypatch, name):
    """Every image of the set gets an orientation tag that asks for a quarter turn."""
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))
    folder = SETS[name](tmp_path / "set")
    for path in folder.rglob("*.jpg"):
        path.write_bytes(layouts.tagged("jpg", 6, np.zeros((24, 32, 3), np.uint8)))
    data = find(name).data(folder) if name in BENCHMARKS else DataConfig(reader=name, dir=str(folder))
    shape = open_dataset(data)[0].frames[0].shape
    assert shape == ((32, 24, 3) if name == "folder" else (24, 32, 3))
    assert orientation_of(data) == ("shown" if name == "folder" else "stored")
