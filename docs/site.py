"""Pages of the documentation site that are made of the code: commands, packages, examples, CONTRIBUTING.md.

A hook of mkdocs; see ``hooks`` in mkdocs.yml.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("geometry", "data", "pipeline", "models", "checkpoint", "tracking", "training", "evaluation"),
    *("visualization", "profiling"),
)
SHARED = ("config", "errors", "io", "environment")
PUBLIC = """# Public names

`import ostrack_jax as ot` gives these; each loads what it needs when it is first used.

| name | what |
|---|---|
"""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    pages = {"cli.md": commands(), "api.md": public_names(), "contributing.md": contributing()}
    pages["api/shared.md"] = "# For all packages\n\n" + references(f"ostrack_jax.{name}" for name in SHARED)
    for package in PACKAGES:
        modules = sorted((ROOT / "ostrack_jax" / package).rglob("*.py"))
        names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules if path.stem[0] != "_")
        pages[f"api/{package}.md"] = f"# {package}\n\n" + references(names)
    pages |= {f"examples/{path.stem}.md": example(path) for path in (ROOT / "examples").glob("*.py")}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Name a file of the repository where a page links to one: the site does not hold it."""
    del page
    markdown = re.sub(r"\(\.\./examples/(\w+)\.py\)", r"(examples/\1.md)", markdown)
    return re.sub(r"\[([^\]]*)\]\(\.\./([^)]*)\)", r"\1 (`\2`)", markdown)


def contributing() -> str:
    """Return CONTRIBUTING.md with its links as they are from here."""
    return (ROOT / "CONTRIBUTING.md").read_text().replace("](docs/", "](")


def example(path: Path) -> str:
    """Return a script as a page: its docstring, then its cells, ``# %% [markdown]`` as text and ``# %%`` as code."""
    script = path.read_text()
    title, text = (ast.get_docstring(ast.parse(script)) or "").split("\n", 1)
    page = [f"# {title.removesuffix('.')}", text]
    for cell in script.split("\n# %%")[1:]:
        kind, body = cell.split("\n", 1)
        prose = "[markdown]" in kind
        page.append(re.sub(r"^# ?", "", body, flags=re.MULTILINE) if prose else f"```python\n{body.strip()}\n```")
    return "\n\n".join([*page, f"The script: `{path.relative_to(ROOT)}`."])


def references(names: Any) -> str:
    """Return a reference for mkdocstrings to each of the named modules or classes."""
    return "".join(f"::: {name}\n\n" for name in names)


def public_names() -> str:
    """Return the page of `ostrack_jax.__all__`."""
    import ostrack_jax

    rows = []
    for name in ostrack_jax.__all__:
        place = getattr(ostrack_jax, name)
        rows.append(f"| [`ot.{name}`][{place.__module__}.{place.__name__}] | {place.__doc__.splitlines()[0]} |\n")
    return PUBLIC + "".join(rows)


def commands() -> str:
    """Return the page of the commands, as ``--help`` prints them."""
    from ostrack_jax.cli import command, main

    out = ["# Commands\n", f"```text\n{printed()}\n```\n"]
    for name in main.COMMANDS:
        out.append(f"## ostrack {name}\n\n```text\n{printed(name)}\n```\n")
        for inner in getattr(command.load(main, name), "COMMANDS", ()):
            out.append(f"### ostrack {name} {inner}\n\n```text\n{printed(name, inner)}\n```\n")
    return "\n".join(out)


def printed(*words: str) -> str:
    """Return what a command prints when it is asked for help."""
    from ostrack_jax.cli.main import main

    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([*words, "--help"]) == 0
    return out.getvalue().strip()
