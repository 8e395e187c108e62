"""Who made the results that a report shows: the processes that tracked, not the one that wrote the file."""

from __future__ import annotations

import json

import pytest

from ostrack_jax.evaluation import page as eval_page
from ostrack_jax.evaluation.evaluations import read_evaluations
from ostrack_jax.evaluation.makers import Maker, makers_of

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
WROTE = {"hardware": {"cpu": "B"}, "commit": "deadbeef", "command": "ostrack eval --batch 1"}


@pytest.fixture
def folder(tmp_path):
    idle = TRACKED | {"host": "idle", "finished_sequences": 0}
    told = {"benchmark": "otb", "tracker": "net", "scores": {}, "processes": [TRACKED, idle], **WROTE}
    (tmp_path / "report.json").write_text(json.dumps(told))
    return tmp_path


def test_the_machine_that_tracked_is_named(folder):
    evaluations = read_evaluations([folder])
    (maker,) = evaluations[0].makers
    assert (maker.host, maker.hardware, maker.sequences) == ("node7", "A, 4 cores; 2 x H", 5)
    eval_page.write(folder / "out", evaluations, {})
    cells = [
        "net",
        "5",
        "2026-01-02T03:04:05",
        "node7",
        "A, 4 cores; 2 x H",
        "c0ffeec0ffee-dirty",
        "0.11.0",
        TRACKED["command"],
    ]
    page, text = ((folder / "out" / name).read_text() for name in ("report.html", "report.md"))
    assert "".join(f"<td>{cell}</td>" for cell in cells) in page.replace(" class=number", "")
    assert f"| {' | '.join(cells)} |" in text
    assert "idle" not in page
    for told in (page, text):
        assert told.index("the processes that made the results") < told.index("node7")
        assert told.index("node7") < told.index("the process that wrote the report") < told.index("deadbeef")
    (row,) = json.loads((folder / "out/report.json").read_text())["evaluations"]
    assert (row["makers"][0]["hardware"], row["made_with"]["hardware.cpu"]) == ("A, 4 cores; 2 x H", "B")


@pytest.mark.parametrize("told", [None, "x", 3, [3, None, [], {}], [{"finished_sequences": "5"}], {"a": TRACKED}])
def test_what_is_no_record_is_passed_over(told):
    assert makers_of(told) == []


def test_of_a_hostile_record_only_short_texts_are_taken():
    odd = {"finished_sequences": 2.0, "host": "h" * 10_000, "hardware": {"cpu": 3, "jax_devices": [{}] * 10_000}}
    (maker,) = makers_of([odd | {"versions": [], "commit": ["x"], "command": None}])
    assert maker == Maker(2, "-", "h" * 400, "-; 64 x -", "-", "-", "-")
