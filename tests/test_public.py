"""`import ostrack_jax as ot`: every public name, for people and for type checkers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ostrack_jax as ot

ROOT = Path(__file__).parents[1]


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
