"""`import ostrack_jax as ot`: every public name, and the example that uses all (CI's pyright checks its types)."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

import ostrack_jax as ot
from tests.checkpoints import save_random_weights

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/python_api.py"


def test_every_public_name_is_there():
    for name in ot.__all__:
        assert getattr(ot, name).__doc__, name
        assert name in dir(ot)
    with pytest.raises(AttributeError, match="module 'ostrack_jax' has no attribute 'Trcker'"):
        getattr(ot, "Trcker")  # noqa: B009 - as a user's typing error


def test_type_checkers_see_the_names_that_are_loaded():
    """What is imported for type checkers, what is loaded, and what is listed are the same."""
    tree = ast.parse((ROOT / "ostrack_jax/__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == ot.__all__
    assert {name: f"{getattr(ot, name).__module__}.{getattr(ot, name).__name__}" for name in ot.__all__} == seen
    assert (ROOT / "ostrack_jax/py.typed").is_file()


def test_the_example_uses_every_public_name():
    tree = ast.parse(EXAMPLE.read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ot"}
    assert used == set(ot.__all__)


@pytest.mark.slow
@pytest.mark.usefixtures("quickly_compiled")
def test_the_example_runs(tmp_path, capsys, monkeypatch):
    """But for its training: `ostrack demo --train` is tested."""

    def train(config, workdir):
        assert config.train.pairs_per_epoch == 8
        save_random_weights(workdir, config.model)
        return {}

    monkeypatch.setattr(ot, "train", train)
    spec = importlib.util.spec_from_file_location("python_api", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main(tmp_path, ["train.pairs_per_epoch=8", "model.width=16", "model.depth=1", "model.head_channels=8"])
    out = capsys.readouterr().out
    assert "small: 2" in out
    assert "success_auc" in out
    assert (tmp_path / "results/report.json").is_file()
