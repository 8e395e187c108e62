"""One table on the terminal, as HTML and as Markdown."""

from __future__ import annotations

import io
import re

from rich.console import Console

from ostrack_jax.visualization.table import Table, flatten

TABLE = Table(
    "a [b]",
    ["name", "score", "why"],
    [["<x>", "1.0", "[red]"], ["all|", "-", "l" * 61]],
    ["n*te"],
    ["#123456", "total"],
)


def test_on_a_terminal_markup_is_text_and_numbers_stand_right():
    out = io.StringIO()
    TABLE.print(Console(file=out, width=50))
    text = out.getvalue()
    assert "a [b]" in text
    assert "[red]" in text
    assert "n*te" in text
    assert re.search(r"all\| +- +lll", text)


def test_names_are_folded_before_numbers_are():
    out = io.StringIO()
    Table("", ["name", "score"], [["n" * 50, "12345.67"]]).print(Console(file=out, width=30))
    assert "12345.67" in out.getvalue()
    assert out.getvalue().count("n") > 50, "the whole name is there, in lines"


def test_as_html_text_is_escaped():
    text = TABLE.html()
    assert '<td><span class="chip" style="background:#123456"></span>&lt;x&gt;</td>' in text
    assert "<td class=number>1.0</td>" in text
    assert f"<td class=long>{'l' * 61}</td>" in text
    assert '<tr class="total">' in text
    assert '<p class="quiet">n*te</p>' in text


def test_as_markdown_text_is_escaped():
    head, _, first, last, *_ = TABLE.markdown()
    assert head == "| name | score | why |"
    assert first == r"| \<x\> | 1.0 | \[red\] |"
    assert last.startswith(r"| all\| | - |")


def test_nested_values_are_rows():
    assert list(flatten({"a": {"b": [1], "c": None}, "d": "x"})) == [("a.b", "[1]"), ("a.c", "null"), ("d", "x")]
