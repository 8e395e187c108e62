"""What a machine can check of docs/architecture.md: who imports whom, and what is imported when."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# package -> the packages it may import. LEAVES are for all; they import no package.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "io": set(),
    "config": set(),
    "environment": set(),
    "weights": set(),
    "geometry": set(),
    "visualization": set(),
    "data": {"geometry"},
    "pipeline": {"geometry", "data"},
    "models": {"geometry"},
    "checkpoint": {"models"},
    "tracking": {"geometry", "models", "checkpoint"},
    "training": {"geometry", "data", "pipeline", "models", "checkpoint", "profiling", "visualization"},
    "evaluation": {"geometry", "data", "models", "tracking", "visualization"},
    "profiling": {"data", "models", "tracking", "visualization"},
    "doctor": {"data", "pipeline", "models", "profiling", "visualization"},
    "integrations": {"data", "models", "tracking"},
    "convert": {"models", "checkpoint"},
    "cli": {
        *("geometry", "data", "pipeline", "models", "checkpoint", "training", "tracking", "evaluation"),
        *("doctor", "profiling", "integrations", "visualization"),
    },
    "configs": set(),
    "__main__": {"cli"},
    "train.py": {"cli"},
    "eval.py": {"cli"},
    "benchmarks": {
        *("geometry", "data", "pipeline", "models", "checkpoint", "training", "tracking", "evaluation"),
        *("profiling", "visualization", "cli"),
    },
}
# Modules that do not follow them yet.
PENDING: set[str] = set()
LEAVES = {"errors", "io", "config", "environment", "weights"}
PACKAGES = tuple(
    name
    for name in ARROWS
    if name not in {*LEAVES, "configs", "__main__", "train.py", "eval.py", "benchmarks", "checkpoint"}
)

# module -> the packages that may import it; every other one is free
GUARDED: dict[str, set[str]] = {
    "torch": {"convert"},
    "torchvision": set(),
    "tensorflow": set(),
    "matplotlib": {"benchmarks", "visualization"},
    "tensorflow_datasets": {"data"},
    "array_record": {"data"},
    "got10k": {"benchmarks"},
    "trax": {"integrations"},
    "vot": set(),  # GPL: run, never imported
    "jax": {
        *("models", "checkpoint", "training", "tracking", "evaluation", "profiling", "doctor", "cli", "convert"),
        "benchmarks",
    },
    "flax": {"models", "checkpoint", "training", "tracking", "profiling", "doctor", "convert", "benchmarks"},
    "optax": {"training", "benchmarks"},
    "orbax": {"checkpoint"},
}


def modules() -> list[Path]:
    """Every source file but the tests, relative to the checkout."""
    found = [
        path for folder in ("ostrack_jax", "convert", "configs", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    return sorted(path.relative_to(ROOT) for path in [*found, ROOT / "train.py", ROOT / "eval.py"])


def package_of(path: Path) -> str:
    """`ostrack_jax/models/vit.py` -> models, `ostrack_jax/config.py` -> config, `configs/tiny.py` -> configs."""
    return path.with_suffix("").parts[1] if path.parts[0] == "ostrack_jax" else path.parts[0]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """The full names of all that a file imports (inside functions too), with their lines."""
    package = path.parent.parts
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{name}.{alias.name}", node.lineno


MODULES = modules()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_follow_the_arrows(path):
    if str(path) in PENDING:
        pytest.xfail("to be mended")
    here = package_of(path)
    assert here in ARROWS or here == "__init__", f"{here} is not in ARROWS"
    public = {"checkpoint", *PACKAGES}  # what `ostrack_jax/__init__.py` imports when a public name is used
    allowed = ARROWS.get(here, public) | LEAVES | {here, "__version__"}
    for name, line in imports(path):
        first, _, rest = name.partition(".")
        there = rest.split(".")[0] if first == "ostrack_jax" else first
        if first == "ostrack_jax" or there in PACKAGES:
            assert there in allowed, f"{path}:{line}: {here} must not import {name}"
        elif first in GUARDED:
            assert here in GUARDED[first], f"{path}:{line}: {here} must not import {name}"


def test_imports_of_ast_are_read_rightly(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "convert").mkdir()
    (tmp_path / "convert/a.py").write_text(
        "import os.path\nfrom . import b\nfrom .c import d\ndef f():\n    import torch\n"
    )
    found = {name for name, _ in imports(Path("convert/a.py"))}
    assert found == {"os.path", "convert.b", "convert.c.d", "torch"}


def test_modules_are_documented():
    for path in MODULES:
        assert ast.get_docstring(ast.parse((ROOT / path).read_text())), f"{path} does not open with a docstring"


def test_the_scripts_at_the_top_are_one_call():
    for name in ("train.py", "eval.py"):
        assert len((ROOT / name).read_text().splitlines()) <= 25


def test_a_newcomer_reads_five_files():
    core = ("models/ostrack.py", "tracking/tracker.py", "training/step.py")
    files = ["README.md", "configs/vitb_256_mae_ce_32x4_ep300.py", *(f"ostrack_jax/{name}" for name in core)]
    assert sum(len((ROOT / name).read_text().splitlines()) for name in files) < 700


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.mark.slow
def test_dependencies_are_declared_and_used():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {normal(re.split(r"[^\w.-]", line)[0]) for line in project["dependencies"]}
    extras = {"torch", "matplotlib", "wandb", "trax"}
    providers = importlib.metadata.packages_distributions()
    used: set[str] = set()
    for path in MODULES:
        if path.parts[0] in ("ostrack_jax", "convert", "configs"):
            tops = {name.split(".")[0] for name, _ in imports(path)} - set(sys.stdlib_module_names)
            for top in tops - {"ostrack_jax", "convert", "configs", *extras}:
                names = {normal(name) for name in providers.get(top, [top])} & declared
                assert names, f"{path} imports {top}, which pyproject.toml does not declare"
                used |= names
    assert declared == used, f"declared, but imported nowhere: {sorted(declared - used)}"


def names_of(*packages: str) -> list[str]:
    return [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if path.parts[0] == "ostrack_jax" and package_of(path) in packages and path.name != "vot_tracker.py"
    ]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_is_quick_and_light():
    code = """
import sys, time
start = time.perf_counter()
import ostrack_jax
print(time.perf_counter() - start, *({"jax", "flax", "torch", "tensorflow", "matplotlib", "cv2"} & set(sys.modules)))
"""
    seconds, *heavy = run(code).split()
    assert not heavy
    assert float(seconds) < 1


@pytest.mark.slow
def test_importing_the_tracker_loads_next_to_nothing():
    code = """
import sys
from ostrack_jax.tracking.tracker import Tracker
print(*({"flax", "orbax", "grain", "tensorflow_datasets", "matplotlib"} & set(sys.modules)))
"""
    assert run(code).split() == []


def test_the_packages_of_the_loader_work_without_jax():
    """Loader processes start without it."""
    import_all_without(["jax", "flax"], names_of("errors", "io", "config", "geometry", "data", "pipeline"))


@pytest.mark.slow
def test_no_package_needs_torch_tensorflow_or_matplotlib():
    import_all_without(["torch", "tensorflow", "matplotlib", "got10k"], names_of("checkpoint", *PACKAGES))


def import_all_without(hidden: list[str], names: list[str]) -> None:
    run(f"""
import importlib, sys
for name in {hidden}:
    sys.modules[name] = None
for name in {names}:
    importlib.import_module(name)
""")


@pytest.mark.slow
def test_no_package_but_training_even_loads_them():
    """(TensorBoard's writer, of training's logs, imports torch where it finds it.)"""
    names = names_of("checkpoint", *(set(PACKAGES) - {"training", "cli"}))
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module(name)
print(*({{"torch", "tensorflow", "matplotlib", "got10k"}} & set(sys.modules)))
"""
    assert run(code).split() == []


def test_the_help_of_the_command_loads_next_to_nothing():
    code = """
import sys
from ostrack_jax.cli.main import main
assert main(["--help"]) == 0
print("LOADED", *({"jax", "numpy", "cv2", "ml_collections"} & set(sys.modules)))
"""
    assert run(code).splitlines()[-1].strip() == "LOADED"
