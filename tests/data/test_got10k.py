"""GOT-10k's layout on tiny folders: parts, splits, labels and flaws."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ostrack_jax.data.lists.published import read_published
from ostrack_jax.data.readers.got10k import open_got10k
from ostrack_jax.errors import UserError

BOXES = "1,2,3,4\n2,3,3,4\n0,0,0,0\n4,5,3,4\n"


def make_part(root: Path, names: tuple[str, ...] = ("a", "b"), boxes: str = BOXES, **files: str) -> Path:
    """A part with four images a sequence; ``files`` are further ones of each sequence (`cover` -> cover.label)."""
    root.mkdir(parents=True)
    (root / "list.txt").write_text("".join(f"{name}\n" for name in names))
    for name in names:
        (root / name).mkdir()
        for i in range(4):
            cv2.imwrite(str(root / name / f"{i + 1:08d}.jpg"), np.full((10, 20, 3), 50 * i, np.uint8))
        (root / name / "groundtruth.txt").write_text(boxes)
        for label, text in files.items():
            (root / name / (f"{label}.label" if label != "meta_info" else "meta_info.ini")).write_text(text)
    return root


def test_labels_say_what_is_visible(tmp_path):
    make_part(
        tmp_path / "train",
        boxes="1,2,3,4\n" * 4,
        absence="0\n1\n0\n0\n",
        cover="8\n8\n0\n3\n",
        cut_by_image="0\n0\n0\n0\n",
        meta_info="[METAINFO]\nurl: x\nresolution: (20, 10)",
    )
    (sequence, _) = open_got10k(tmp_path / "train")
    assert sequence.name == "a"
    assert sequence.visible.tolist() == [True, False, False, True]
    assert sequence.cover.tolist() == [8, 8, 0, 3]
    assert sequence.size_wh == (20, 10)
    assert len(sequence) == len(sequence.frames) == 4
    assert sequence.frames[2].shape == (10, 20, 3)
    assert sequence.frames[2].mean() == pytest.approx(100, abs=2)


def test_without_labels_a_valid_box_is_visible(tmp_path):
    sequence = open_got10k(make_part(tmp_path / "train"))[1]
    assert sequence.visible.tolist() == [True, True, False, True]
    assert sequence.cover is None
    assert sequence.size_wh is None
    sequence = open_got10k(make_part(tmp_path / "more", absence="1\n0\n0\n0\n"))[0]
    assert sequence.visible.tolist() == [False, True, False, True]


@pytest.mark.parametrize("text", ["", "resolution: unknown", "[METAINFO]\nresolution: ()"])
def test_a_resolution_that_is_not_stated_is_none(tmp_path, text):
    assert open_got10k(make_part(tmp_path / "train", meta_info=text))[0].size_wh is None


def test_the_parent_and_a_part_are_as_good_as_the_folder(tmp_path):
    make_part(tmp_path / "train", ("x",))
    make_part(tmp_path / "val", ("y", "z"))
    assert open_got10k(tmp_path, part="val").names == ("y", "z")
    assert open_got10k(tmp_path / "val", part="val").names == ("y", "z")


def test_the_test_part_has_the_first_box_alone(tmp_path):
    sequence = open_got10k(make_part(tmp_path / "test", boxes="1.5,2,3,4\n"), part="test")[0]
    np.testing.assert_array_equal(sequence.boxes_xywh[0], [1.5, 2, 3, 4])
    assert np.isnan(sequence.boxes_xywh[1:]).all()
    assert sequence.visible.tolist() == [True, False, False, False]


def test_published_splits_have_their_published_lengths():
    full, train, val = (
        {*map(int, read_published(f"got10k_{name}"))} for name in ("train_full", "vot_train", "vot_val")
    )
    assert (len(full), len(train), len(val)) == (9335, 7086, 1249)
    assert full == set(range(9335))
    assert not train & val
    assert {0, 9331} <= train
    assert {1, 9333} <= val


def test_a_split_selects_positions(tmp_path):
    part = make_part(tmp_path / "train", ("only",))
    names = [f"s{i}" for i in range(9334)]
    (part / "list.txt").write_text("\n".join(names))
    chosen = open_got10k(part, split="vot_val").names
    assert list(chosen) == [names[int(i)] for i in read_published("got10k_vot_val")]
    with pytest.raises(UserError, match=r"9335 sequences at positions up to 9334, but .* has 9334: split=all uses"):
        open_got10k(part, split="train_full")
    with pytest.raises(UserError, match=r"unknown published list 'got10k_vot_trian': did you mean 'got10k_vot_train'"):
        open_got10k(part, split="vot_trian")


def test_opening_thousands_looks_at_none(tmp_path):
    """Every sequence but one is missing, which is found out when it is asked for."""
    part = make_part(tmp_path / "train", ("here",))
    (part / "list.txt").write_text("\n".join([*(f"s{i}" for i in range(9334)), "here"]))
    sequences = open_got10k(part)
    assert len(sequences) == 9335
    assert sequences[9334].name == "here"
    with pytest.raises(UserError, match=r"cannot list .*s0: No such file"):
        sequences[0]


def test_sequences_travel_to_other_processes(tmp_path):
    sequences = open_got10k(make_part(tmp_path / "train"))
    first = sequences[0]
    again = pickle.loads(pickle.dumps(sequences))
    np.testing.assert_array_equal(again[0].boxes_xywh, first.boxes_xywh)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).frames[3], first.frames[3])


def test_counts_that_differ_and_missing_labels_are_survived(tmp_path):
    part = make_part(tmp_path / "train", boxes="1,2,3,4\n" * 3, cover="8\n" * 5)
    (part / "b" / "groundtruth.txt").write_text("1,2,3,4\nnan,nan,nan,nan\n1,2,3,-11\n1,2,3,4\n")
    (part / "b" / "cover.label").write_text("")
    a, b = open_got10k(part)
    assert (len(a), len(a.frames), a.visible.tolist(), a.cover.tolist()) == (3, 3, [True] * 3, [8] * 3)
    assert "(4 images, 3 groundtruth.txt, 5 cover.label): the first 3 are used" in a.flaws[0]
    assert a.missing == ("absence.label",)
    assert (b.visible.tolist(), b.flaws) == ([True, False, False, True], ())
    assert b.missing == ("absence.label", "cover.label")
    assert open_got10k(part, part="test")[1].missing == ()  # which has none anywhere


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        (lambda a: (a / "groundtruth.txt").unlink(), r"cannot read .*groundtruth.txt"),
        (lambda a: (a / "groundtruth.txt").write_text("1,2,3,4\n1,2,3\n"), "groundtruth.txt line 2"),
        (lambda a: (a / "absence.label").write_text("0\n0\nx\n0"), r"absence.label line 3"),
        (lambda a: [path.unlink() for path in a.glob("*.jpg")], "no images in"),
        (shutil.rmtree, "cannot list"),
    ],
)
def test_flaws_are_told_when_the_sequence_is_asked_for(tmp_path, flaw, message):
    part = make_part(tmp_path / "train")
    flaw(part / "a")
    sequences = open_got10k(part)
    assert sequences[1].name == "b"
    with pytest.raises(UserError, match=message):
        sequences[0]


def test_names_cannot_lead_elsewhere(tmp_path):
    part = make_part(tmp_path / "train")
    (part / "list.txt").write_text(f"a\n..{os.sep}secret\n")
    with pytest.raises(UserError, match="is not the name of a folder"):
        open_got10k(part)


def test_another_part_is_refused_before_it_goes_to_the_server(tmp_path):
    folder = make_part(tmp_path / "mine", names=("GOT-10k_Val_000001",))
    assert len(open_got10k(folder, "val")) == len(open_got10k(folder)) == 1
    with pytest.raises(UserError, match=r"mine is GOT-10k's val part \(GOT-10k_Val_.*: expected its test"):
        open_got10k(folder, "test")
