"""What README and docs show works: Python blocks run, command lines are understood by their commands' own flags."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags as absl_flags

from ostrack_jax.cli import command, main, paths
from ostrack_jax.tracking.tracker import Tracker
from tests.checkpoints import save_random_weights

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
# Python blocks that are not run here, by page: the reason.
ELSEWHERE = {
    "custom_benchmark.md": "tests/evaluation/test_custom_benchmark.py runs it",
    "scores.md": "tests/evaluation/test_raw_results.py runs it",
}
COMMAND = re.compile(r"^(?:\S*/)?(ostrack|python3? (?:train|eval)\.py)\s+(.*)")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def command_lines() -> list[Any]:
    """Those of the shell blocks, and of inline code, which may be incomplete."""
    found = []
    for page in PAGES:
        shell = "\n".join([*blocks(page, "bash"), *blocks(page, "sh"), *blocks(page, "")]).replace("\\\n", " ")
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        inline = [(line, False) for line in re.findall(r"`([^`\n]+)`", text)]
        for line, in_block in [*((line, True) for line in shell.splitlines()), *inline]:
            for part in re.split(r"&&|\|", line):
                match = COMMAND.match(part.strip())
                if match and match[2].strip():
                    words = shlex.split(match[2], comments=True)
                    complete = in_block and "..." not in words
                    found.append(pytest.param(match[1], words, complete, id=f"{page.name}: {part.strip()[:60]}"))
    return found


def module_of(program: str, words: list[str]) -> tuple[Any, list[str]]:
    """The command that a line calls, and its own words."""
    name = words.pop(0) if program == "ostrack" else program.split()[-1].removesuffix(".py")
    module = command.load(main, name)
    if hasattr(module, "COMMANDS"):
        module = command.load(module, words.pop(0))
    return module, words


@pytest.mark.parametrize(("program", "words", "complete"), command_lines())
def test_a_command_line_is_understood(program, words, complete, monkeypatch):
    monkeypatch.setattr(paths, "check", lambda flags, names, arguments: list(arguments))  # the files are examples
    module, words = module_of(program, list(words))
    flags = absl_flags.FlagValues()
    flags.set_gnu_getopt(True)
    module.define(flags)
    if not complete:
        names = re.findall(r"--(?:no)?(\w+)", " ".join(words))
        assert all(name in flags for name in names), names
        return
    command._parse(module, flags, words, program)
    if command._OVERRIDES in flags and flags.config is not None:
        command.read_config(flags)


class Examples(dict):
    """Frames and boxes under whatever name a page gives them."""

    def __missing__(self, name: str) -> Any:
        if "frame" in name:
            return np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
        if name.startswith("box"):
            return 312.0, 140.0, 48.0, 96.0
        raise KeyError(name)


@pytest.fixture
def every_checkpoint(tmp_path, monkeypatch):
    """Whatever checkpoint a page names, a very small one is meant."""
    save_random_weights(tmp_path)
    load = Tracker.from_checkpoint
    monkeypatch.setattr(Tracker, "from_checkpoint", lambda path="", **options: load(tmp_path, **options))


@pytest.mark.slow
@pytest.mark.usefixtures("every_checkpoint", "quickly_compiled")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python_blocks_run(page):
    if page.name in ELSEWHERE:
        pytest.skip(ELSEWHERE[page.name])
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), {}, Examples())


def test_what_runs_elsewhere_is_there():
    for name, reason in ELSEWHERE.items():
        assert blocks(ROOT / "docs" / name, "python")
        assert name in (ROOT / reason.split()[0]).read_text()
