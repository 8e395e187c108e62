"""Trackers side by side: numbers, groups, pairs, other rules; published figures met from raw files."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import with_attributes_of_files, with_published_attributes
from ostrack_jax.data.readers.boxes_only import open_boxes_only
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import benchmarks as protocols
from ostrack_jax.evaluation import compare as comparison
from ostrack_jax.evaluation.metrics import intervals
from ostrack_jax.evaluation.metrics.conventions import CONVENTIONS
from ostrack_jax.evaluation.metrics.scores import CURVES, HEADINGS, percent
from ostrack_jax.evaluation.raw_results import open_results
from ostrack_jax.evaluation.report import Report
from ostrack_jax.evaluation.report_page import read_reports
from ostrack_jax.evaluation.report_tables import makers, print_comparison, rules_table
from ostrack_jax.evaluation.truth import open_truth
from ostrack_jax.io import write_json

TOP = ("benchmark", "rules", "keys", "sequences", "left_out", "trackers", "thresholds", "pairs", "conventions", "notes")
OF_A_TRACKER = ("folder", "scores", "intervals", "curves", "attributes", "categories", "sequences")
OF_A_TRACKER += ("runs", "spread", "fps", "lengths")
NAMES = ("Biker", "Bird1", "Car1", "Walking")


@pytest.fixture
def folders(tmp_path):
    """Truth of four sequences of OTB's names, the results of `good` (one sequence more wrong) and `poor` (one less)."""
    truth = np.tile([50.0, 50, 20, 20], (10, 1))
    for i, name in enumerate(NAMES):
        for tracker, off in (("truth", 0), ("good", 1 + i), ("poor", 4)):
            if (tracker, name) != ("poor", "Walking"):
                place = tmp_path / tracker / f"{name if tracker == 'truth' else name.lower()}.txt"
                place.parent.mkdir(exist_ok=True)
                boxes = truth + np.array([off, 0, 0, 0]) if name != "Car1" else truth
                np.savetxt(place, boxes, delimiter="\t" if tracker == "good" else ",")
                if tracker == "good":
                    place.with_stem(f"{place.stem}_time").write_text("5\n" + "0.1\n" * 9)
    return tmp_path


def compared(*arguments):
    """The content of `comparison.json`."""
    return comparison.compare(*arguments).to_json()


@pytest.fixture
def whole(folders, monkeypatch):
    monkeypatch.setattr(intervals, "LEAST_SEQUENCES", 3)
    trackers = [open_results(str(folders / name)) for name in ("poor", "good")]
    sequences = with_published_attributes(open_boxes_only(folders / "truth"), "otb")
    rules = ("published", "got10k", "absent_left_out")
    return comparison.compare(protocols.find("otb100"), sequences, trackers, rules, "ostrack compare")


@pytest.fixture
def told(whole):
    return whole.to_json()


def test_its_keys_are_those_that_are_documented(told):
    assert list(told)[: len(TOP)] == list(TOP)
    for key in [*told, *OF_A_TRACKER]:
        assert f"`{key}`" in str(comparison.__doc__), key
    assert all(tuple(tracker) == OF_A_TRACKER for tracker in told["trackers"].values())
    json.dumps(told, allow_nan=False)


def test_what_made_the_results_is_told_of_our_own(folders):
    processes = [{"process": "a", "hardware": {"cpu": "A"}, "finished_sequences": 3}]
    made = {"weights_sha256": "ab", "config": {"name": "x"}, "processes": processes}
    for name in ("good", "poor"):
        (folders / name / "report.json").write_text(json.dumps({**made, "hardware": {"cpu": "B"}}))
    (folders / "good/run.json").write_text('{"benchmark": "otb100"}')
    trackers = [open_results(str(folders / name)) for name in ("poor", "good")]
    told = compared(protocols.find("otb100"), open_boxes_only(folders / "truth"), trackers)
    assert made.items() <= told["trackers"]["good"].items()
    assert not made.keys() & told["trackers"]["poor"].keys(), "no word of this project's that it is its own"
    write_json(folders / "out/comparison.json", told)
    good, poor = read_reports([folders / "out"])
    assert (good.config, good.weights_sha256) == ({"name": "x"}, "ab")
    assert [maker["hardware"] for maker in makers(good)] == ["A"]
    assert (poor.config, makers(poor)) == (None, [])


def test_trackers_are_scored_on_what_all_have_the_best_first(told):
    assert list(told["trackers"]) == ["good", "poor"]
    assert list(told["sequences"]) == ["Biker", "Bird1", "Car1"]
    assert told["left_out"] == {"Walking": ["poor"]}
    good, poor = told["trackers"].values()
    # overlaps of frames 1 to 9: 19/21, 18/22 and 1 of `good`, 16/24 of `poor`; the first is the truth
    assert good["sequences"]["Biker"]["success_auc"] == pytest.approx((20 + 9 * 19) / 210)
    assert poor["sequences"]["Biker"]["success_auc"] == pytest.approx((20 + 9 * 14) / 210)
    assert good["scores"]["success_auc"] == pytest.approx(
        np.mean([r["success_auc"] for r in good["sequences"].values()])
    )
    assert good["fps"] == pytest.approx(10)
    assert poor["fps"] is None
    assert told["keys"][0] == "success_auc"


def test_curves_have_their_thresholds(told):
    for tracker in told["trackers"].values():
        for key, curve in tracker["curves"].items():
            axis = told["thresholds"][key]
            assert len(curve) == len(axis["values"])
            at = curve[20] if axis["score"] != "success_auc" else np.mean(curve)
            assert at == pytest.approx(tracker["scores"][axis["score"]])
    assert set(told["thresholds"]) < set(CURVES)


def test_groups_are_means_over_their_sequences(told):
    good = told["trackers"]["good"]
    assert good["categories"]["car"]["sequences"] == 1
    assert good["categories"]["car"]["success_auc"] == good["sequences"]["Car1"]["success_auc"]
    wide = good["attributes"]["fast motion"]
    having = [name for name, about in told["sequences"].items() if "fast motion" in about["attributes"]]
    assert wide["sequences"] == len(having) == 2
    assert wide["success_auc"] == pytest.approx(np.mean([good["sequences"][n]["success_auc"] for n in having]))


def test_pairs_tell_who_won(told):
    (pair,) = (pair for pair in told["pairs"] if pair["key"] == "success_auc")
    assert (pair["a"], pair["b"], pair["won"], pair["lost"], pair["tied"]) == ("good", "poor", 2, 0, 1)
    scores = [tracker["scores"]["success_auc"] for tracker in told["trackers"].values()]
    assert pair["difference"] == pytest.approx(scores[0] - scores[1])
    assert pair["interval"][0] <= pair["difference"] <= pair["interval"][1]


def test_other_rules_show_the_same_results(told):
    rules = told["conventions"]
    assert rules["published"]["trackers"]["good"]["scores"] == told["trackers"]["good"]["scores"]
    assert "whose size is not known" in rules["got10k"]["trackers"]["good"]["refused"]
    assert "miou" in rules["absent_left_out"]["trackers"]["poor"]["scores"]


def test_it_is_shown_in_percent(whole, told):
    out = io.StringIO()
    print_comparison(whole, Console(file=out, width=140))
    text = out.getvalue()
    assert "otb100, 3 sequences" in text
    low, high = told["trackers"]["good"]["intervals"]["success_auc"]
    assert f"{100 * low:.1f}..{100 * high:.1f}" in text
    assert re.search(r"good +poor +AUC +\+\d", text)
    assert "fast motion" in text
    assert "note: 3 of the benchmark's 100 sequences" in text
    assert "1 sequences left out, not all have them: Walking (poor)" in text
    assert "Refused: sequence Biker" in text


def test_names_and_numbers_are_whole_on_a_narrow_terminal(whole, told):
    out = io.StringIO()
    print_comparison(whole, Console(file=out, width=80))
    for name in ("good", "poor"):
        row = next(line for line in out.getvalue().splitlines() if line.strip().startswith(name))
        numbers = [told["trackers"][name]["scores"][key] for key in told["keys"]]
        assert row.split()[1:-1] == [percent(number) for number in numbers]
        assert row.split()[1] == f"{100 * numbers[0]:.2f}", "with two decimals, as papers print them"
    assert "…" not in out.getvalue()


def test_the_table_of_all_rules_fits_80_columns():
    rules = {name: {"meaning": "", "scores": dict.fromkeys(HEADINGS, 1.0)} for name in CONVENTIONS}
    for trackers in (["one"], ["one", "another"]):
        console = Console(file=io.StringIO(), width=80)
        rules_table([Report("otb", name=name, conventions=rules) for name in trackers]).print(console)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert shown.count("100.0") == len(rules) * len(trackers) * len(HEADINGS)
        assert all(f"\n{name} " in shown for name in rules), "no name is folded"


def test_a_result_of_another_length_is_told(folders):
    (folders / "good/biker.txt").write_text("50,50,20,20\n" * 4)
    trackers = [open_results(str(folders / "good"))]
    whole = comparison.compare(protocols.find("otb100"), open_boxes_only(folders / "truth"), trackers)
    told = whole.to_json()
    assert told["trackers"]["good"]["lengths"] == {"Biker": [4, 10]}
    assert told["trackers"]["good"]["sequences"]["Biker"]["precision"] == pytest.approx(0.4)
    assert (told["pairs"], told["conventions"]) == ([], {})
    out = io.StringIO()
    print_comparison(whole, Console(file=out, width=140))
    assert "1 results of another length: Biker (4 for 10 frames)" in out.getvalue()


def test_several_runs_are_averaged_with_their_spread(folders):
    """Each sequence's number is the mean of its runs, the benchmark's that of the sequences'."""
    for run, off in enumerate((1, 2, 4)):
        for name in ("Biker", "Bird1"):
            place = folders / f"many_{run:03d}" / f"{name}.txt"
            place.parent.mkdir(exist_ok=True)
            np.savetxt(place, np.tile([50.0 + off, 50, 20, 20], (10, 1)), delimiter=",")
    benchmark, truth = protocols.find("otb100"), open_boxes_only(folders / "truth")
    several = [open_results(str(folders / f"many_{run:03d}")) for run in range(3)]
    alone = compared(benchmark, truth, several)["trackers"]
    whole = comparison.compare(
        benchmark, truth, [open_results(str(folders / "many")), open_results(str(folders / "good"))], ("published",)
    )
    told = whole.to_json()
    many = told["trackers"]["many"]
    aucs = [alone[f"many_{run:03d}"]["scores"]["success_auc"] for run in range(3)]
    assert len(set(aucs)) == 3
    assert many["runs"] == 3
    assert many["scores"]["success_auc"] == pytest.approx(np.mean(aucs))
    assert many["spread"]["success_auc"] == pytest.approx(np.std(aucs, ddof=1))
    assert many["sequences"]["Biker"]["success_auc"] == pytest.approx(np.mean(aucs))
    assert np.mean(many["curves"]["success"]) == pytest.approx(np.mean(aucs))
    assert told["conventions"]["published"]["trackers"]["many"]["scores"] == many["scores"]
    assert (told["trackers"]["good"]["runs"], told["trackers"]["good"]["spread"]) == (1, {})
    out = io.StringIO()
    print_comparison(whole, Console(file=out, width=80))
    row = out.getvalue().partition("standard deviation over runs")[2].split("many")[1].split()
    assert row[:2] == ["3", f"{100 * np.std(aucs, ddof=1):.2f}"]
    (folders / "many_002/Bird1.txt").unlink()
    (folders / "many_001/Biker.txt").write_text("50,50,20,20\n" * 4)
    told = compared(benchmark, truth, [open_results(str(folders / "many"))])
    assert told["trackers"]["many"]["lengths"] == {"Biker, run 2": [4, 10]}
    assert any("1 of 2 sequences (Bird1) have fewer than 3 runs" in note for note in told["notes"])
    bird = np.mean(aucs[:2])
    assert told["trackers"]["many"]["sequences"]["Bird1"]["success_auc"] == pytest.approx(bird)


def test_repeated_runs_in_got10ks_layout_are_pooled_as_its_toolkit_does(tmp_path, sequence):
    """All frames of all runs of all sequences in one pool."""
    offs, lengths, overlaps = {"a": (1, 3), "b": (2, 5)}, {"a": 4, "b": 7}, []
    sequences = [
        dataclasses.replace(sequence(name, count), boxes_xywh=np.tile([10.0, 10, 20, 20], (count, 1)))
        for name, count in lengths.items()
    ]
    for one in sequences:
        for run, off in enumerate(offs[one.name], 1):
            boxes = one.boxes_xywh + np.array([off, 0, 0, 0])
            (tmp_path / one.name).mkdir(exist_ok=True)
            np.savetxt(tmp_path / one.name / f"{one.name}_{run:03d}.txt", boxes, delimiter=",")
            overlaps += [(20 - off) / (20 + off)] * (len(one) - 1)
    lazy = LazySequences({one.name: one for one in sequences}, lambda name, one: one)
    told = compared(protocols.find("got10k_val"), lazy, [open_results(str(tmp_path))])
    (tracker,) = told["trackers"].values()
    assert tracker["scores"]["ao"] == pytest.approx(np.mean(overlaps))
    assert tracker["scores"]["sr75"] == pytest.approx(np.mean(np.array(overlaps) > 0.75))
    assert (tracker["runs"], sorted(tracker["spread"])) == (2, ["ao", "sr50", "sr75"])


def test_each_set_of_a_shared_folder_is_scored_by_its_own_files(tmp_path):
    """One folder of results of four sets, as they are published: right for one set is wrong for all others."""
    own = {"otb100": ("Dog", "Car2", "Basketball"), "nfs30": ("dog",), "uav123": ("car2",), "tc128": ("Basketball",)}
    prefixes = {"otb100": "", "nfs30": "nfs_", "uav123": "uav_", "tc128": "tpl_"}
    for i, (benchmark, names) in enumerate(own.items()):
        for name in names:
            for place in (tmp_path / benchmark / f"{name}.txt", tmp_path / "raw" / f"{prefixes[benchmark]}{name}.txt"):
                place.parent.mkdir(exist_ok=True)
                place.write_text(f"{50 + 40 * i},50,20,20\n" * 5)
    for benchmark, names in own.items():
        told = compared(
            protocols.find(benchmark), open_boxes_only(tmp_path / benchmark), [open_results(str(tmp_path / "raw"))]
        )
        assert list(told["sequences"]) == sorted(names)
        assert told["trackers"]["raw"]["scores"]["precision"] == 1, benchmark


def test_lasot_without_its_lists_is_told(folders):
    told = compared(protocols.find("lasot"), open_boxes_only(folders / "truth"), [open_results(str(folders / "good"))])
    assert told["notes"][1].startswith("4 sequences without all lists of absent frames")


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("50,50,70,70", "are corners x1,y1,x2,y2"),
        ("60,60,20,20", "are centres and sizes cx,cy,w,h"),
        ("0.5,0.5,0.2,0.2", "are fractions of the frame, 0 to 1"),
        ("51,51,20,20", "begin one pixel off the true box, in x and in y"),
        ("5,50,20,20", "do not begin with the true box"),
        ("51,50,20,20", None),
    ],
)
def test_boxes_of_another_form_are_noted(folders, line, note):
    (folders / "other").mkdir()
    for name in NAMES:
        (folders / "other" / f"{name}.txt").write_text(f"{line}\n" * 10)
    trackers = [open_results(str(folders / name)) for name in ("good", "other")]
    whole = comparison.compare(protocols.find("otb100"), open_boxes_only(folders / "truth"), trackers)
    told = whole.to_json()
    notes = [line for line in told["notes"] if "of the benchmark's" not in line]
    assert len(notes) == (note is not None)
    if note is not None:
        assert notes[0].startswith(f"other: the boxes of 4 of 4 results (Biker, Bird1, Car1, Walking) {note}: ")
        out = io.StringIO()
        print_comparison(whole, Console(file=out, width=100))
        assert notes[0] in out.getvalue()


def test_one_result_a_pixel_off_is_chance(folders):
    (folders / "good/biker.txt").write_text("51,51,20,20\n" * 10)
    told = compared(protocols.find("otb100"), open_boxes_only(folders / "truth"), [open_results(str(folders / "good"))])
    assert not [note for note in told["notes"] if "one pixel" in note]


def test_true_boxes_of_another_form_are_noted(folders):
    for name in NAMES:
        (folders / "truth" / f"{name}.txt").write_text("0.5,0.5,0.2,0.2\n" * 10)
    told = compared(protocols.find("otb100"), open_boxes_only(folders / "truth"), [open_results(str(folders / "good"))])
    assert told["notes"][1].startswith(
        "the true boxes of 4 of 4 sequences (Biker, Bird1, Car1, Walking) are fractions of the frame, 0 to 1: expected"
    )


def test_mistakes_are_told(folders, tmp_path):
    truth = open_boxes_only(folders / "truth")
    good = open_results(str(folders / "good"))
    with pytest.raises(UserError, match="unknown convention 'nope'"):
        comparison.compare(protocols.find("otb100"), truth, [good], ["nope"])
    with pytest.raises(UserError, match="got10k_test is not scored"):
        comparison.compare(protocols.find("got10k_test"), truth, [good])
    (tmp_path / "other").mkdir()
    (tmp_path / "other/cat-1.txt").write_text("1,2,3,4\n")
    with pytest.raises(UserError, match="no sequence of otb100 has results of all trackers"):
        comparison.compare(protocols.find("otb100"), truth, [good, open_results(str(tmp_path / "other"))])


def test_all_bad_results_are_told_at_once(folders):
    truth, trackers = open_boxes_only(folders / "truth"), [open_results(str(folders / n)) for n in ("good", "poor")]

    def refusal():
        with pytest.raises(UserError) as raised:
            comparison.compare(protocols.find("otb100"), truth, trackers)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    (folders / "good/biker.txt").write_text("50,50,-3,20\n" * 10)
    assert refusal().startswith("good: sequence Biker: the result's box of frame 0 is [50.0, 50.0, -3.0, 20.0]")
    (folders / "poor/bird1.txt").write_text("nan,50,20,20\n" * 10)
    assert refusal().startswith("2 results cannot be compared: good: sequence Biker: ")
    assert "; poor: sequence Bird1: the result's box of frame 0 is [nan" in refusal()
    (folders / "good/bird1.txt").write_text("no boxes\n")
    (folders / "poor/car1.txt").write_text("1,2\n")
    assert refusal().startswith("4 results cannot be compared: good: sequence Biker: ")
    assert "bird1.txt line 1" in refusal()
    assert "car1.txt line 1" in refusal()
    for name in ("again", "more"):
        (folders / "good" / name).mkdir()
        for sequence in ("car1", "biker"):
            (folders / "good" / name / f"{sequence}.txt").write_text("1,2,3,4\n")
    trackers[0] = open_results(str(folders / "good"))
    assert "cannot be compared: two fit sequence Biker: " in refusal()
    assert "; two fit sequence Car1: " in refusal()


def test_of_many_bad_results_some_are_named(tmp_path):
    for tracker in ("truth", "bad"):
        for i in range(30):
            path = tmp_path / tracker / f"s{i:02d}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("1,2,3,4\n" if tracker == "truth" else "1\n")
    with pytest.raises(UserError, match=r"^30 results cannot be compared: .*s19.txt line 1.*; and 10 more$"):
        comparison.compare(
            protocols.find("otb"), open_boxes_only(tmp_path / "truth"), [open_results(str(tmp_path / "bad"))]
        )


@pytest.mark.data
@pytest.mark.slow
def test_published_figures_of_otb100_come_out_of_raw_files(shared_data):
    """ATOM 66.70 and 87.9, SiamBAN 69.62 and 91.0 (success AUC and precision of what their authors published)."""
    folder = shared_data.parent / "results" / "otb100"
    if not folder.is_dir():
        pytest.skip(f"no raw results at {folder}")
    trackers = [open_results(str(folder / name)) for name in ("ATOM", "SiamBAN")]
    truth, note = open_truth(protocols.find("otb100"), folder / "groundtruth")
    assert note == ""
    sequences = with_attributes_of_files(truth, folder / "attributes", "otb")
    whole = comparison.compare(protocols.find("otb100"), sequences, trackers, ("otb_toolkit",))
    told = whole.to_json()
    assert len(told["sequences"]) == 100
    assert not told["left_out"]
    for name, published in (("ATOM", (66.7, 87.9)), ("SiamBAN", (69.6, 91.0))):
        for rules in (told["trackers"][name], told["conventions"]["otb_toolkit"]["trackers"][name]):
            ours = [100 * rules["scores"][key] for key in ("success_auc", "precision")]
            np.testing.assert_allclose(ours, published, atol=0.05, rtol=0)
            assert f"{ours[0]:.2f}" == {"ATOM": "66.70", "SiamBAN": "69.62"}[name]
    out = io.StringIO()
    print_comparison(whole, Console(file=out, width=80))
    assert re.search(r"SiamBAN +69\.62 .*\nATOM +66\.70 ", out.getvalue())
    assert told["trackers"]["ATOM"]["attributes"]["low resolution"]["sequences"] == 9
