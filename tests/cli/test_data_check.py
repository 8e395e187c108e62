"""`ostrack data check` as a user runs it: every layout, the flaws it knows, its status."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from ostrack_jax.cli.main import main
from ostrack_jax.doctor.data import find_datasets
from tests import layouts

BOX = {"0": (1, 2, 11, 10, 0)}
MAKE = {
    "got10k": layouts.got10k,
    "lasot": layouts.lasot,
    "trackingnet": layouts.trackingnet,
    "coco": layouts.coco,
    "vid": lambda root: layouts.vid(root, [BOX] * 3),
    "otb": layouts.otb,
    "folder": layouts.folder_of_ones_own,
}


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OSTRACK_PATHS", str(tmp_path / "paths.toml"))
    (tmp_path / "paths.toml").write_text("")


@pytest.fixture
def check(capsys):
    """`ostrack data check WORDS`: status, output."""

    def call(*words):
        status = main(["data", "check", *map(str, words)])
        return status, capsys.readouterr().out

    return call


@pytest.mark.parametrize("reader", MAKE)
def test_a_sound_folder_is_status_0(tmp_path, check, reader):
    folder = MAKE[reader](tmp_path / "set")
    status, out = check(reader, folder, "--decode", "all")
    assert status == 0, out
    assert f"{reader} in {folder}: " in out
    assert "100.0% visible" in out
    assert out.endswith("all is well\n")


@pytest.mark.parametrize("name", sorted(set(layouts.BENCHMARKS) - {"lasot", "trackingnet", "otb", "folder"}))
def test_every_benchmark_goes_by_its_name(tmp_path, check, name):
    folder = layouts.BENCHMARKS[name](tmp_path / "set")
    status, out = check(name, folder)
    assert status == 0, out
    assert f"{name} in {folder}: " in out
    assert out.endswith("all is well\n")
    if name != "folder":
        assert "sequences of the official set are there" in out


def test_a_benchmark_has_no_parts(tmp_path, capsys):
    assert main(["data", "check", "nfs30", str(tmp_path), "--part", "240"]) == 2
    assert "nfs30 is a part of its own: --part and --split go with a reader, such as nfs" in capsys.readouterr().err
    assert main(["data", "check", "nfs60", str(tmp_path)]) == 2
    assert "unknown reader or benchmark 'nfs60': did you mean 'nfs30'" in capsys.readouterr().err


def test_the_counts_are_told(tmp_path, check):
    layouts.got10k(tmp_path / "train", ("a", "b"), count=5)
    (tmp_path / "train/b/groundtruth.txt").write_text("0,0,0,0\n" * 5)
    _, out = check("got10k", tmp_path)
    assert "2 sequences, 10 frames, 50.0% visible; 4 images decoded" in out
    assert "note   2 of the 9,335 sequences of the official set are there" in out
    assert "note   cover.label is missing in 2 sequences" in out
    assert "training would sample 0 of the 2 sequences: single images, and videos of 20 frames or more" in out
    layouts.got10k(tmp_path / "long" / "train", ("a", "b", "c"), count=20)
    (tmp_path / "long/train/c/groundtruth.txt").write_text("0,0,0,0\n" * 20)
    assert "training would sample 2 of the 3 sequences" in check("got10k", tmp_path / "long")[1]
    assert "8 images decoded" in check("got10k", tmp_path, "--decode", "4")[1]


def test_the_folder_is_looked_up_as_in_training(tmp_path, check, monkeypatch, capsys):
    monkeypatch.setenv("OSTRACK_GOT10K_DIR", str(layouts.got10k(tmp_path / "train")))
    assert check("got10k")[0] == 0
    monkeypatch.delenv("OSTRACK_GOT10K_DIR")
    assert main(["data", "check", "got10k"]) == 2
    assert "OSTRACK_GOT10K_DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--part", "vall"), "unknown part of got10k 'vall'"),
        (("--split", "vot_vall"), "unknown published list 'got10k_vot_vall'"),
        (("--decode", "0"), "--decode: expected a number of images above 0, or all, found '0'"),
        (("--decode", "some"), "--decode: expected"),
        (("--most", "-1"), "most"),
    ],
)
def test_misuse_is_status_2(tmp_path, capsys, words, message):
    layouts.got10k(tmp_path / "train")
    assert main(["data", "check", "got10k", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err


def resize(folder):
    for path in folder.glob("*.jpg"):
        cv2.imwrite(str(path), np.zeros((12, 16, 3), np.uint8))


FLAWS = {
    "no folder": (
        shutil.rmtree,
        "cannot list",
        "its folder is missing: unpack its archive again, or remove it from the list",
    ),
    "no images": (lambda a: [p.unlink() for p in a.glob("*.jpg")], "no images in", "its images are missing"),
    "no boxes": (lambda a: (a / "groundtruth.txt").unlink(), "cannot read", "an annotation is missing or damaged"),
    "no box": (lambda a: (a / "groundtruth.txt").write_text(""), "is empty: expected", "correct it"),
    "a broken line": (lambda a: (a / "groundtruth.txt").write_text("1,2\n"), "line 1: expected", "correct it"),
    "counts": (
        lambda a: (a / "00000003.jpg").unlink(),
        "(2 images, 3 groundtruth.txt",
        "are incomplete: unpack both",
    ),
    "first": (lambda a: (a / "00000001.jpg").write_bytes(b"x"), "00000001.jpg", "an image is damaged"),
    "last": (lambda a: (a / "00000003.jpg").write_bytes(b""), "00000003.jpg", "an image is damaged"),
    "sizes": (
        lambda a: cv2.imwrite(str(a / "00000003.jpg"), np.zeros((9, 9, 3), np.uint8)),
        "frame 2 is 9 x 9, those before 32 x 24",
        "images of another video",
    ),
    "resized": (
        lambda a: resize(a) or (a / "meta_info.ini").write_text("resolution: (32, 24)"),
        "the images are 16 x 12, the annotation has 32 x 24",
        "images that were resized need boxes that were, too",
    ),
    "corners": (
        lambda a: (a / "groundtruth.txt").write_text("15,2,30,20\n20,4,31,22\n1,2,9,9\n"),
        "the boxes are corners x1,y1,x2,y2 (15,2,30,20 in frames of 32 x 24)",
        "expected x,y,width,height: x1, y1, x2 - x1, y2 - y1",
    ),
    "fractions": (
        lambda a: (a / "groundtruth.txt").write_text("0.5,0.25,0.3,0.2\n0.6,0.25,0.3,0.2\n0,0,0,0\n"),
        "the boxes are fractions of the frame, 0 to 1 (0.5,0.25,0.3,0.2 in frames of 32 x 24)",
        "expected pixels: multiply x and width by the width of the frame",
    ),
    "another size": (
        lambda a: (a / "groundtruth.txt").write_text("30,20,20,20\n40,30,20,20\n5,5,8,8\n"),
        "the boxes reach far out of the frame (30,20,20,20 in frames of 32 x 24)",
        "in pixels of these very frames, not resized",
    ),
    "first outside": (
        lambda a: (a / "groundtruth.txt").write_text("33,2,4,4\n20,2,4,4\n20,2,4,4\n"),
        "the boxes begin outside the frame (33,2,4,4 in frames of 32 x 24)",
        "a tracker starts on the first box",
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_every_flaw_is_told_with_its_fix(tmp_path, check, flaw):
    damage, text, fix = FLAWS[flaw]
    layouts.got10k(tmp_path / "train", ("a", "b"))
    damage(tmp_path / "train/a")
    status, out = check("got10k", tmp_path)
    lines = out.splitlines()
    (place,) = [i for i, line in enumerate(lines) if line.startswith("WRONG  a: ")]
    assert status == 1
    assert text in lines[place]
    assert lines[place + 1].startswith("       -> ")
    assert fix in lines[place + 1]
    assert "WRONG  b" not in out
    assert out.endswith("1 thing is WRONG, see above\n")


def test_images_to_be_converted_are_not_called_damaged_or_missing(tmp_path, check):
    for name in ("heic", "float"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "groundtruth.txt").write_text("1,1,9,9\n")
    (tmp_path / "heic/1.heic").touch()
    cv2.imwrite(str(tmp_path / "float/1.tif"), np.ones((24, 32), np.float32))
    status, out = check("folder", tmp_path)
    assert status == 1
    assert out.count("convert ") == 2
    assert "archive" not in out


def test_an_image_in_the_middle_needs_decode_all(tmp_path, check):
    layouts.got10k(tmp_path / "train", ("a",))
    (tmp_path / "train/a/00000002.jpg").write_bytes(b"x")
    assert check("got10k", tmp_path)[0] == 0
    assert check("got10k", tmp_path, "--decode", "all")[0] == 1


def test_a_first_frame_without_a_box_matters_where_trackers_start(tmp_path, check):
    for part in ("train", "val"):
        layouts.got10k(tmp_path / part, ("a",))
        (tmp_path / part / "a/groundtruth.txt").write_text("0,0,0,0\n" + layouts.BOX * 2)
    assert check("got10k", tmp_path)[0] == 0
    status, out = check("got10k", tmp_path, "--part", "val")
    assert status == 1
    assert "a: the first frame has no box (0,0,0,0)" in out


FIRST_BOXES = {
    "lasot_ext": "atv/atv-1/groundtruth.txt",
    "tnl2k": "Cat_video_01-Done/groundtruth.txt",
    "tc128": "Ball_ce2/ball_ce2_gt.txt",
    "itb": "Cartoon/mouse/groundtruth.txt",
    "otb": "Girl/groundtruth_rect.txt",
    "folder": "mine/boxes.txt",
}


@pytest.mark.parametrize("name", FIRST_BOXES)
def test_sets_without_parts_are_benchmarks_whose_first_boxes_matter(tmp_path, check, name):
    folder = layouts.BENCHMARKS[name](tmp_path / "set")
    (folder / FIRST_BOXES[name]).write_text("0,0,0,0\n" + layouts.BOX * 2)
    status, out = check(name, folder)
    verdict, ending = ("note ", "all is well\n") if name == "folder" else ("WRONG", "1 thing is WRONG, see above\n")
    assert any(line.startswith(verdict) and "the first frame has no box (0,0,0,0)" in line for line in out.splitlines())
    assert out.endswith(ending)
    assert status == (0 if name == "folder" else 1)
    assert "first frame" not in check(name, folder, "--part", "train")[1]
    assert check(name, folder, "--part", "test")[0] == 1


def test_a_packed_set_is_for_training_whose_first_boxes_do_not_matter(tmp_path, check):
    folder = layouts.otb(tmp_path / "set")
    (folder / FIRST_BOXES["otb"]).write_text("0,0,0,0\n" + layouts.BOX * 2)
    assert main(["data", "prepare", "otb", str(folder), "--output", str(tmp_path / "packed")]) == 0
    assert check("otb", tmp_path / "packed")[0] == 0


def test_a_missing_image_of_coco_is_told_without_decoding(tmp_path, check):
    layouts.coco(tmp_path, images=300, annotations=1)
    (tmp_path / "train2017/000000000007.jpg").unlink()
    status, out = check("coco", tmp_path)
    assert status == 1
    assert "WRONG  700: cannot read the image" in out
    assert "300 sequences, 299 frames" not in out
    assert out.endswith("1 thing is WRONG, see above\n")


def test_annotations_of_coco_without_a_box_are_noted(tmp_path, check):
    layouts.coco(tmp_path, images=1, annotations=2)
    path = tmp_path / "annotations/instances_train2017.json"
    told = json.loads(path.read_text())
    told["annotations"][0]["bbox"] = []
    path.write_text(json.dumps(told))
    for _ in range(2):  # also from the cached index
        status, out = check("coco", tmp_path)
        assert status == 0, out
        assert f"note   {path}: 1 annotations without a box of four numbers (ids 700) are left out" in out
        assert "1 sequences" in out


def test_boxes_of_coco_are_looked_at_without_decoding(tmp_path, check):
    layouts.coco(tmp_path, images=2, annotations=1)
    path = tmp_path / "annotations/instances_train2017.json"
    told = json.loads(path.read_text())
    told["annotations"][1]["bbox"] = [0.25, 0.25, 0.5, 0.5]
    path.write_text(json.dumps(told))
    status, out = check("coco", tmp_path)
    assert status == 1
    assert out.count("WRONG") == 2
    assert ": the boxes are fractions of the frame, 0 to 1 (0.25,0.25,0.5,0.5 in frames of 32 x 24)" in out


def test_a_broken_annotation_of_vid_is_told(tmp_path, check):
    layouts.vid(tmp_path, [BOX] * 3)
    (tmp_path / "Annotations/VID/train/g/s_000/000002.xml").write_text("<")
    status, out = check("vid", tmp_path)
    assert status == 1
    assert "-> an annotation is damaged" in out


def test_a_wrong_root_is_named(tmp_path, check):
    root = layouts.lasot(tmp_path / "data/LaSOT")
    for given in (tmp_path, tmp_path / "data", root / "cat", root / "cat/cat-4"):
        status, out = check("lasot", given, "--split", "train")
        if given == root / "cat":  # its sequences lie side by side
            assert "cat-4:" not in out
            continue
        better = root / "cat" if given == root / "cat/cat-4" else root
        assert status == 1
        assert f"-> {better} looks like it: give that folder" in out


def test_another_sets_folder_is_named(tmp_path, check):
    layouts.lasot(tmp_path)
    status, out = check("got10k", tmp_path)
    assert status == 1
    assert "-> it looks like lasot: give that name" in out


def test_archives_that_are_not_unpacked_are_told(tmp_path, check):
    (tmp_path / "TRAIN_0").mkdir()
    for name in ("TRAIN_0/b.zip", "a.tar.gz"):
        (tmp_path / name).touch()
    assert "-> unpack the 2 archives there (TRAIN_0/b.zip, a.tar.gz)" in check("trackingnet", tmp_path)[1]
    shutil.rmtree(tmp_path / "TRAIN_0")
    status, out = check("trackingnet", layouts.trackingnet(tmp_path))
    assert status == 1
    assert "WRONG  2 of the 30,132 sequences of the official set are there\n       -> unpack the archives there" in out
    (tmp_path / "a.tar.gz").unlink()
    status, out = check("trackingnet", tmp_path)
    assert status == 0
    assert "-> where chunks are missing, name those that are there: split=0-3" in out


def test_listed_sequences_that_are_absent_are_told_and_not_all_printed(tmp_path, check):
    layouts.lasot(tmp_path)
    status, out = check("lasot", tmp_path, "--split", "test", "--most", "3")
    assert status == 1
    assert out.count("WRONG  ") == 3
    assert "279 flaws, not all printed" in out
    assert "      279  its folder is missing" in out
    assert out.endswith("279 things are WRONG, see above\n")
    assert check("lasot", tmp_path, "--split", "test", "--most", "0")[1].count("WRONG  ") == 279


def test_ten_samples_are_drawn(tmp_path, check):
    layouts.got10k(tmp_path / "train", tuple(f"s{i}" for i in range(12)), count=8)
    shutil.rmtree(tmp_path / "train/s3")
    status, out = check("got10k", tmp_path, "--samples", tmp_path / "sheets")
    assert status == 1
    assert f"10 drawn samples in {tmp_path / 'sheets'}" in out
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert len(sheets) == 10
    image = cv2.imread(str(sheets[0]))
    assert image.shape == (720, 1440, 3)  # two rows of three frames of 480 x 360


@pytest.mark.data
@pytest.mark.slow
def test_the_real_sets_are_sound(shared_data, check):
    more = ("got10k", "train_more/got10k_more")
    for words in (
        ("got10k", "got10k"),
        ("got10k", "got10k/val", "--part", "val"),
        ("otb", "otb"),
        ("coco", "coco"),
        more,
    ):
        status, out = check(words[0], shared_data / words[1], *words[2:])
        assert status == 0, out
    assert check("lasot", shared_data / "lasot", "--part", "test")[0] == 0


def test_a_packed_set_is_checked_and_found_too(tmp_path, check, capsys):
    layouts.got10k(tmp_path / "set/train")
    packed = tmp_path / "packed"
    assert main(["data", "prepare", "got10k", str(tmp_path / "set"), "--output", str(packed)]) == 0
    capsys.readouterr()
    status, out = check("got10k", packed, "--decode", "all")
    assert status == 0, out
    assert "2 sequences, 6 frames, 100.0% visible; 6 images decoded" in out
    status, out = check("got10k", packed, "--part", "val")
    assert status == 1
    assert out == f"WRONG  {packed} holds the part train of got10k, not val\n"
    (found,) = find_datasets(packed)
    assert (found.verdict, found.fix) == ("ok", "")
    assert f"got10k train packed in {packed}: 2 sequences; a has 3 frames of 32 x 24" in found.text


def test_how_images_are_read_is_noted(tmp_path, check):
    for name, kind in (("thermal", np.uint16), ("plain", np.uint8)):
        (tmp_path / name).mkdir()
        for i in range(3):
            image = np.full((24, 32), 7500 + 100 * i if kind is np.uint16 else 9, kind)
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), image)
    (tmp_path / "photos").mkdir()
    for i in range(3):
        image = np.zeros((24, 32, 3), np.uint8)
        image[:5] = 200
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(layouts.tagged("jpg", 8, image))
    for name in ("thermal", "plain", "photos"):
        (tmp_path / name / "boxes.txt").write_text("1,2,10,8\n" * 3)
    status, out = check("folder", tmp_path)
    assert status == 0, out
    assert "note   thermal: images of more than 8 bits: values 7500 to 7700 are read as 0 to 255\n" in out
    assert "0.jpg has an orientation tag and is read upright, as it is shown: boxes count these 24 x 32 pixels\n" in out
    assert "plain:" not in out
    status, out = check("folder", tmp_path, "--orientation", "stored")
    assert status == 0, out
    assert (
        "0.jpg has an orientation tag and is read as stored, not upright as it is shown: boxes count these 32 x 24"
        in out
    )


def test_orientation_is_a_choice_for_ones_own_files_alone(tmp_path, check, capsys):
    layouts.coco(tmp_path / "coco", images=1, annotations=1)
    (image,) = (tmp_path / "coco/train2017").iterdir()
    image.write_bytes(layouts.tagged("jpg", 6, np.zeros((24, 32, 3), np.uint8)))
    assert (
        "orientation tag and is read upright"
        in check("coco", tmp_path / "coco", "--decode", "1", "--orientation", "shown")[1]
    )
    for name in ("got10k", "otb100"):
        assert main(["data", "check", name, str(tmp_path), "--orientation", "shown"]) == 2
        assert "--orientation goes with one's own files, `folder` and `coco`: the " in capsys.readouterr().err
