"""The report of training runs: what is read of workdirs, curves that decode, a page that needs nothing else."""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest

from ostrack_jax.cli.main import main
from ostrack_jax.errors import UserError
from ostrack_jax.training import report
from ostrack_jax.training.report import common_axis, panels_of, read_runs
from ostrack_jax.visualization import plots
from tests.pages import Page, check_loads_nothing, decode

DRAWN = [panel for panel in report.PANELS if panel.title.split()[0] in ("Loss", "Learning", "Time")]  # of each scale


@pytest.fixture(scope="module", autouse=True)
def _small_plots():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "DPI", 40)
        yield


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A workdir with its report: made once, drawing takes seconds."""
    workdir = _maker(tmp_path_factory.mktemp("reported"))("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "PANELS", DRAWN)
        assert main(["report", "train", str(workdir)]) == 0
    return workdir


@pytest.fixture
def workdir(tmp_path):
    """``workdir(name)``: 40 steps of two epochs; anything else by keyword: ``seed``, ``batch``, ``points``."""

    return _maker(tmp_path)


def _maker(tmp_path):
    def make(name="run", seed=0, batch=8, points=40):
        folder = tmp_path / name
        (folder / "pictures").mkdir(parents=True)
        rng, events = np.random.default_rng(seed), [_about()]
        for step in range(1, points + 1):
            keys = ("loss", "giou", "l1", "focal", "iou", "grad_norm", "pairs_per_second", "wait", "lr", "lr_backbone")
            numbers = {key: float(rng.uniform(0.1, 0.9)) for key in (*keys, "keep_ratio", "mfu")}
            events.append({"kind": "train", "step": step, **numbers})
            if step % 20 == 0:
                losses = {key: float(rng.uniform(0.1, 0.9)) for key in ("loss", "giou", "l1", "focal", "iou")}
                events.append({"kind": "validation", "step": step, **losses})
        (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        train = {"batch": batch, "pairs_per_epoch": 20 * batch, "epochs": 2}
        settings = {"name": "<i>tiny</i>", "model": {"keep_ratio": [0.7, 0.7]}, "train": train}
        (folder / "config.json").write_text(json.dumps(settings))
        for epoch in (1, 2, 10):
            cv2.imwrite(str(folder / "pictures" / f"epoch_{epoch:04}.png"), np.full((6, 8, 3), epoch, np.uint8))
        return folder

    return make


def _about():
    versions = {"jax": "0.10.2", "python": "3.11.9"}
    return {"kind": "run", "step": 0, "command": "ostrack train <script>alert(1)</script>", "versions": versions}


@pytest.mark.slow
def test_one_run_to_png_and_html(reported):
    page_path, png_path = reported / "report" / "report.html", reported / "report" / "curves.png"
    image = cv2.imread(str(png_path))
    assert image.shape[1] == 600
    assert image.std() > 5
    text = page_path.read_text()
    page = Page(text)
    assert page.open == []
    shown = {image["alt"]: image["src"] for image in page.all("img")}
    assert list(shown) == [*(panel.title for panel in DRAWN), "after epoch 10", "after epoch 2"]
    light = [decode(shown[panel.title]) for panel in DRAWN]
    dark = [decode(source["srcset"]) for source in page.all("source")]
    assert {image.shape for image in (*light, *dark)} == {(125, 200, 3)}
    assert all(image.mean() > 200 for image in light)
    assert all(image.mean() < 60 for image in dark)
    np.testing.assert_array_equal(decode(shown["after epoch 10"]), np.full((6, 8, 3), 10))
    for expected in ("run", "40", "2 of 2", "0.10.2", "train.pairs_per_epoch", "160"):
        assert expected in page.texts


@pytest.mark.slow
def test_the_page_loads_and_runs_nothing(reported):
    check_loads_nothing((reported / "report" / "report.html").read_text())


@pytest.mark.slow
def test_several_runs_in_one_plot(workdir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "PANELS", [panel for panel in report.PANELS if panel.title == "Pairs a second"])
    workdirs = [workdir("first", 1), workdir("second", 2, batch=4)]
    output = tmp_path / "compared"
    assert main(["report", "train", *map(str, workdirs), "--output", str(output)]) == 0
    assert capsys.readouterr().out.split() == [str(output / "report.html"), str(output / "curves.png")]
    page = Page((tmp_path / "compared" / "report.html").read_text())
    colours = [tag["style"].split(":")[1] for tag in page.all("span")]
    assert colours == list(plots.COLOURS[:2])
    image = decode(next(image["src"] for image in page.all("img") if image["alt"] == "Pairs a second"))
    for colour in colours:
        blue_green_red = [int(colour[i : i + 2], 16) for i in (5, 3, 1)]
        assert (image == blue_green_red).all(-1).sum() > 5, "each run's line is there"
    assert "What differs:" in page.texts
    assert [tag["alt"] for tag in page.all("img")][-2:] == ["first, after epoch 10", "second, after epoch 10"]


def test_the_axis_is_what_the_runs_have_in_common(workdir):
    first, same, other, bare = (workdir(name) for name in ("first", "same", "other", "bare"))
    text = (other / "config.json").read_text()
    (other / "config.json").write_text(text.replace('"batch": 8', '"batch": 4').replace(": 160", ": 80"))
    (bare / "config.json").unlink()
    assert common_axis(read_runs([first, same])) == ("epoch", [20, 20])
    assert common_axis(read_runs([first, other])) == ("million pairs", [1e6 / 8, 1e6 / 4])
    assert common_axis(read_runs([first, bare])) == ("step", [1, 1])


def test_smoothing_keeps_a_level_and_removes_noise():
    noise = np.random.default_rng(0).normal(0, 1, 4000)
    np.testing.assert_allclose(plots.smoothed(np.full(400, 3.0)), 3.0)
    assert plots.smoothed(noise).std() < 0.15
    np.testing.assert_array_equal(plots.smoothed(noise[:30]), noise[:30])
    values = np.arange(400.0)
    assert plots.smoothed(values)[200] == 200


def test_a_curve_that_no_run_has_is_not_drawn(workdir):
    folder = workdir()
    log = folder / "log.jsonl"
    log.write_text(log.read_text().replace('"mfu"', '"other"'))
    titles = [panel.title for panel in panels_of(read_runs([folder]))]
    assert titles == [panel.title for panel in report.PANELS if "MFU" not in panel.title]


def test_what_a_person_can_get_wrong(workdir, tmp_path, capsys, monkeypatch):
    def said(*words):
        assert main(["report", "train", *map(str, words)]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    folder = workdir()
    assert "expected DIR" in said()
    assert "no directory" in said(tmp_path / "nowhere")
    assert "is a file: expected a directory" in said(folder, "--output", folder / "log.jsonl")
    many = [workdir(f"run{i}", points=1) for i in range(len(plots.COLOURS) + 1)]
    assert "9 runs in one plot: expected at most 8" in said(*many)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "pip install 'ostrack-jax[report]'" in said(folder)


def test_what_is_read_of_a_run(workdir):
    folder = workdir()
    (run,) = read_runs([folder])
    assert run.name == "run"
    assert run.curves["train/loss"].steps.tolist() == list(range(1, 41))
    assert run.curves["validation/iou"].steps.tolist() == [20, 40]
    assert run.settings["model.keep_ratio"] == "[0.7, 0.7]"
    assert run.number("train.batch") == 8
    assert run.number("name") is None
    assert run.starts[0]["versions.jax"] == "0.10.2"
    assert [name for name, _ in run.images] == ["epoch_0010", "epoch_0002"]
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    expected = [event["loss"] for event in logged if event["kind"] == "train"]
    np.testing.assert_array_equal(run.curves["train/loss"].values, expected)
    (folder / "config.json").unlink()
    assert read_runs([folder])[0].settings == {}


def test_only_finite_numbers_become_curves(workdir):
    folder = workdir(points=2)
    odd = ["NaN", "Infinity", "1e999", "true", '"text"', "null", "[1]", "1" * 400, "0.25"]
    lines = [f'{{"kind": "train", "step": {step}, "odd": {value}}}' for step, value in enumerate(odd, 1)]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    (run,) = read_runs([folder])
    assert run.curves["train/odd"].values.tolist() == [0.25]
    assert run.curves["train/odd"].steps.tolist() == [9]


def test_images_that_are_none_or_lie_elsewhere_are_left_out(workdir, tmp_path):
    folder = workdir()
    (folder / "pictures" / "epoch_0011.png").write_bytes(b"no image")
    (tmp_path / "secret.png").write_bytes((folder / "pictures" / "epoch_0010.png").read_bytes())
    (folder / "pictures" / "epoch_0013.png").symlink_to(tmp_path / "secret.png")
    (folder / "pictures" / "epoch_0014.png").mkdir()
    (run,) = read_runs([folder])
    assert [name for name, _ in run.images] == ["epoch_0010", "epoch_0002"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: folder.rename(folder.with_name("gone")), "no directory"),
        (lambda folder: (folder / "log.jsonl").unlink(), r"no log\.jsonl"),
        (lambda folder: (folder / "log.jsonl").write_text('{"kind": "run", "step": 0}\n'), "no numbers yet"),
        (lambda folder: (folder / "config.json").write_text("{"), "is not valid JSON"),
    ],
)
def test_what_cannot_be_shown_is_one_line(workdir, change, message):
    folder = workdir()
    change(folder)
    with pytest.raises(UserError, match=message):
        read_runs([folder])


def test_a_run_given_twice_is_refused(workdir):
    folder = workdir()
    with pytest.raises(UserError, match="twice"):
        read_runs([folder, folder / ".." / folder.name])
