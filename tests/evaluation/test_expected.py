"""The figures that configs should reach: those of their docstrings, on benchmarks that exist."""

from __future__ import annotations

import ast
import re

import pytest

from ostrack_jax import config
from ostrack_jax.evaluation import expected
from ostrack_jax.evaluation.benchmarks import BENCHMARKS
from ostrack_jax.evaluation.metrics.scores import MEANING
from ostrack_jax.evaluation.report import Report

SAID = {
    "lasot": r"LaSOT AUC ([\d.]+)(?:, P_norm ([\d.]+), P ([\d.]+))?",
    "trackingnet": r"TrackingNet AUC ([\d.]+)(?:, P_norm ([\d.]+), P ([\d.]+))?",
    "lasot_ext": r"LaSOT_ext AUC ([\d.]+), P_norm ([\d.]+), P ([\d.]+)",
    "uav123": r"UAV123 AUC ([\d.]+)",
    "nfs30": r"NFS ([\d.]+)",
    "tnl2k": r"TNL2K ([\d.]+)",
    "itb": r"ITB mIoU ([\d.]+)",
    "got10k_test": r"GOT-10k test AO ([\d.]+), SR0.5 ([\d.]+), SR0.75 ([\d.]+)",
}


def docstring(name):
    return ast.get_docstring(ast.parse((config.directory() / f"{name}.py").read_text())) or ""


def test_they_are_those_of_the_docstrings():
    stated = {}
    for name in config.names():
        text = docstring(name)
        found = {place: re.search(pattern, text) for place, pattern in SAID.items()}
        scores = {place: [float(n) for n in match.groups() if n] for place, match in found.items() if match}
        if scores:
            stated[name] = scores
    kept = {e["config"]: e["scores"] for e in expected.figures() if e["by"] == "paper" and e["scores"]}
    assert stated == {name: {b: list(s.values()) for b, s in scores.items()} for name, scores in kept.items()}
    assert len(stated) == 6


# Of the paper's tables the row, where from its end our figures begin, the config and the benchmarks they are of.
THREE = ("lasot", "lasot_ext", "trackingnet")
TABLES = [
    ("OSTrack-256", -12, "256_mae_ce_32x4_ep300", THREE),  # Table 1
    ("OSTrack-256", -3, "256_mae_ce_32x4_got10k_ep100", ("got10k_test",)),
    ("OSTrack-384", -12, "384_mae_ce_32x4_ep300", THREE),
    ("OSTrack-384", -3, "384_mae_ce_32x4_got10k_ep100", ("got10k_test",)),
    ("NFS", -2, "256_mae_ce_32x4_ep300", ("nfs30",)),  # Table 2
    ("NFS", -1, "384_mae_ce_32x4_ep300", ("nfs30",)),
    ("UAV123", -2, "256_mae_ce_32x4_ep300", ("uav123",)),
    ("UAV123", -1, "384_mae_ce_32x4_ep300", ("uav123",)),
    ("TNL2K", -2, "256_mae_ce_32x4_ep300", ("tnl2k",)),
    ("TNL2K", -1, "384_mae_ce_32x4_ep300", ("tnl2k",)),
    ("MAE", -9, "256_mae_32x4_ep300", ("lasot", "trackingnet", "got10k_test")),  # Table 4
    ("Center Template Token", -9, "256_mae_ce_32x4_ep300", ("lasot", "trackingnet", "got10k_test")),  # Table A1
    ("mIoU", -2, "256_mae_ce_32x4_ep300", ("itb",)),  # Table A7
    ("mIoU", -1, "384_mae_ce_32x4_ep300", ("itb",)),
]


@pytest.mark.data
def test_they_are_those_of_the_papers_tables(shared_data):
    """Row by row; frames a second and the large network without elimination from Table 3."""
    path = shared_data.parent / "paper.md"
    if not path.is_file():
        pytest.skip(f"no text of the paper at {path}")
    text = path.read_text()
    rows = {cells[0]: cells[1:] for line in text.splitlines() if (cells := line.strip().split("\t"))}
    figures = {entry["config"].removeprefix("vitb_"): entry for entry in expected.figures()}
    for row, begin, name, benchmarks in TABLES:
        stated = [n for benchmark in benchmarks for n in figures[name]["scores"][benchmark].values()]
        cells = rows[row][len(rows[row]) + begin :][: len(stated)]
        assert stated == [float(re.sub("</?b>|\\*", "", cell)) for cell in cells], (row, name)
    small = [figures["256_mae_32x4_ep300"]["fps"], figures["256_mae_ce_32x4_ep300"]["fps"]]
    assert re.search(r"([\d.]+) ([\d.]+)\(\+13.2%\)", text).groups() == tuple(f"{fps:.1f}" for fps in small)
    table3 = [[float(n) for n in re.findall(r"(?<!\()(?<![-+.\d])\d+\.\d", cell)] for cell in rows["384x384"]]
    fps, _, lasot, trackingnet, _ = table3
    for i, name in enumerate(("384_mae_32x4_ep300", "384_mae_ce_32x4_ep300")):
        scores = figures[name]["scores"]
        assert [figures[name]["fps"], scores["lasot"]["success_auc"], scores["trackingnet"]["success_auc"]] == [
            *(fps[i], lasot[i], trackingnet[i])
        ]


def test_their_names_exist():
    for entry in expected.figures():
        assert entry["config"] in config.names()
        assert entry["tolerance"] > 0
        for benchmark, scores in entry["scores"].items():
            assert benchmark in BENCHMARKS
            assert set(scores) <= {*MEANING, "norm_precision"}
    (tiny,) = expected.of_benchmark("synthetic")
    assert tiny.name == "tiny"
    assert f"AO {tiny.scores['ao']:.3f}" in docstring("tiny")


@pytest.mark.parametrize(
    ("percent", "said"),
    [(69.0, "as expected (69.1 ± 1.0)"), (67.0, "2.1 below (69.1 ± 1.0)"), (71.0, "1.9 above (69.1 ± 1.0)")],
)
def test_a_score_beside_its_figure(percent, said):
    made = Report("lasot", "vitb_256_mae_ce_32x4_ep300", {"success_auc": percent / 100})
    assert expected.verdict(made) == f"AUC {said}"


def test_without_a_figure_nothing_is_said():
    scores = {"success_auc": 0.5}
    assert expected.verdict(Report("otb", "vitb_256_mae_ce_32x4_ep300", scores)) == ""
    assert expected.verdict(Report("lasot", "unheard", scores)) == ""
