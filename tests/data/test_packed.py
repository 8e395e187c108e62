"""Packed sets: what comes out is what went in, whatever happened on the way; broken and hostile ones are told."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ostrack_jax.config import DataConfig, ModelConfig, PairConfig, load
from ostrack_jax.data.lists.published import SPLITS
from ostrack_jax.data.packed.reader import MANIFEST, UNFINISHED
from ostrack_jax.data.packed.writer import Packing, reach_of, reached
from ostrack_jax.data.readers import got10k
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.augment import make_example
from ostrack_jax.pipeline.sampling import Pair

NAMES = ("a", "b", "c")


def smooth(seed: int, width: int = 96, height: int = 64) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def make_got10k(folder: Path, frames: int = 5, size=(96, 64), box=(20.25, 15, 24, 18)) -> Path:
    """Three sequences; of `a` frame 1 is absent, `b` has no cover labels, frames of `c` are PNG."""
    root = folder / "train"
    for number, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for i in range(frames):
            path = root / name / f"{i + 1:08d}.{'png' if name == 'c' else 'jpg'}"
            cv2.imwrite(str(path), smooth(10 * number + i, *size)[..., ::-1])
        lines = [f"{box[0] + i},{box[1]},{box[2]},{box[3]}" for i in range(frames)]
        (root / name / "groundtruth.txt").write_text("\n".join(lines))
        (root / name / "absence.label").write_text("\n".join(str(int(name == "a" and i == 1)) for i in range(frames)))
        if name != "b":
            (root / name / "cover.label").write_text("8\n" * frames)
    (root / "list.txt").write_text("\n".join(NAMES))
    return folder


def make_coco(folder: Path) -> Path:
    """Two images, four annotations, three of them of the second image."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "train2017").mkdir()
    for i in range(2):
        cv2.imwrite(str(folder / "train2017" / f"{i}.jpg"), smooth(i))
    images = [{"id": 7 + i, "file_name": f"{i}.jpg", "width": 96, "height": 64} for i in range(2)]
    annotations = [
        {"id": 100 + i, "image_id": image, "bbox": [5 * i + 1, 4, 20, 10], "iscrowd": 0}
        for i, image in enumerate((8, 7, 8, 8))
    ]
    content = {"images": images, "annotations": annotations, "categories": []}
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    return folder


def pack(reader: str, folder: Path, output: Path, advance=lambda count: None, per_shard=4, reach=None) -> dict:
    data = DataConfig(reader=reader, dir=str(folder))
    sequences = open_dataset(data)
    return Packing(data, sequences, range(len(sequences)), reach, per_shard).write(output, advance)


def opened(folder: Path, reader: str = "got10k", **more):
    return open_dataset(DataConfig(reader=reader, dir=str(folder), **more))


@pytest.fixture(scope="module")
def got10k_folder(tmp_path_factory) -> Path:
    return make_got10k(tmp_path_factory.mktemp("got10k"))


@pytest.fixture(scope="module")
def packed_once(got10k_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "packed"
    pack("got10k", got10k_folder, folder)
    return folder


@pytest.fixture
def packed(packed_once, tmp_path) -> Path:
    return shutil.copytree(packed_once, tmp_path / "packed")


def assert_same(some, others) -> None:
    assert list(some.names) == list(others.names)
    for one, two in zip(some, others, strict=True):
        for field in ("boxes_xywh", "visible", "cover"):
            np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
        assert (one.is_image, one.size_wh, len(one)) == (two.is_image, two.size_wh, len(two))
        for i in range(len(one)):
            assert one.frames.stored(i) == two.frames.stored(i)
            np.testing.assert_array_equal(one.frames[i], two.frames[i])
            np.testing.assert_array_equal(one.frames.reduced(i, 2)[0], two.frames.reduced(i, 2)[0])


@pytest.mark.parametrize("reader", ["got10k", "otb"])  # the folder says what it is
def test_a_packed_video_set_is_the_folder(got10k_folder, packed, reader):
    assert_same(opened(packed, reader), opened(got10k_folder))
    assert len(list(packed.glob("got10k-train.array_record-*-of-00004"))) == 4


def test_a_packed_image_set_holds_each_image_once(tmp_path):
    written = pack("coco", make_coco(tmp_path / "coco"), tmp_path / "packed")
    assert (written["records"], written["unreadable"]) == (2, 0)
    some, others = opened(tmp_path / "packed", "coco"), opened(tmp_path / "coco", "coco")
    assert_same(some, others)
    assert [sequence.frames.name(0).split()[1] for sequence in some] == ["0", "1", "0", "0"]
    assert list(opened(tmp_path / "packed", "coco", split="train2017").names) == list(others.names)


def test_it_travels_to_other_processes_in_few_bytes(got10k_folder, packed):
    some = opened(packed)
    some[0].frames[0]  # with files open and arrays mapped
    data = pickle.dumps(some)
    assert len(data) < 3000
    assert_same(pickle.loads(data), opened(got10k_folder))


def test_tensorflow_datasets_reads_it_without_tensorflow(got10k_folder, packed):
    code = f"""
import sys
import ostrack_jax.data.readers.registry, ostrack_jax.data.packed.writer
print(*({{"tensorflow_datasets", "tensorflow", "array_record"}} & set(sys.modules)))
import tensorflow_datasets as tfds
builder = tfds.builder_from_directory({str(packed)!r})
source = builder.as_data_source("train", decoders={{"image": tfds.decode.SkipDecoding()}})
record = source[6]
print(len(source), len(record["image"]), record["box"].tolist(), record["visible"], record["cover"],
      record["sequence"], record["frame"], "tensorflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    size = (got10k_folder / "train/b/00000002.jpg").stat().st_size
    loaded_by_readers, row = done.stdout.splitlines()
    assert loaded_by_readers == ""
    assert row == f"15 {size} [21.25, 15.0, 24.0, 18.0] True -1 1 1 False", done.stderr


def test_interrupted_work_goes_on(got10k_folder, packed, tmp_path):
    class Stop(BaseException):
        pass

    done = []

    def stop(count: int) -> None:
        done.append(count)
        if len(done) == 7:
            raise Stop

    output = tmp_path / "again"
    with pytest.raises(Stop):
        pack("got10k", got10k_folder, output, stop)
    assert [path.name for path in sorted(output.iterdir())] == [
        *("got10k-train.array_record-00000-of-00004", "index", UNFINISHED)
    ]
    with pytest.raises(UserError, match="packed in part only"):
        opened(output)
    with pytest.raises(UserError, match="holds another packed set"):
        pack("got10k", got10k_folder, output, per_shard=5)
    first = (output / "got10k-train.array_record-00000-of-00004").stat()
    counts: list[int] = []
    pack("got10k", got10k_folder, output, counts.append)
    assert counts == [4, *([1] * 11)]
    assert (output / "got10k-train.array_record-00000-of-00004").stat().st_ino == first.st_ino
    assert_same(opened(output), opened(packed))
    assert pack("got10k", got10k_folder, output)["records"] == 15  # nothing to do
    assert not (output / UNFINISHED).exists()


def test_only_a_new_folder_is_written_to(got10k_folder, tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(UserError, match="not empty: use a new folder"):
        pack("got10k", got10k_folder, tmp_path)


def test_images_and_sequences_that_cannot_be_read_are_told(tmp_path):
    folder = make_got10k(tmp_path / "got10k")
    (folder / "train/b/00000003.jpg").unlink()
    (folder / "train/b/00000003.jpg").mkdir()
    (folder / "train/c/groundtruth.txt").write_text("no box")
    packing = Packing(DataConfig(dir=str(folder)), opened(folder), range(3))
    assert (packing.names, list(packing.left_out)) == (["a", "b"], ["c"])
    written = pack("got10k", folder, tmp_path / "packed")
    assert (written["records"], written["unreadable"]) == (10, 1)
    assert "00000003.jpg" in written["named"][0]
    some = opened(tmp_path / "packed")
    assert list(some.names) == ["a", "b"]
    with pytest.raises(UserError, match=r"no image in record 3 of .*00001-of-00003: it could not be read when"):
        some[1].frames[2]


def test_splits_are_kept_where_they_are_there_whole(tmp_path, monkeypatch):
    folder = make_got10k(tmp_path / "got10k")
    lists = {"train_full": [0, 1, 2], "vot_train": [0, 1, 2, 3], "vot_val": [1, 2]}
    monkeypatch.setattr(got10k, "read_published", lambda name: lists[name.removeprefix("got10k_")])
    pack("got10k", folder, tmp_path / "packed")
    assert list(opened(tmp_path / "packed", split="vot_val").names) == ["b", "c"]
    assert opened(tmp_path / "packed", split="vot_val")[1].frames[0].shape == (64, 96, 3)
    assert len(opened(tmp_path / "packed", split="train_full")) == 3
    with pytest.raises(UserError, match="does not hold the split vot_train of got10k completely but all, "):
        opened(tmp_path / "packed", split="vot_train")
    with pytest.raises(UserError, match="holds the part train of got10k, not val"):
        opened(tmp_path / "packed", part="val")


def test_frames_that_are_no_files_become_jpegs(tmp_path):
    data = DataConfig(reader="synthetic", options={"sequences": 2, "frames": 3})
    sequences = open_dataset(data)
    Packing(data, sequences, range(2)).write(tmp_path / "p", lambda count: None)
    some = opened(tmp_path / "p", "synthetic")
    assert np.abs(some[1].frames[2].astype(int) - sequences[1].frames[2]).mean() < 4
    np.testing.assert_array_equal(some[1].boxes_xywh, sequences[1].boxes_xywh)


@pytest.mark.slow
def test_cut_images_give_the_crops_of_whole_ones(tmp_path):
    config = load("vitb_256_mae_ce_32x4_ep300")
    folder = make_got10k(tmp_path / "got10k", 3, (640, 480), (400, 330, 24, 18))
    written = pack("got10k", folder, tmp_path / "packed", reach=reach_of(config))
    assert written["after"] < 0.7 * written["before"]
    whole, cut = opened(folder)[1], opened(tmp_path / "packed")[1]
    assert cut.frames[0].size < 0.5 * whole.frames[0].size
    shift = whole.boxes_xywh - cut.boxes_xywh
    assert (shift[:, :2] > 0).all()
    assert (shift % 16 == 0).all()
    model = ModelConfig(template_size=64, search_size=128)
    for seed in range(40):
        made = [
            make_example(Pair("s", s, 0, 2), PairConfig(), model, True, np.random.default_rng(seed))
            for s in (whole, cut)
        ]
        for name in ("template", "search"):
            np.testing.assert_allclose(made[0][f"{name}_box"], made[1][f"{name}_box"], atol=1e-6)
            difference = np.abs(made[0][name].astype(int) - made[1][name])
            assert difference.mean() < 1.5
            assert difference.max() < 60


def test_reach_covers_what_is_drawn():
    config = load("vitb_256_mae_ce_32x4_ep300")
    model, pairs = config.model, config.pairs
    from ostrack_jax.geometry.crops import crop_side
    from ostrack_jax.pipeline.sampling import jitter_box

    rng, box = np.random.default_rng(0), np.array([500.0, 400, 40, 30])
    left, top, right, bottom = reached(box[None], reach_of(config), 1000, 900)
    assert (left % 16, top % 16) == (0, 0)
    furthest = np.array([1000.0, 1000, 0, 0])
    for _ in range(3000):
        around = jitter_box(box, pairs.centre_jitter, pairs.scale_jitter, rng)
        half = crop_side(around, model.search_factor) / 2
        centre = around[:2] + around[2:] / 2
        furthest = np.r_[np.minimum(furthest[:2], centre - half), np.maximum(furthest[2:], centre + half)]
    assert (furthest[:2] >= [left, top]).all()
    assert (furthest[2:] <= [right, bottom]).all()
    assert right - left < 2.5 * (furthest[2] - furthest[0])
    assert reached(np.zeros((0, 4)), reach_of(config), 1000, 900) == (0, 0, 16, 16)
    left, top, right, bottom = reached(np.array([[-900.0, 2000, 10, 10]]), 2.0, 1000, 900)
    assert 0 <= left < right <= 1000
    assert 0 <= top < bottom <= 900


def edit_manifest(packed: Path, **changes) -> None:
    path = packed / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def save(packed: Path, name: str, array: np.ndarray) -> None:
    np.save(packed / "index" / f"{name}.npy", array, allow_pickle=True)


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (lambda p: edit_manifest(p, form=2), "packed in form 2"),
        (lambda p: (p / MANIFEST).write_text("[" * 10**5), "is not valid JSON"),
        (lambda p: (p / "index/box.npy").unlink(), "box.npy"),
        (lambda p: save(p, "box", np.array([{}] * 15)), "index of .* is damaged"),
        (lambda p: save(p, "visible", np.zeros(14, bool)), "visible.npy does not fit"),
        (lambda p: save(p, "name", np.frombuffer(b"a\nc\n", np.uint8)), "does not fit"),
        (lambda p: (p / "got10k-train.array_record-00003-of-00004").unlink(), "lost a part"),
        (lambda p: (p / "got10k-train.array_record-00003-of-00004").write_bytes(b"x" * 70000), "cannot read record"),
    ],
)
def test_damaged_sets_are_reported(packed, harm, match):
    harm(packed)
    with pytest.raises(UserError, match=match):
        opened(packed)[2].frames[4]


def test_a_damaged_record_is_told_and_others_are_read(packed):
    path = packed / "got10k-train.array_record-00000-of-00004"
    data = bytearray(path.read_bytes())
    jpeg = opened(packed)[0].frames.stored(1)
    at = bytes(data).index(jpeg[-60:-20])
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    frames = opened(packed)[0].frames
    with pytest.raises(UserError, match=r"cannot read record 1 of .*00000-of-00004"):
        frames[1]
    assert frames[2].shape == (64, 96, 3)


def test_the_lists_are_ones_the_readers_know():
    for reader, splits in SPLITS.items():
        for split in splits:
            with pytest.raises(UserError) as caught:
                open_dataset(DataConfig(reader=reader, dir="/", split=split))
            assert "unknown" not in str(caught.value)


@pytest.mark.data
@pytest.mark.slow
def test_real_frames_packed_give_the_same_batches(shared_data, tmp_path):
    from ostrack_jax.pipeline.loader import record

    folder = shared_data / "got10k/val"  # training may be given any part
    pack("got10k", folder, tmp_path / "packed", per_shard=300)
    config = load("vitb_256_mae_ce_32x4_ep300")
    made = []
    for place in (folder, tmp_path / "packed"):
        data = {"got10k": DataConfig(dir=str(place))}
        made.append([record(dataclasses.replace(config, data=data), i) for i in range(3)])
    for one, two in zip(*made, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])
