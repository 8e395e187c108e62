"""The examples run as they are, use every public name, and are pages of the documentation site."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ostrack_jax as ot

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WRITTEN = {
    "look_inside": ["attention.png", "elimination.png", "regions.png"],
    "track_video": ["tracked.mp4"],
    "train_own_data": ["results/never_moves/report.json", "results/trained/report.json", "run/config.json"],
}


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path):
    # For the cache of executables XLA compiles twice.
    quick = {"JAX_ENABLE_COMPILATION_CACHE": "0", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, path], cwd=tmp_path, env={**os.environ, **quick}, check=True)
    for name in WRITTEN[path.stem]:
        assert (tmp_path / "runs/examples" / path.stem / name).stat().st_size > 0


def test_they_use_every_public_name():
    trees = [ast.walk(ast.parse(path.read_text())) for path in EXAMPLES]
    attributes = [node for tree in trees for node in tree if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if ast.unparse(node.value) == "ot"}
    assert used - {"__file__"} == set(ot.__all__)


def test_the_site_shows_them():
    nav = (ROOT / "mkdocs.yml").read_text()
    for path in EXAMPLES:
        assert f"examples/{path.stem}.md" in nav
