"""Which data sets the doctor finds in a folder, on small copies of their layouts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ostrack_jax.doctor.data import configured, find_datasets
from ostrack_jax.errors import UserError
from tests import layouts


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    for reader in ("GOT10K", "OTB", "FOLDER", "SYNTHETIC"):
        monkeypatch.delenv(f"OSTRACK_{reader}_DIR", raising=False)
    paths = tmp_path / "paths.toml"
    paths.write_text("")
    monkeypatch.setenv("OSTRACK_PATHS", str(paths))
    return paths


def images(folder, count=3):
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i + 1:04}.jpg"), np.full((24, 32, 3), 40 * i, np.uint8))


def boxes(path, count=3):
    path.write_text("1,2,10,8\n" * count)


def got10k(folder, names):
    for name in names:
        images(folder / name)
        boxes(folder / name / "groundtruth.txt")
    (folder / "list.txt").write_text("".join(f"{name}\n" for name in names))


def otb(folder, names):
    for name in names:
        images(folder / name / "img")
        boxes(folder / name / "groundtruth_rect.txt")


def test_got10k_by_its_parts(tmp_path):
    got10k(tmp_path / "g/train", ["a", "b"])
    got10k(tmp_path / "g/val", ["c"])
    train, val = find_datasets(tmp_path / "g")
    assert (train.verdict, val.verdict) == ("ok", "ok")
    assert f"got10k train in {tmp_path}/g: 2 sequences (the official set has 9,335)" in train.text
    assert "a has 3 frames of 32 x 24" in train.text
    assert "1 sequences (the official set has 180)" in val.text
    (alone,) = find_datasets(tmp_path / "g/val")
    assert alone.text == val.text.replace("/g:", "/g/val:")


def test_a_whole_part_goes_without_the_remark(tmp_path):
    got10k(tmp_path / "val", ["v1"])
    layouts.got10k(tmp_path / "rest", ("v180",))
    (tmp_path / "rest/v180").rename(tmp_path / "val/v180")
    (tmp_path / "val/list.txt").write_text("".join(f"v{i}\n" for i in range(1, 181)))
    (finding,) = find_datasets(tmp_path / "val")
    assert "180 sequences; v1 has" in finding.text


def test_the_last_sequence_is_read_too(tmp_path):
    got10k(tmp_path / "train", ["a"])
    (tmp_path / "train/list.txt").write_text("a\nb\nc\nd\ne\n")
    (finding,) = find_datasets(tmp_path / "train")
    assert finding.verdict == "wrong"
    assert "5 sequences (the official set has 9,335); e: cannot list" in finding.text


def test_a_sequence_that_cannot_be_read_is_wrong(tmp_path):
    got10k(tmp_path / "train", ["a"])
    boxes(tmp_path / "train/a/groundtruth.txt", 2)
    (finding,) = find_datasets(tmp_path / "train")
    assert finding.verdict == "wrong"
    assert "(3 images, 2 groundtruth.txt): the first 2 are used" in finding.text


def test_otb_and_a_plain_folder_one_level_down(tmp_path):
    otb(tmp_path / "data/otb", ["Girl", "Car"])
    images(tmp_path / "data/mine")
    boxes(tmp_path / "data/mine/groundtruth.txt")
    (tmp_path / "data/.hidden").mkdir()
    (tmp_path / "data/empty").mkdir()
    mine, found = find_datasets(tmp_path / "data")
    assert f"folder {tmp_path}/data/mine: 1 sequences; mine has 3 frames of 32 x 24" in mine.text
    assert "2 sequences (the official set has 100); Car has" in found.text


def test_every_layout_is_known_by_a_few_looks(tmp_path):
    layouts.lasot(tmp_path / "lasot")
    layouts.lasot(tmp_path / "flat", ("cat-4",), flat=True)
    layouts.trackingnet(tmp_path / "tn")
    layouts.trackingnet(tmp_path / "tn", "TEST", ("t_0",))
    layouts.coco(tmp_path / "coco")
    layouts.vid(tmp_path / "vid", [{"0": (1, 2, 11, 10, 0)}])
    coco, flat, train, test, chunks, last, vid = find_datasets(tmp_path)
    assert f"lasot train in {tmp_path}/flat: 1 sequences (the official set has 1,120); cat-4 has 3 frames" in flat.text
    assert f"lasot train in {tmp_path}/lasot: 1 sequences" in train.text
    assert f"lasot test in {tmp_path}/lasot: 1 sequences (the official set has 280); cat-1 has" in test.text
    assert f"trackingnet train in {tmp_path}/tn: 2 sequences (the official set has 30,132)" in chunks.text
    assert "trackingnet test" in last.text
    for found, reader in ((coco, "coco"), (vid, "vid")):  # which take minutes to open
        assert f"`ostrack data check {reader} {tmp_path}/{reader}` reads all of it" in found.text
    assert {finding.verdict for finding in (coco, flat, train, test, chunks, last, vid)} == {"ok"}


READERS = {
    **{"nfs30": "nfs 30", "nfs240": "nfs 240", "uav123": "uav uav123"},
    **{"vot2018": "vot 2018", "otb100": "otb", "got10k_val": "got10k val", "got10k_test": "got10k test"},
    **{"uav123_10fps": "uav uav123_10fps"},
    **{name: name for name in ("lasot_ext", "tnl2k", "tc128", "itb", "dtb70", "uavdt")},
}


@pytest.mark.parametrize("name", READERS)
def test_the_benchmarks_are_told_apart(tmp_path, name):
    layouts.BENCHMARKS[name](tmp_path / name)
    found = find_datasets(tmp_path / name)
    assert [finding.verdict for finding in found] == ["ok"]
    assert found[0].text.startswith(f"{READERS[name]} in {tmp_path / name}")
    assert "(the official set has " in found[0].text


def test_images_without_boxes_are_only_a_note(tmp_path):
    images(tmp_path / "data/coco/train2017")
    (finding,) = find_datasets(tmp_path / "data/coco")
    assert finding.verdict == "note"
    assert "no text file next to" in finding.text


def test_nothing_there_is_wrong_and_nowhere_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    (finding,) = find_datasets(tmp_path / "empty")
    assert finding.verdict == "wrong"
    assert "got10k: list.txt and a folder" in finding.fix
    with pytest.raises(UserError, match="no folder"):
        find_datasets(tmp_path / "missing")


def test_configured_folders_are_looked_into(tmp_path, monkeypatch, nothing_configured):
    assert configured() == []
    otb(tmp_path / "data/otb", ["Girl"])
    nothing_configured.write_text(f'[data]\notb = "{tmp_path}/data/otb"\n')
    monkeypatch.setenv("OSTRACK_GOT10K_DIR", str(tmp_path / "gone"))
    gone, found = configured()
    assert (gone.verdict, gone.fix) == ("wrong", "correct or remove it in OSTRACK_GOT10K_DIR")
    assert found.text.startswith(f"otb in {tmp_path}/data/otb: 1 sequences")


@pytest.mark.data
def test_the_real_folders(shared_data):
    found = find_datasets(shared_data / "got10k")
    assert [finding.verdict for finding in found] == ["ok", "ok"]
    assert "53 sequences" in found[0].text
    assert "14 sequences" in found[1].text
    texts = [finding.text for finding in find_datasets(shared_data)]
    assert any("otb in" in text and "5 sequences" in text for text in texts)
