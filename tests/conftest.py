"""Fixtures for every test; jaxtyping's annotations are checked at run time while the suite runs."""

# ruff: noqa: E402 - the import hook must come before what it checks

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What one test has compiled, another with the same computation need not compile again.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="ostrack-tests-"))
os.environ.setdefault("OSTRACK_CACHE", tempfile.mkdtemp(prefix="ostrack-indexes-"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

from jaxtyping import install_import_hook

install_import_hook(["ostrack_jax", "convert"], "beartype.beartype").__enter__()

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("tests", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("tests")

GOLDEN = Path(__file__).parent / "golden"
# Files that take longest begin first, so that several processes end together (with --no-loadscope-reorder).
LONGEST = (
    "training/test_release",
    "training/test_processes",
    "training/test_kill",
    "training/",
    "models/",
    "tracking/",
)


def pytest_collection_modifyitems(items):
    """Order the files by `LONGEST`."""

    def place(item) -> int:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((i for i, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))

    items.sort(key=place)


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


@pytest.fixture(scope="session")
def standin():
    """Config and weights of the model the reference files were made with: ``standin(256)``, ``standin(384)``."""
    from convert.ostrack import from_release
    from ostrack_jax import config as configs
    from tests import standin as recipe

    @functools.cache
    def make(size: int):
        config = configs.load(f"vitb_{size}_mae_ce_32x4_ep300")
        return config, from_release(recipe.weights(recipe.shapes(size, size // 2)), config)

    return make


@pytest.fixture(scope="session")
def small_config():
    """A config that compiles in seconds: two blocks of width 48, crops of 32 and 64 pixels, one elimination."""
    from ostrack_jax import config as configs

    overrides = "width=48 depth=2 heads=2 patch=8 head_channels=16 template_size=32 search_size=64 drop_path=0.0"
    always = ["train.keep_from_epoch=0", "train.keep_until_epoch=0"]
    config = [f"model.{pair}" for pair in overrides.split()]
    return configs.load(
        "tiny", [*config, "model.eliminate_at=(0,)", "model.keep_ratio=(0.7,)", "train.workers=0", *always]
    )


@pytest.fixture(scope="session")
def small_weights(small_config):
    """Fresh weights for `small_config`."""
    from ostrack_jax.models.weights import initial_weights

    with _quickly_compiled():
        return initial_weights(small_config.model, 0)


@pytest.fixture(scope="session")
def random_weights(small_config):
    """Weights for `small_config` drawn at random, all positive: nothing is compiled for them."""
    from ostrack_jax.models.weights import weight_shapes

    draw = np.random.default_rng(0)
    shapes = weight_shapes(small_config.model)
    return {name: np.abs(draw.normal(0, 0.1, shape)).astype(np.float32) for name, shape in shapes.items()}


@contextlib.contextmanager
def quick_compilation():
    """XLA spends less on machine code, here and in processes started here: the same computation, ready sooner.

    For tests of small networks in which compiling is all the work. What is checked against the release's numbers, or
    in float32 over many steps on other devices, is compiled as for a user: otherwise it rounds more coarsely, and once
    another candidate is eliminated the losses part.
    """
    with _quickly_compiled():
        yield


@contextlib.contextmanager
def _quickly_compiled():
    import jax

    name = "jax_disable_most_optimizations"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name.upper(), "1")
        before = jax.config.read(name)
        jax.config.update(name, True)
        yield
        jax.config.update(name, before)


@pytest.fixture(scope="module")
def quickly_compiled():
    """`quick_compilation` for all tests of a module."""
    with quick_compilation():
        yield
