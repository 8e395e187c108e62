"""Folders of evaluations read for a report, those from elsewhere with care; the tables that are told of them."""

from __future__ import annotations

import json

import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import expected
from ostrack_jax.evaluation import page as eval_page
from ostrack_jax.evaluation import tables as eval_tables
from ostrack_jax.evaluation.comparisons import reports_of, tables_of
from ostrack_jax.evaluation.evaluations import comparison_in, read_evaluations, trained_on
from ostrack_jax.visualization import canvas, plots
from ostrack_jax.visualization.canvas import COLOURS
from ostrack_jax.visualization.html import numbers
from ostrack_jax.visualization.strips import ranked

CONFIG = "vitb_256_mae_ce_32x4_ep300"


def report(**changes):
    data = {name: {"reader": name, "use": "train"} for name in ("lasot", "got10k")}
    told = {
        **{"benchmark": "lasot", "tracker": CONFIG, "scores": {"success_auc": 0.685, "precision": 0.7}},
        **{"sequences": {"airplane-1": {"success_auc": 0.7, "fps": 30.0}, "bear-2": {"success_auc": 0.4}}},
        **{"curves": {"success": [1 - i / 20 for i in range(21)]}, "speed": {"fps": 33.0}, "failed": {}},
        **{"attributes": {"fast motion": {"sequences": 2, "success_auc": 0.5}}, "not_scored": ""},
        **{"categories": {"airplane": {"sequences": 1}}, "intervals": {"success_auc": [0.6, 0.72], "ao": None}},
        **{"config": {"data": data}, "versions": {"jax": "0.10.2"}, "weights_sha256": "ab"},
    }
    return told | changes


@pytest.fixture
def folder(tmp_path):
    def make(name="run", **changes):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(report(**changes)))
        return tmp_path / name

    return make


def test_what_is_read(folder):
    (one,) = read_evaluations([folder()])
    assert one.name == CONFIG
    assert one.scores == {"success_auc": 0.685, "precision": 0.7}
    assert one.sequences["airplane-1"] == {"success_auc": 0.7, "fps": 30.0}
    assert one.main == "success_auc"
    assert one.intervals == {"success_auc": (0.6, 0.72)}
    assert one.fps == 33.0
    assert one.facts == {
        **{"benchmark": "lasot", "tracker": CONFIG},
        **{"versions.jax": "0.10.2", "weights_sha256": "ab"},
    }
    again = read_evaluations([one.folder, folder("other")])
    assert [each.name for each in again] == ["run", "other"], "one tracker twice goes by its folders"


def test_of_a_hostile_file_only_known_finite_numbers_are_taken(folder):
    odd = {"success_auc": float("inf"), "precision": "<b>", "ao": True, "evil": 1.0, "sr50": 0.5}
    curves = {"success": [0.5] * 20, "precision": ["x"] * 51, "other": [1.0], "norm_precision": [0.1] * 51}
    changes = {"scores": odd, "curves": curves, "sequences": [1], "attributes": "no", "speed": None, "config": 3}
    (one,) = read_evaluations([folder(**changes, tracker="t" * 10_000)])
    assert one.scores == {"sr50": 0.5}
    assert list(one.curves) == ["norm_precision"]
    assert (one.sequences, one.attributes, one.fps, one.config) == ({}, {}, None, None)
    assert len(one.tracker) == 400


def test_numbers_beyond_reason_are_not_drawn(folder):
    far = {"scores": {"success_auc": 1e300, "precision": 0.5}, "curves": {"success": [-1e300] * 21}}
    (one,) = read_evaluations([folder(**far, speed={"fps": 1e-300}, intervals={"success_auc": [-1e308, 1e308]})])
    assert (one.scores, one.curves, one.intervals, one.fps) == ({"precision": 0.5}, {}, {}, None)
    for fps, told in ((-5, None), (0, None), (1e300, None), (25, 25.0)):
        (one,) = read_evaluations([folder(f"at {fps}", speed={"fps": fps})])
        assert one.fps == told


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmark": 1, "tracker": "x"}', "[" * 100_000])
def test_what_is_no_report_is_told(folder, text):
    place = folder()
    (place / "report.json").write_text(text)
    with pytest.raises(UserError, match="is no report"):
        read_evaluations([place])
    (place / "report.json").unlink()
    with pytest.raises(UserError, match=r"no report\.json"):
        read_evaluations([place])
    with pytest.raises(UserError, match="twice"):
        read_evaluations([place, place])


def test_the_papers_row_stands_beside_ours(folder):
    table = eval_tables.headline(read_evaluations([folder()]))
    ours, small, large, *_ = (dict(zip(table.heading, row, strict=True)) for row in table.rows)
    assert table.marks == ["ours", "theirs", "theirs", "theirs", "theirs"]
    assert (ours["whose"], ours["AUC"], ours["P_norm"]) == ("measured here", "68.5", "-")
    assert ours["AUC, 95 % interval"] == "60.0 to 72.0"
    assert ours["expected"] == "AUC as expected (69.1 ± 1.0); P 5.2 below (75.2 ± 1.0)"
    assert (small["tracker"], small["whose"]) == (CONFIG, "the paper's")
    assert (small["AUC"], small["P"], small["P_norm"]) == ("69.1 ± 1.0", "75.2 ± 1.0", "78.7 ± 1.0")
    assert large["AUC"] == "71.1 ± 1.0"
    columns = numbers(table).split("</tr>")[0].split("<th")
    assert ["class=number" in column for column in columns[1:5]] == [False, False, True, True]
    score, points = eval_tables.speeds(read_evaluations([folder("again")]))
    assert score == "AUC"
    assert points[0] == (CONFIG, 33.0, pytest.approx(68.5), COLOURS[0], True)
    assert [(point.here, point.colour) for point in points[1:]] == [(False, colour) for colour in COLOURS[1:5]]
    assert points[1].label == f"{CONFIG} (paper)"


def test_a_part_of_a_benchmark_is_not_held_against_the_figure(folder):
    (one,) = read_evaluations([folder(whole=280)])
    table = eval_tables.headline([one])
    assert "expected" not in table.heading
    assert table.rows[0][table.heading.index("note")] == "2 of 280 sequences"


def test_plots_say_of_a_part_that_it_is_one_and_keep_a_trackers_colour(folder, monkeypatch):
    whole, untimed, part = {"whole": 2, "tracker": "a"}, {"speed": {}, "tracker": "b"}, {"whole": 280, "tracker": "c"}
    group = read_evaluations([folder("1", **whole), folder("2", **untimed), folder("3", **part)])
    _, points = eval_tables.speeds(group)
    assert [(p.label, p.colour) for p in points if p.here] == [("a", COLOURS[0]), ("c (2 of 280)", COLOURS[2])]
    figures = []
    monkeypatch.setattr(canvas, "png", lambda drawn: figures.append(drawn) or b"")
    plots.curve(group, "success", canvas.LIGHT)
    plots.speed(points, "AUC", canvas.LIGHT)
    plots.bars(group, "success_auc", canvas.LIGHT)
    curve, speed, bars = (_legend(figure) for figure in figures)
    labels = ("a  68.5", "b  68.5", "c (2 of 280)  68.5")
    assert curve == dict(zip(labels, COLOURS, strict=False))
    assert list(speed.items())[:2] == [("a", COLOURS[0]), ("c (2 of 280)", COLOURS[2])]
    assert list(bars) == ["a", "b", "c (2 of 280)"]


def _legend(figure):
    """The colours of its marks by their labels."""
    (axes,) = figure.axes
    (legend,) = figure.legends or [axes.get_legend()]
    labels = [text.get_text() for text in legend.get_texts()]
    return {label: mark.get_color() for label, mark in zip(labels, axes.get_lines(), strict=True)}


def compared(**changes):
    row = {"scores": {"success_auc": 0.6}, "curves": {"success": [0.5] * 21}, "sequences": {"a": {"success_auc": 0.6}}}
    pair = {"a": "one", "b": "two", "key": "success_auc", "difference": 0.021, "interval": [-0.01, 0.05]}
    told = {
        **{"benchmark": "otb100", "trackers": {"one": row | {"fps": 20.0}, "two": row}, "versions": {"jax": "0.10.2"}},
        **{"notes": ["half of it"], "pairs": [pair | {"won": 3, "lost": 1, "tied": 0}]},
        **{"conventions": {"absent_hit": {"meaning": "what if", "trackers": {"one": {"scores": {"op50": 0.5}}}}}},
    }
    return told | changes


def test_sequences_of_a_few_have_the_rank_they_have(folder):
    """Of three, two best and two worst would be four; the one between is neither."""
    for count, ranks in ((0, ""), (1, "-"), (2, "bw"), (3, "b-w"), (4, "bbww"), (5, "bbww")):
        rows = {f"s{i}": {"success_auc": 0.9 - 0.1 * i} for i in range(count)}
        (one,) = read_evaluations([folder(f"of {count}", sequences=rows)])
        found = ranked(one, 2)
        assert "".join(rank[:1] or "-" for _, rank in found) == ranks
        assert len({name for name, _ in found}) == len(found)
        best, worst = ([name for name, rank in found if rank == which] for which in ("best", "worst"))
        assert (best, worst) == (list(rows)[: len(best)], list(rows)[::-1][: len(worst)])


def test_a_comparison_is_several_evaluations_and_its_tables(folder, tmp_path):
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "comparison.json").write_text(json.dumps(compared()))
    evaluations = read_evaluations([tmp_path / "both"])
    assert [(each.name, each.benchmark, each.whole) for each in evaluations] == [
        (n, "otb100", 100) for n in ("one", "two")
    ]
    assert (evaluations[0].fps, evaluations[1].fps) == (20.0, None)
    assert evaluations[0].facts["versions.jax"] == "0.10.2"
    told = comparison_in(tmp_path / "both")
    (_, notes), (_, pairs), (_, rules) = tables_of(told)
    assert notes.rows == [["half of it"]]
    assert pairs.rows == [["one", "two", "AUC", "+2.1", "3", "1", "0", "-1.0 to +5.0"]]
    assert rules.heading == ["rules", "tracker", "OP50", "what they do"]
    assert rules.rows == [["absent_hit", "one", "50.0", "what if"]]
    own = folder("own", tracker="one")
    assert comparison_in(own) is None
    assert [each.name for each in read_evaluations([own, tmp_path / "both"])] == ["own", "both: one", "both: two"]


def test_a_trackers_own_folder_beside_its_comparison_is_the_same_evaluation(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = folder("results")
    (tmp_path / "both").mkdir()
    row = {"scores": {"success_auc": 0.5}, "sequences": {"airplane-1": {"success_auc": 0.5}}}
    trackers = {"A": {**row, "folder": "results"}, "B": {**row, "folder": "elsewhere"}, "C": {**row, "folder": "a\0b"}}
    (tmp_path / "both/comparison.json").write_text(json.dumps({"benchmark": "lasot", "trackers": trackers}))
    other = folder("other", tracker="D")
    found = read_evaluations([own, tmp_path / "both", other])
    assert [(one.name, one.folder) for one in found] == [
        ("A", own),
        ("B", tmp_path / "both"),
        ("C", tmp_path / "both"),
        ("D", other),
    ]
    assert found[0].scores == {"success_auc": 0.5}, "the comparison's: over what all trackers have"


def test_other_rules_of_an_evaluation_are_a_table(folder):
    rules = {
        "absent_hit": {"meaning": "what if", "scores": {"op50": 0.5}},
        "pooled": {"meaning": "all frames", "refused": "no frame counts"},
        "odd": 3,
    }
    evaluations = read_evaluations([folder(conventions=rules), folder("without", tracker="other")])
    table = eval_tables.by_other_rules(evaluations)
    assert table.heading == ["rules", "tracker", "OP50", "what they do"]
    assert table.rows == [
        ["absent_hit", CONFIG, "50.0", "what if"],
        ["pooled", CONFIG, "-", "all frames Refused: no frame counts"],
    ]
    assert not any(key.startswith("conventions") for key in evaluations[0].facts)
    assert eval_tables.by_other_rules(evaluations[1:]).rows == []


def test_long_texts_of_a_table_have_several_lines():
    text = numbers(eval_tables.Table(["a", "b"], [["x" * 61, "1.0"], ["y" * 60, "2.0"]], []))
    assert f"<td class=long>{'x' * 61}</td>" in text
    assert f"<td>{'y' * 60}</td>" in text
    assert "<td class=number>1.0</td>" in text


def test_a_comparison_from_elsewhere_is_read_with_care(tmp_path):
    odd = {
        "notes": 3,
        "pairs": [1, {"key": "x"}, {"key": "ao", "interval": "no"}],
        "conventions": {"a": 3, "b": {"trackers": []}},
    }
    (tmp_path / "comparison.json").write_text(json.dumps(compared(**odd, trackers={"one": 3, "two": {"scores": []}})))
    (two,) = read_evaluations([tmp_path])
    assert (two.name, two.scores, two.sequences) == ("two", {}, {})
    ((_, pairs),) = tables_of(comparison_in(tmp_path))
    assert pairs.rows == [["-", "-", "AO", "-", "-", "-", "-"]]
    assert reports_of({"trackers": []}) == []
    (tmp_path / "comparison.json").write_text(json.dumps(compared(trackers={})))
    with pytest.raises(UserError, match=r"comparison\.json compares no trackers"):
        read_evaluations([tmp_path])


def test_results_that_are_not_one_shot_are_marked(folder):
    test = {"benchmark": "got10k_test", "scores": {}, "not_scored": "not scored: the ground truth is not public"}
    alone = {"data": {"got10k": {"reader": "got10k", "use": "train"}, "v": {"reader": "lasot", "use": "validation"}}}
    several = [folder("many", **test), folder("one", **test, config=alone), folder("none", **test, config=None)]
    many, one, none = read_evaluations(several)
    assert "NOT ONE-SHOT: trained on got10k, lasot" in many.note
    assert "ONE-SHOT" not in one.note
    assert "training sets unknown" in none.note
    assert "ONE-SHOT" not in read_evaluations([folder("lasot")])[0].note
    assert trained_on(alone) == ["got10k"]
    table = eval_tables.headline([many, one, none])
    assert [row[0] for row in table.rows[3:]] == [e.config for e in expected.of_benchmark("got10k_test")]


def test_scores_of_a_server_are_its_own_and_beside_the_papers(folder):
    config = "vitb_256_mae_ce_32x4_got10k_ep100"
    test = {"benchmark": "got10k_test", "tracker": config, "scores": {}, "not_scored": "not scored: not public"}
    run = folder("test", **test, sequences={}, curves={}, attributes={}, categories={}, intervals={})
    assert read_evaluations([run])[0].note.startswith("not scored")
    (run / "server.json").write_text('{"ao": 0.704, "sr50": 0.79}')
    (one,) = read_evaluations([run])
    assert (one.scores, one.main) == ({"ao": 0.704, "sr50": 0.79}, "ao")
    assert "not scored" not in one.note
    first, *theirs = eval_tables.headline([one]).rows
    assert first[1:4] == [eval_tables.SERVED, "70.4", "79.0"]
    assert any("as expected (71.0 ± 1.0)" in cell for cell in first)
    assert {row[1] for row in theirs} == {eval_tables.THEIRS}
    assert eval_tables.as_json([one])["evaluations"][0]["whose"] == "server"
    pages = eval_page.write(run / "page", [one], {})
    assert eval_tables.SERVED in pages[1].read_text()
    for wrong in ('{"ao": 70.4}', '{"AO": 0.7}', "{}", '{"ao": "x"}', "[0.7]", "0.7"):
        (run / "server.json").write_text(wrong)
        with pytest.raises(UserError, match=r"server\.json"):
            read_evaluations([run])
    (folder("scored") / "server.json").write_text('{"ao": 0.7}')
    assert not read_evaluations([run.parent / "scored"])[0].by_server, "scores that were measured stand"


def test_what_keeps_numbers_from_being_the_benchmarks_own_is_said_once(folder):
    lacks = "3 sequences without absent.label"
    runs = [folder("a", tracker="one", notes=[lacks]), folder("b", tracker="two", notes=[lacks, "2 of 5"])]
    assert eval_tables.remarks(read_evaluations(runs)) == [f"one, two: {lacks}.", "two: 2 of 5."]
    part = folder("part", whole=280, notes=["2 of the benchmark's 280 sequences", lacks])
    (one,) = read_evaluations([part])
    assert one.note == "2 of 280 sequences"
    assert eval_tables.remarks([one]) == [f"{CONFIG}: {lacks}."], "what the row's note says is not said again"
    pages = eval_page.write(runs[0] / "page", read_evaluations(runs), {})
    assert f"one, two: {lacks}." in pages[0].read_text()
    assert read_evaluations([folder("odd", notes="text")])[0].remarks == []


def test_the_json_says_whose_each_number_is(folder):
    told = eval_tables.as_json(read_evaluations([folder()]))
    assert {row["whose"] for row in told["evaluations"]} == {"ours"}
    first = told["expected"][0]
    assert (first["whose"], first["scores"]["success_auc"], first["tolerance"]) == ("theirs", 0.691, 0.01)
