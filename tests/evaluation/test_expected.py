"""The figures that configs should reach: those of their docstrings, on benchmarks that exist."""

from __future__ import annotations

import ast
import re

import pytest

from ostrack_jax import config
from ostrack_jax.evaluation import expected
from ostrack_jax.evaluation.metrics import MEANING
from ostrack_jax.evaluation.protocols import PROTOCOLS

SAID = {
    "lasot": r"LaSOT AUC ([\d.]+)(?:, P_norm ([\d.]+), P ([\d.]+))?",
    "trackingnet": r"TrackingNet AUC ([\d.]+), P_norm ([\d.]+), P ([\d.]+)",
    "lasot_ext": r"LaSOT_ext AUC ([\d.]+)",
    "uav123": r"UAV123 AUC ([\d.]+)",
    "nfs30": r"NFS ([\d.]+)",
    "tnl2k": r"TNL2K ([\d.]+)",
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
    kept = {entry.config: entry for entry in expected.figures() if entry.by == expected.PAPER and entry.scores}
    assert stated == {name: {b: list(s.values()) for b, s in entry.scores.items()} for name, entry in kept.items()}
    assert len(stated) == 5


def test_their_names_exist():
    for entry in expected.figures():
        assert entry.config in config.names()
        assert entry.tolerance > 0
        for benchmark, scores in entry.scores.items():
            assert benchmark in PROTOCOLS
            assert set(scores) <= {*MEANING, "norm_precision"}
    (tiny,) = (entry for entry in expected.figures() if entry.config == "tiny")
    assert f"AO {tiny.scores['synthetic']['ao'] / 100:.3f}" in docstring("tiny")


@pytest.mark.parametrize(
    ("percent", "said"),
    [(69.0, "as expected (69.1 ± 1.0)"), (67.0, "2.1 below (69.1 ± 1.0)"), (71.0, "1.9 above (69.1 ± 1.0)")],
)
def test_a_score_beside_its_figure(percent, said):
    assert expected.verdict("vitb_256_mae_ce_32x4_ep300", "lasot", "success_auc", percent) == said


def test_without_a_figure_nothing_is_said():
    assert expected.verdict("vitb_256_mae_ce_32x4_ep300", "otb", "success_auc", 50.0) == ""
    assert expected.verdict("unheard", "lasot", "success_auc", 50.0) == ""
    assert [entry.config for entry in expected.of_benchmark("synthetic")] == ["tiny"]
