"""Executables are kept: in the user's cache folder, or where the environment says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
from ostrack_jax.models.devices import keep_compiled
keep_compiled()
import jax
assert jax.jit(lambda x: x * 2 + 1)(3) == 7
"""


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True], ids=["by default", "elsewhere"])
def test_what_is_compiled_lies_in_the_cache(tmp_path, given):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"OSTRACK_CACHE": str(tmp_path / "own"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    if given:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path / "given")
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True)
    own = [path for path in (tmp_path / "own").glob("compiled-*/*")]
    assert bool(own) != given
    assert (tmp_path / "given").exists() == given
