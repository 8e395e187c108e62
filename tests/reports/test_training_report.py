"""The report of training runs: curves that decode, a page that is whole and needs nothing else."""

from __future__ import annotations

import base64
import html.parser
import sys

import cv2
import numpy as np
import pytest

from ostrack_jax.cli.main import main
from ostrack_jax.errors import UserError
from ostrack_jax.training.report_runs import read_runs
from ostrack_jax.visualization import curves


class Page(html.parser.HTMLParser):
    """All tags with their attributes, texts, and whether what was opened is closed."""

    EMPTY = ("meta", "img", "source")

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def _decode(url):
    kind, content = url.split(",", 1)
    assert kind == "data:image/png;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(content, validate=True), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_one_run_to_png_and_html(reported):
    page_path, png_path = reported / "report" / "report.html", reported / "report" / "curves.png"
    picture = cv2.imread(str(png_path))
    assert picture.shape[1] == 2400
    assert picture.std() > 5
    text = page_path.read_text()
    page = Page(text)
    assert page.open == []
    shown = {image["alt"]: image["src"] for image in page.all("img")}
    assert list(shown) == [*(panel.title for panel in curves.PANELS), "after epoch 10", "after epoch 2"]
    light = [_decode(shown[panel.title]) for panel in curves.PANELS]
    dark = [_decode(source["srcset"]) for source in page.all("source")]
    assert {picture.shape for picture in (*light, *dark)} == {(500, 800, 3)}
    assert all(picture.mean() > 200 for picture in light)
    assert all(picture.mean() < 60 for picture in dark)
    np.testing.assert_array_equal(_decode(shown["after epoch 10"]), np.full((6, 8, 3), 10))
    for expected in ("run", "40", "2 of 2", "0.10.2", "train.pairs_per_epoch", "160"):
        assert expected in page.texts


def test_the_page_loads_and_runs_nothing(reported):
    text = (reported / "report" / "report.html").read_text()
    page = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "a", "i"}
    addresses = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "srcset")]
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    (policy,) = [tag["content"] for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert any("<script>alert(1)</script>" in words for words in page.texts), "shown as text"


def test_several_runs_in_one_plot(workdir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(curves, "PANELS", [panel for panel in curves.PANELS if panel.title == "Pairs a second"])
    folders = [workdir("first", 1), workdir("second", 2, batch=4)]
    output = tmp_path / "compared"
    assert main(["report", "train", *map(str, folders), "--output", str(output)]) == 0
    assert capsys.readouterr().out.split() == [str(output / "report.html"), str(output / "curves.png")]
    page = Page((tmp_path / "compared" / "report.html").read_text())
    colours = [tag["style"].split(":")[1] for tag in page.all("span")]
    assert colours == list(curves.COLOURS[:2])
    picture = _decode(next(image["src"] for image in page.all("img") if image["alt"] == "Pairs a second"))
    for colour in colours:
        blue_green_red = [int(colour[i : i + 2], 16) for i in (5, 3, 1)]
        assert (picture == blue_green_red).all(-1).sum() > 20, "each run's line is there"
    assert "What differs:" in page.texts
    assert [tag["alt"] for tag in page.all("img")][-2:] == ["first, after epoch 10", "second, after epoch 10"]


def test_the_axis_is_what_the_runs_have_in_common(workdir):
    first, same, other, bare = (workdir(name) for name in ("first", "same", "other", "bare"))
    text = (other / "config.json").read_text()
    (other / "config.json").write_text(text.replace('"batch": 8', '"batch": 4').replace(": 160", ": 80"))
    (bare / "config.json").unlink()
    assert curves.horizontal(read_runs([first, same])) == ("epoch", [20, 20])
    assert curves.horizontal(read_runs([first, other])) == ("million pairs", [1e6 / 8, 1e6 / 4])
    assert curves.horizontal(read_runs([first, bare])) == ("step", [1, 1])


def test_smoothing_keeps_a_level_and_removes_noise():
    noise = np.random.default_rng(0).normal(0, 1, 4000)
    np.testing.assert_allclose(curves.smoothed(np.full(400, 3.0)), 3.0)
    assert curves.smoothed(noise).std() < 0.15
    np.testing.assert_array_equal(curves.smoothed(noise[:30]), noise[:30])
    values = np.arange(400.0)
    assert curves.smoothed(values)[200] == 200


def test_a_curve_that_no_run_has_is_not_drawn(workdir):
    folder = workdir()
    log = folder / "log.jsonl"
    log.write_text(log.read_text().replace('"mfu"', '"other"'))
    titles = [panel.title for panel in curves.panels_of(read_runs([folder]))]
    assert titles == [panel.title for panel in curves.PANELS if "MFU" not in panel.title]


def test_what_a_person_can_get_wrong(workdir, tmp_path, capsys, monkeypatch):
    def said(*words):
        assert main(["report", "train", *map(str, words)]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    folder = workdir()
    assert "expected DIR" in said()
    assert "no folder" in said(tmp_path / "nowhere")
    assert "is a file: expected a directory" in said(folder, "--output", folder / "log.jsonl")
    many = [workdir(f"run{i}", points=1) for i in range(len(curves.COLOURS) + 1)]
    assert "9 runs in one plot: expected at most 8" in said(*many)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "pip install 'ostrack-jax[report]'" in said(folder)
    with pytest.raises(UserError, match="matplotlib"):
        curves.all_png(read_runs([folder]))
