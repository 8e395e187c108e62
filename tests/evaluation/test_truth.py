"""Which of the annotations in a folder are a benchmark's: never another set's under its name."""

from __future__ import annotations

import pytest

from ostrack_jax.data.lists.published import read_published
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import benchmarks
from ostrack_jax.evaluation.metrics import analysis as published
from ostrack_jax.evaluation.truth import open_truth

BOX = "1,2,10,8\n"


def annotations(folder, names, lines=1):
    """A file of boxes for each name; ``lines`` of them, or as many as ``names`` says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        count = names[name] if isinstance(names, dict) and lines is None else lines
        (folder / f"{name}.txt").write_text(BOX * count)
    return folder


def names_of(benchmark, count=None):
    return dict(list(benchmarks.find(benchmark).names.items())[:count])


def opened(benchmark, folder):
    return open_truth(benchmarks.find(benchmark), folder)


COUNTS = {
    **{"lasot": 280, "lasot_ext": 150, "otb100": 100, "nfs30": 100, "nfs240": 100, "got10k_val": 180},
    **{"uav123": 123, "uav20l": 20, "uav123_10fps": 123, "dtb70": 70, "uavdt": 50},
}


def test_a_benchmark_is_its_published_sequences(tmp_path):
    for benchmark, count in COUNTS.items():
        assert len(names_of(benchmark)) == count == benchmarks.find(benchmark).sequences
    for benchmark in ("otb100", "uav20l", "uavdt"):
        sequences, note = opened(benchmark, annotations(tmp_path / benchmark, names_of(benchmark)))
        assert sorted(sequences.names) == sorted(names_of(benchmark))
        assert note == ""


@pytest.mark.slow
def test_of_lasots_annotations_the_test_set_is_scored(tmp_path):
    test, train = read_published("lasot_test"), read_published("lasot_train")
    folder = annotations(tmp_path, [*test, *train[:300], "atv-1"])
    sequences, note = opened("lasot", folder)
    assert sorted(sequences.names) == sorted(test)
    assert note == (
        f"301 of the 581 sequences in {folder} are not part of lasot, and not scored: airplane-2, airplane-3, "
        "airplane-4, airplane-5, airplane-6 and 296 more"
    )
    extension, _ = opened("lasot_ext", folder)
    assert list(extension.names) == ["atv-1"], "another set next to it is no reason to refuse its own"


@pytest.mark.parametrize(
    ("holds", "asked", "lines"),
    [
        *(("uav20l", "uav123", 1), ("dtb70", "uav123", 1), ("dtb70", "otb100", 1), ("lasot_ext", "lasot", 1)),
        *(("otb100", "tnl2k", 1), ("got10k_val", "got10k_test", 1), ("otb100", "tc128", 1)),
        # of the same names
        *(("uav123", "uav123_10fps", None), ("uav123_10fps", "uav123", None), ("nfs30", "nfs240", None)),
    ],
)
def test_another_sets_annotations_are_refused(tmp_path, holds, asked, lines):
    folder = annotations(tmp_path / "annos", names_of(holds, 4 if lines is None else None), lines)
    with pytest.raises(UserError, match=rf"annos holds sequences of {holds} \(.*\), not those of {asked}: expected"):
        opened(asked, folder)
    assert len(opened(holds, folder)[0]) == len(names_of(holds, 4 if lines is None else None))


def test_a_folder_of_the_images_set_is_read_as_it_lies(tmp_path):
    """A LaSOT folder given as its extension, and the extension's own; DTB70's and UAVDT's file names."""
    for name in ("airplane-1", "airplane-2"):
        annotations(tmp_path / "lasot/airplane" / name, ["groundtruth"])
    with pytest.raises(UserError, match="holds sequences of lasot"):
        opened("lasot_ext", tmp_path / "lasot")
    annotations(tmp_path / "dtb/Animal1", ["groundtruth_rect"])
    assert list(opened("dtb70", tmp_path / "dtb")[0].names) == ["Animal1"]
    annotations(tmp_path / "uavdt", ["S0101_gt", "S0102_gt"])
    assert list(opened("uavdt", tmp_path / "uavdt")[0].names) == ["S0101", "S0102"]


def test_few_sequences_that_two_sets_share_may_be_either(tmp_path):
    folder = annotations(tmp_path, ["Basketball"], lines=3)
    for benchmark in ("otb100", "dtb70", "tc128"):
        assert len(opened(benchmark, folder)[0]) == 1


def test_a_part_of_another_set_is_not_one_without_a_list(tmp_path):
    folder = annotations(tmp_path, names_of("dtb70", 40))
    for benchmark in ("tnl2k", "itb", "tc128", "vot2018"):
        with pytest.raises(UserError, match="holds sequences of dtb70"):
            opened(benchmark, folder)


def test_where_no_list_is_published_their_number_is_checked(tmp_path):
    folder = annotations(tmp_path, [f"video_{i}" for i in range(181)])
    with pytest.raises(
        UserError, match=r"holds 181 sequences \(video_0, .*\), but itb has 180: expected a directory of its"
    ):
        opened("itb", folder)
    assert len(opened("tnl2k", folder)[0]) == len(opened("folder", folder)[0]) == 181


def test_a_folder_without_any_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no ground truth in"):
        opened("lasot", tmp_path)
    annotations(tmp_path, ["mine", "yours"])
    with pytest.raises(
        UserError, match=r"no sequence of lasot in .* \(mine, yours\): expected its own, such as airplane-1"
    ):
        opened("lasot", tmp_path)


def test_lasots_toolkit_says_which_frames_are_absent(tmp_path):
    """`absent/NAME.txt`, a 1 for each frame without target: by it the benchmark's own numbers are made."""
    folder = annotations(tmp_path, ["airplane-1", "airplane-9"], lines=4)
    annotations(tmp_path / "att", ["airplane-1"])
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent/airplane-1.txt").write_text("0\n1\n1\n0\n")
    first, second = opened("lasot", folder)[0]
    assert first.present is not None
    assert first.present.tolist() == first.visible.tolist() == [True, False, False, True]
    assert (first.missing, second.present) == ((), None)
    lasot = benchmarks.find("lasot")
    answer = lasot.prediction(first, first.boxes_xywh)
    for rules in (published.lasot_scores, published.absent_missed):
        scores = rules([answer]).overall
        assert (scores["norm_precision"], scores["precision"], scores["op50"]) == (0.5, 0.5, 0.5)
    (tmp_path / "absent/airplane-1.txt").write_text("0\n1\n")
    assert "counts differ" in opened("lasot", folder)[0][0].flaws[0]
    (tmp_path / "absent/airplane-1.txt").write_text("nobody\n")
    with pytest.raises(UserError, match=r"absent/airplane-1.txt line 1: expected whole numbers"):
        opened("lasot", folder)[0][0]
