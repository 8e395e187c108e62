"""A built wheel, installed away from the checkout: the command, the named configs and the converters are all in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ostrack_jax import __version__, config

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", folder, wheel], check=True)
    return folder


@pytest.fixture
def call(installed, tmp_path):
    """Run Python with the installed wheel first, in a folder that knows nothing of the checkout."""

    def call(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_the_wheel_takes_no_name_but_its_own(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"ostrack_jax", f"ostrack_jax-{__version__}.dist-info"}


def test_the_wheel_holds_every_file_of_the_package(wheel):
    files = set(zipfile.ZipFile(wheel).namelist())
    sources = [path.relative_to(ROOT) for room in ("configs", "convert") for path in (ROOT / room).glob("*.py")]
    wanted = {f"ostrack_jax/{path}" for path in sources}
    inside = [path for path in (ROOT / "ostrack_jax").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted |= {str(path.relative_to(ROOT)) for path in inside}
    assert wanted <= files
    assert not [name for name in files if "__pycache__" in name]


def test_the_installed_package_is_complete(call, installed):
    """The command, the named configs, the converters and the public names."""
    assert "usage: ostrack COMMAND" in call(str(installed / "bin" / "ostrack"), "--help")
    code = """
import ostrack_jax
from ostrack_jax import config
from ostrack_jax.convert import backbones, ostrack
print(config.directory())
print(*config.names())
print(ostrack_jax.load_config("tiny").name, ostrack_jax.__version__)
"""
    directory, names, public = call("-c", code).splitlines()
    assert directory == str(installed / "ostrack_jax" / "configs")
    assert names.split() == config.names()
    assert public == f"tiny {__version__}"
    for release in ("ostrack", "mae"):
        assert "Example" in call("-m", "ostrack_jax", "convert", release, "--help")
