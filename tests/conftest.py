"""Fixtures for every test; jaxtyping's annotations are checked at run time while the suite runs."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook

install_import_hook(["ostrack_jax", "convert"], "beartype.beartype").__enter__()

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden():
    """Load one of the reference files by name: `golden("preprocess")`."""
    return lambda name: np.load(GOLDEN / f"{name}.npz")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real frames: OSTRACK_TEST_DATA, else ../shared/data beside the checkout; skips when absent."""
    folder = Path(os.environ.get("OSTRACK_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real frames at {folder}")
    return folder
