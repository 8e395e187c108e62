"""What a machine can check of docs/map.md and docs/style.md: who imports whom, how long, documented where."""

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
ROOMS = (
    "geometry",
    "datasets",
    "pipeline",
    "models",
    "training",
    "tracking",
    "evaluation",
    "doctor",
    "reports",
    "cli",
    "convert",
)

# room -> the rooms it may import. LEAVES are for anyone; they import no room.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "config": set(),
    "limits": set(),
    "environment": set(),
    "drawing": set(),
    "places": set(),
    "tiles": set(),
    "weights": set(),
    "geometry": set(),
    "datasets": {"geometry"},
    "pipeline": {"geometry", "datasets"},
    "models": {"geometry"},
    "checkpoint": {"models"},
    "training": {"geometry", "datasets", "pipeline", "models", "checkpoint"},
    "tracking": {"geometry", "models", "checkpoint"},
    "evaluation": {"geometry", "datasets", "models", "tracking"},
    "doctor": {"datasets", "pipeline", "models"},
    "reports": {"training", "checkpoint", "tracking", "evaluation", "datasets"},  # of training the events of its log
    "cli": {
        *("geometry", "datasets", "pipeline", "models", "checkpoint", "training", "tracking", "evaluation", "doctor"),
        "reports",
    },
    "convert": {"models", "checkpoint", "cli"},  # of cli the command mechanism
    "external": {"datasets", "tracking", "cli"},  # scripts that other programs start; no room imports them
    "configs": set(),
    "__main__": {"cli"},
    "train.py": {"cli"},
    "eval.py": {"cli"},
    "benchmarks": {
        "geometry",
        "datasets",
        "pipeline",
        "models",
        "checkpoint",
        "training",
        "tracking",
        "evaluation",
        "cli",
    },
}
LEAVES = {"errors", "config", "limits", "environment", "drawing", "places", "tiles", "weights"}

# package -> the rooms that may import it; every other package is free
GUARDED: dict[str, set[str]] = {
    "torch": {"convert"},
    "torchvision": set(),
    "tensorflow": set(),
    "matplotlib": {"benchmarks", "reports"},
    "tensorflow_datasets": {"datasets"},
    "array_record": {"datasets"},
    "got10k": {"benchmarks"},
    "trax": {"external"},
    "vot": set(),  # GPL: run, never imported
    "jax": {"models", "checkpoint", "training", "tracking", "evaluation", "doctor", "cli", "convert", "benchmarks"},
    "flax": {"models", "checkpoint", "training", "tracking", "doctor", "convert", "benchmarks"},
    "optax": {"training", "benchmarks"},
    "orbax": {"checkpoint"},
    "grain": {"pipeline"},
}


def modules() -> list[Path]:
    """Every source file but the tests, relative to the checkout."""
    found = [
        path for folder in ("ostrack_jax", "convert", "configs", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    return sorted(path.relative_to(ROOT) for path in [*found, ROOT / "train.py", ROOT / "eval.py"])


def room(path: Path) -> str:
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
    here = room(path)
    assert here in ARROWS or path == Path("ostrack_jax/__init__.py"), f"{here} is no room of docs/map.md"
    allowed = ARROWS.get(here, set()) | LEAVES | {here, "__version__"}
    for name, line in imports(path):
        first, _, rest = name.partition(".")
        there = rest.split(".")[0] if first == "ostrack_jax" else first
        if first == "ostrack_jax" or there in ROOMS:
            assert there in allowed, f"{path}:{line}: {here} must not import {name}"
        elif first in GUARDED:
            assert here in GUARDED[first], f"{path}:{line}: {here} must not import {name}"


def test_the_command_mechanism_is_all_that_converters_take_from_cli():
    for path in MODULES:
        if room(path) == "convert":
            taken = {name for name, _ in imports(path) if name.startswith("ostrack_jax.cli")}
            assert all(name.startswith(("ostrack_jax.cli.command", "ostrack_jax.cli.paths")) for name in taken), path


def test_imports_of_ast_are_read_rightly(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "convert").mkdir()
    (tmp_path / "convert/a.py").write_text(
        "import os.path\nfrom . import b\nfrom .c import d\ndef f():\n    import torch\n"
    )
    found = {name for name, _ in imports(Path("convert/a.py"))}
    assert found == {"os.path", "convert.b", "convert.c.d", "torch"}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_are_documented_and_short(path):
    text = (ROOT / path).read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} does not open with a docstring"
    lines = len(text.splitlines())
    assert lines <= 350, f"{path} has {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= 60, f"{path}:{node.lineno}: {node.name} has {length} lines"


def test_the_scripts_at_the_top_are_one_call():
    for name in ("train.py", "eval.py"):
        assert len((ROOT / name).read_text().splitlines()) <= 25


def test_a_newcomer_reads_five_files():
    core = ("models/ostrack.py", "tracking/tracker.py", "training/step.py")
    files = ["README.md", "configs/vitb_256_mae_ce_32x4_ep300.py", *(f"ostrack_jax/{name}" for name in core)]
    assert sum(len((ROOT / name).read_text().splitlines()) for name in files) < 700


def test_every_module_has_its_row_in_the_map():
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/map.md").read_text(), re.MULTILINE)
    assert rows == sorted(rows), "the rows are sorted by path"
    assert len(rows) == len(set(rows)), "one row a file"
    wanted = {str(path) for path in MODULES if path.name != "__init__.py" and path.parts[0] != "configs"}
    assert not wanted - set(rows), f"no row in docs/map.md: {sorted(wanted - set(rows))}"
    gone = [row for row in rows if not any(ROOT.glob(row))]
    assert not gone, f"rows in docs/map.md of files that are gone: {gone}"


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


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


def names_of(*rooms: str) -> list[str]:
    return [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if path.parts[0] == "ostrack_jax" and room(path) in rooms
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


def test_the_rooms_of_the_loader_work_without_jax():
    """Loader processes start without it. (grain itself imports jax where it finds it, so it is hidden here.)"""
    import_all_without(["jax", "flax"], names_of("errors", "config", "geometry", "datasets", "pipeline"))


def test_no_room_needs_torch_tensorflow_or_matplotlib():
    import_all_without(["torch", "tensorflow", "matplotlib", "got10k"], names_of("checkpoint", *ROOMS))


def import_all_without(hidden: list[str], names: list[str]) -> None:
    run(f"""
import importlib, sys
for name in {hidden}:
    sys.modules[name] = None
for name in {names}:
    importlib.import_module(name)
""")


def test_no_room_but_training_even_loads_them():
    """(TensorBoard's writer, of training's logs, imports torch where it finds it.)"""
    names = names_of("checkpoint", *(set(ROOMS) - {"training", "cli"}))
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


def test_no_two_test_files_have_one_name():
    """They would be one module, and the second would not be collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
