"""Reports of evaluations and comparisons read, and their tables."""

from __future__ import annotations

import json

import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import compare, expected, report_page
from ostrack_jax.evaluation import report_tables as tables
from ostrack_jax.evaluation.report import OURS, SERVED
from ostrack_jax.evaluation.report_page import read_reports
from ostrack_jax.evaluation.report_sequences import ranked
from ostrack_jax.io import write_json
from ostrack_jax.visualization import plots
from ostrack_jax.visualization.html import Page
from ostrack_jax.visualization.plots import COLOURS, Panel

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


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Pages are read here for their texts."""
    monkeypatch.setattr(Page, "plot", lambda *_: None)


@pytest.fixture
def folder(tmp_path):
    def make(name="run", **changes):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(report(**changes)))
        return tmp_path / name

    return make


def test_what_is_read(folder):
    (one,) = read_reports([folder()])
    assert one.name == CONFIG
    assert one.scores == {"success_auc": 0.685, "precision": 0.7}
    assert one.sequences["airplane-1"] == {"success_auc": 0.7, "fps": 30.0}
    assert one.main == "success_auc"
    assert one.intervals == {"success_auc": [0.6, 0.72], "ao": None}
    assert one.fps == 33.0
    assert tables.facts(one) == {
        **{"benchmark": "lasot", "tracker": CONFIG},
        **{"versions.jax": "0.10.2", "weights_sha256": "ab"},
    }
    again = read_reports([one.directory, folder("other")])
    assert [each.name for each in again] == ["run", "other"], "one tracker twice goes by its folders"


def test_a_report_comes_back_from_its_file(folder, tmp_path):
    (one,) = read_reports([folder()])
    write_json(tmp_path / "again/report.json", one.to_json())
    written = json.loads((tmp_path / "again/report.json").read_text())
    assert written.items() >= {key: value for key, value in report().items() if value}.items()
    assert read_reports([tmp_path / "again"])[0].to_json() == written


def test_keys_that_this_version_does_not_know_are_shown(folder):
    (one,) = read_reports([folder(newer={"a": 1})])
    assert tables.facts(one)["newer.a"] == "1"


@pytest.mark.parametrize("key", ["benchmark", "tracker", "scores"])
def test_a_report_that_lacks_what_every_report_has_is_one_line(folder, key):
    with pytest.raises(UserError, match=rf"report\.json is not the report of an evaluation: it has no {key}"):
        read_reports([folder(**{key: None})])


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmark": "otb", "tracker": "x"}'])
def test_what_is_no_report_is_one_line(folder, text):
    place = folder()
    (place / "report.json").write_text(text)
    with pytest.raises(UserError, match=r"report\.json"):
        read_reports([place])
    (place / "report.json").unlink()
    with pytest.raises(UserError, match=r"no report\.json"):
        read_reports([place])
    with pytest.raises(UserError, match="twice"):
        read_reports([place, place])


def test_the_papers_row_stands_beside_ours(folder):
    table = tables.headline(read_reports([folder()]))
    ours, small, large, *_ = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert table.styles == ["ours", "theirs", "theirs", "theirs", "theirs"]
    assert (ours["whose"], ours["AUC"], ours["P_norm"]) == ("measured here", "68.5", "-")
    assert ours["AUC, 95 % interval"] == "60.0 to 72.0"
    assert ours["expected"] == "AUC as expected (69.1 ± 1.0); P 5.2 below (75.2 ± 1.0)"
    assert (small["tracker"], small["whose"]) == (CONFIG, "the paper's")
    assert (small["AUC"], small["P"], small["P_norm"]) == ("69.1 ± 1.0", "75.2 ± 1.0", "78.7 ± 1.0")
    assert large["AUC"] == "71.1 ± 1.0"
    columns = table.html().split("</tr>")[0].split("<th")
    assert ["class=number" in column for column in columns[1:5]] == [False, False, True, True]
    score, points = report_page.speed_marks(read_reports([folder("again")]))
    assert score == "AUC"
    assert points[0] == (CONFIG, COLOURS[0], [33.0], [pytest.approx(68.5)], False)
    assert [(point.second, point.colour) for point in points[1:]] == [(True, colour) for colour in COLOURS[1:5]]
    assert points[1].label == f"{CONFIG} (paper)"


def test_a_part_of_a_benchmark_is_not_held_against_the_figure(folder):
    (one,) = read_reports([folder(whole=280)])
    table = tables.headline([one])
    assert "expected" not in table.columns
    assert table.rows[0][table.columns.index("note")] == "2 of 280 sequences"


def test_plots_say_of_a_part_that_it_is_one_and_keep_a_trackers_colour(folder):
    whole, untimed, part = {"whole": 2, "tracker": "a"}, {"speed": {}, "tracker": "b"}, {"whole": 280, "tracker": "c"}
    group = read_reports([folder("1", **whole), folder("2", **untimed), folder("3", **part)])
    _, points = report_page.speed_marks(group)
    assert [(p.label, p.colour) for p in points if not p.second] == [("a", COLOURS[0]), ("c (2 of 280)", COLOURS[2])]
    curve = _legend(plots.panel(Panel("Success", lines=report_page.curve_lines(group, "success"), scale="share")))
    speed = _legend(plots.speed(points, "AUC"))
    labels = ("a  68.5", "b  68.5", "c (2 of 280)  68.5")
    assert curve == dict(zip(labels, COLOURS, strict=False))
    assert list(speed.items())[:2] == [("a", COLOURS[0]), ("c (2 of 280)", COLOURS[2])]


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
        **{"conventions": {"absent_missed": {"meaning": "what if", "trackers": {"one": {"scores": {"op50": 0.5}}}}}},
    }
    return told | changes


def test_sequences_of_a_few_have_the_rank_they_have(folder):
    """Of three, two best and two worst would be four; the one between is neither."""
    for count, ranks in ((0, ""), (1, "-"), (2, "bw"), (3, "b-w"), (4, "bbww"), (5, "bbww")):
        rows = {f"s{i}": {"success_auc": 0.9 - 0.1 * i} for i in range(count)}
        (one,) = read_reports([folder(f"of {count}", sequences=rows)])
        found = ranked(one, 2)
        assert "".join(rank[:1] or "-" for _, rank in found) == ranks
        assert len({name for name, _ in found}) == len(found)
        best, worst = ([name for name, rank in found if rank == which] for which in ("best", "worst"))
        assert (best, worst) == (list(rows)[: len(best)], list(rows)[::-1][: len(worst)])


def test_a_comparison_is_several_evaluations_and_its_tables(folder, tmp_path):
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "comparison.json").write_text(json.dumps(compared()))
    evaluations = read_reports([tmp_path / "both"])
    assert [(each.name, each.benchmark, each.whole) for each in evaluations] == [
        (n, "otb100", 100) for n in ("one", "two")
    ]
    assert (evaluations[0].fps, evaluations[1].fps) == (20.0, None)
    assert tables.facts(evaluations[0])["versions.jax"] == "0.10.2"
    pairs, rules = tables.pairs_table(evaluations), tables.rules_table(evaluations)
    assert pairs.rows == [["one", "two", "AUC", "+2.10", "-1.0 to +5.0", "3", "1", "0"]]
    assert (rules.columns, rules.rows) == (["rules", "tracker", "OP50"], [["absent_missed", "one", "50.00"]])
    assert rules.notes == ["absent_missed: what if"]
    pages = report_page.write(tmp_path / "page", evaluations, {})
    assert "one, two: half of it." in pages[1].read_text()
    own = folder("own", tracker="one")
    assert (compare.is_in(own), compare.is_in(tmp_path / "both")) == (False, True)
    assert [each.name for each in read_reports([own, tmp_path / "both"])] == ["own", "both: one", "both: two"]


def test_a_trackers_own_directory_next_to_its_comparison_is_the_same_evaluation(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = folder("results")
    (tmp_path / "both").mkdir()
    row = {"scores": {"success_auc": 0.5}, "sequences": {"airplane-1": {"success_auc": 0.5}}}
    trackers = {"A": {**row, "folder": "results"}, "B": {**row, "folder": "elsewhere"}}
    (tmp_path / "both/comparison.json").write_text(json.dumps({"benchmark": "lasot", "trackers": trackers}))
    other = folder("other", tracker="D")
    found = read_reports([own, tmp_path / "both", other])
    assert [(one.name, one.directory) for one in found] == [
        ("A", own),
        ("B", tmp_path / "both"),
        ("D", other),
    ]
    assert found[0].scores == {"success_auc": 0.5}, "the comparison's: over what all trackers have"


def test_other_rules_of_an_evaluation_are_a_table(folder):
    rules = {
        "absent_missed": {"meaning": "what if", "scores": {"op50": 0.5}},
        "pooled": {"meaning": "all frames", "refused": "no frame counts"},
    }
    evaluations = read_reports([folder(conventions=rules), folder("second", tracker="other", conventions=rules)])
    table = tables.rules_table(evaluations[:1])
    assert (table.columns, table.rows) == (["rules", "OP50"], [["absent_missed", "50.00"], ["pooled", "-"]])
    assert table.notes == ["absent_missed: what if", "pooled: all frames Refused: no frame counts"]
    table = tables.rules_table(evaluations)
    assert table.columns == ["rules", "tracker", "OP50"]
    assert [row[1] for row in table.rows] == [CONFIG, "other"] * 2
    assert not any(key.startswith("conventions") for key in tables.facts(evaluations[0]))


def test_attributes_are_listed_the_hardest_first(folder):
    rows = {f"a{i}": {"sequences": i, "success_auc": 1 / (1 + i)} for i in range(3)} | {"none": {"success_auc": None}}
    table = tables.groups_table(read_reports([folder(attributes=rows)]), "attributes", 3)
    assert table.columns == ["attribute", "sequences", CONFIG]
    assert table.rows == [["a2", "2", "33.33"], ["a1", "1", "50.00"]]
    assert table.notes == ["the 3 hardest of 4"]


def test_a_comparison_of_another_kind_is_one_line(tmp_path):
    for trackers in ({"one": 3}, []):
        (tmp_path / "comparison.json").write_text(json.dumps(compared(trackers=trackers)))
        with pytest.raises(UserError, match=r"comparison\.json compares no trackers"):
            read_reports([tmp_path])


def test_results_that_are_not_one_shot_are_marked(folder):
    test = {"benchmark": "got10k_test", "scores": {}, "not_scored": "not scored: the ground truth is not public"}
    alone = {"data": {"got10k": {"reader": "got10k", "use": "train"}, "v": {"reader": "lasot", "use": "validation"}}}
    several = [folder("many", **test), folder("one", **test, config=alone), folder("none", **test, config=None)]
    many, one, none = read_reports(several)
    assert "NOT ONE-SHOT: trained on got10k, lasot" in many.note
    assert "ONE-SHOT" not in one.note
    assert "training sets unknown" in none.note
    assert "ONE-SHOT" not in read_reports([folder("lasot")])[0].note
    table = tables.headline([many, one, none])
    assert [row[0] for row in table.rows[3:]] == [e.name for e in expected.of_benchmark("got10k_test")]


def test_scores_of_a_server_are_its_own_and_beside_the_papers(folder):
    config = "vitb_256_mae_ce_32x4_got10k_ep100"
    test = {"benchmark": "got10k_test", "tracker": config, "scores": {}, "not_scored": "not scored: not public"}
    run = folder("test", **test, sequences={}, curves={}, attributes={}, categories={}, intervals={})
    assert read_reports([run])[0].note.startswith("not scored")
    (run / "server.json").write_text('{"ao": 0.704, "sr50": 0.79}')
    (one,) = read_reports([run])
    assert (one.scores, one.main) == ({"ao": 0.704, "sr50": 0.79}, "ao")
    assert "not scored" not in one.note
    first, *theirs = tables.headline([one]).rows
    assert first[1:4] == [SERVED, "70.4", "79.0"]
    assert any("as expected (71.0 ± 1.0)" in cell for cell in first)
    assert {row[1] for row in theirs} == {expected.PAPER}
    assert tables.as_json([one])["evaluations"][0]["whose"] == "server"
    pages = report_page.write(run / "page", [one], {})
    assert SERVED in pages[1].read_text()
    for wrong in ('{"ao": 70.4}', '{"AO": 0.7}', "{}", '{"ao": "x"}', "[0.7]", "0.7"):
        (run / "server.json").write_text(wrong)
        with pytest.raises(UserError, match=r"server\.json"):
            read_reports([run])
    (folder("scored") / "server.json").write_text('{"ao": 0.7}')
    assert read_reports([run.parent / "scored"])[0].whose == OURS, "scores that were measured stand"


def test_what_keeps_numbers_from_being_the_benchmarks_own_is_said_once(folder):
    lacks = "3 sequences without absent.label"
    runs = [folder("a", tracker="one", notes=[lacks]), folder("b", tracker="two", notes=[lacks, "2 of 5"])]
    assert tables.remarks(read_reports(runs)) == [f"one, two: {lacks}.", "two: 2 of 5."]
    part = folder("part", whole=280, notes=["2 of the benchmark's 280 sequences", lacks])
    (one,) = read_reports([part])
    assert one.note == "2 of 280 sequences"
    assert tables.remarks([one]) == [f"{CONFIG}: {lacks}."], "what the row's note says is not said again"
    pages = report_page.write(runs[0] / "page", read_reports(runs), {})
    assert f"one, two: {lacks}." in pages[0].read_text()


def test_the_json_says_whose_each_number_is(folder):
    told = tables.as_json(read_reports([folder()]))
    assert {row["whose"] for row in told["evaluations"]} == {"ours"}
    first = told["expected"][0]
    assert (first["whose"], first["scores"]["success_auc"], first["tolerance"]) == ("theirs", 0.691, 0.01)


TRACKED = {
    "process": "a-1",
    "host": "node7",
    "started": "2026-01-02T03:04:05+00:00",
    "commit": "c0ffee" * 6 + "c0ff-dirty",
    "versions": {"jax": "0.11.0"},
    "hardware": {"cpu": "A", "cores": 4, "jax_devices": ["H"] * 2},
    "command": "ostrack eval --batch 8",
    "finished_sequences": 5,
}


def test_the_machine_that_tracked_is_named(folder):
    """The processes that tracked are shown first, then the one that wrote the file."""
    idle, bare = TRACKED | {"host": "idle", "finished_sequences": 0}, {"process": "b-1", "finished_sequences": 1}
    wrote = {"hardware": {"cpu": "B"}, "commit": "deadbeef", "command": "ostrack eval --batch 1"}
    place = folder(processes=[TRACKED, idle, bare], tracker="net", **wrote)
    evaluations = read_reports([place])
    pages = report_page.write(place / "out", evaluations, {})
    cells = [
        *("net", "5", "2026-01-02T03:04:05", "node7", "A, 4 cores; 2 x H", "c0ffeec0ffee-dirty", "0.11.0"),
        TRACKED["command"],
    ]
    page, text = (path.read_text() for path in pages[:2])
    assert "".join(f"<td>{cell}</td>" for cell in cells) in page.replace(" class=number", "")
    assert f"| {' | '.join(cells)} |" in text
    assert "| net | 1 | - | - | - | - | - | - |" in text
    assert "idle" not in page
    for shown in (page, text):
        assert shown.index("the processes that made the results") < shown.index("node7")
        assert shown.index("node7") < shown.index("the process that wrote the report") < shown.index("deadbeef")
    (row,) = json.loads(pages[2].read_text())["evaluations"]
    assert (row["makers"][0]["hardware"], row["made_with"]["hardware.cpu"]) == ("A, 4 cores; 2 x H", "B")
