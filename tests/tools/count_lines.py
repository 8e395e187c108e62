"""Count lines of code outside the tests, without blanks, comments and docstrings.

Example: python tests/tools/count_lines.py          (a row per package)
         python tests/tools/count_lines.py --files  (a row per file)
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("ostrack_jax", "convert", "configs", "benchmarks", "examples", "docs")
_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(text: str) -> int:
    """Count the lines of Python source that hold code."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                documented.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - documented)


def count(root: Path = ROOT) -> dict[str, int]:
    """Count the lines of each source file by its path relative to ``root``."""
    found = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    return {str(path.relative_to(root)): code_lines(path.read_text()) for path in sorted([*found, *root.glob("*.py")])}


def main(arguments: list[str]) -> None:
    """Print a table."""
    files = count()
    rows = Counter(files)
    if "--files" not in arguments:
        rows = Counter()
        for path, lines in files.items():
            parts = Path(path).parts
            inside = parts[0] == "ostrack_jax" and len(parts) > 2
            rows["/".join(parts[:2]) if inside else parts[0]] += lines
    for name, lines in sorted(rows.items()):
        print(f"{lines:7,}  {name}")
    print(f"{sum(files.values()):7,}  in {len(files)} files")


if __name__ == "__main__":
    main(sys.argv[1:])
