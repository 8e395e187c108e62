"""`ostrack report eval` on a small benchmark: a complete page that needs nothing else, the same in other forms."""

from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from ostrack_jax.checkpoint.files import save_weights
from ostrack_jax.cli.main import main
from ostrack_jax.visualization import html, plots
from ostrack_jax.visualization.draw import TRUTH_COLOUR
from tests.pages import Page, check_loads_nothing, decode


def evaluate(folder, output, *tracker):
    words = ("eval", "--benchmark", "otb", "--data_dir", str(folder / "otb"), "--output", str(folder / output))
    assert main([*words, *tracker]) == 0
    path = folder / output / "report.json"
    told = json.loads(path.read_text())
    hard = {f"hard {i}": {"sequences": i, "success_auc": 0.2 * i} for i in range(1, 4)}
    path.write_text(json.dumps(told | {"attributes": hard, "command": "<script>alert(1)</script>"}))


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_config, random_weights):
    """An OTB folder of two sequences, weights, and results of a box that never moves."""
    folder = tmp_path_factory.mktemp("evaluated")
    rng = np.random.default_rng(0)
    for name, step in (("Slow", 0), ("Fast", 6)):
        (folder / "otb" / name / "img").mkdir(parents=True)
        for t in range(5):
            frame = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "otb" / name / "img" / f"{t + 1:04d}.png"), frame)
        boxes = "".join(f"{10 + step * t}\t20\t12\t16\n" for t in range(5))
        (folder / "otb" / name / "groundtruth_rect.txt").write_text(boxes)
    save_weights(folder / "weights", random_weights, small_config)
    evaluate(folder, "still", "--tracker", "still")
    return folder


@pytest.fixture(scope="module")
def reported(place, quickly_compiled):
    """The page of these and of a network that eliminates."""
    evaluate(place, "net", "--checkpoint", str(place / "weights"))
    folders = [str(place / "still"), str(place / "net")]
    more = ["--data_dir", str(place / "otb"), "--checkpoint", str(place / "weights"), "--show", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "DPI", 30)  # plots are drawn sooner
        assert main(["report", "eval", *folders, *more, "--output", str(place / "out")]) == 0
    return place / "out"


@pytest.fixture
def no_plots(monkeypatch):
    """Drawing takes most of the time, and the test is of texts."""
    monkeypatch.setattr(html.Page, "plot", lambda *_: None)


@pytest.mark.slow
def test_the_page_is_complete_and_loads_nothing(reported):
    text = (reported / "report.html").read_text()
    check_loads_nothing(text)
    for expected in ("measured here", "Every sequence, in numbers", "still: sequences"):
        assert expected in Page(text).texts


@pytest.mark.slow
def test_each_plot_is_there_for_light_and_dark(reported):
    page = Page((reported / "report.html").read_text())
    titles = [image["alt"] for image in page.all("img")]
    assert titles[:2] == ["Success", "Precision"]
    assert "AUC over frames a second" in titles
    assert "scores by attribute" in titles
    assert "scores of single sequences" in titles
    shown = [image for image in page.all("img") if "png" in image["src"][:20]]
    dark = [decode(source["srcset"]) for source in page.all("source")]
    assert len(shown) == len(dark) >= 7
    assert all(decode(image["src"]).mean() > 180 for image in shown)
    assert all(image.mean() < 70 for image in dark)


@pytest.mark.slow
def test_sequences_are_shown_with_their_boxes_and_stages(reported):
    strip = cv2.imread(str(reported / "otb_still_Slow_frames.png"))
    assert strip.shape[1] == 3 * 420
    blue = np.abs(strip[..., ::-1].astype(int) - TRUTH_COLOUR).max(-1) < 40
    assert blue.sum() > 500
    stages = [path.name for path in reported.glob("*_stages.png")]
    assert sorted(stages) == ["otb_tiny_Fast_stages.png", "otb_tiny_Slow_stages.png"]


@pytest.mark.slow
def test_markdown_and_json_hold_the_same(reported):
    text = (reported / "report.md").read_text()
    named = {line[line.index("](") + 2 : -1] for line in text.splitlines() if line.startswith("![")}
    assert named == {path.name for path in reported.glob("*.png")}
    told = json.loads((reported / "report.json").read_text())
    still = next(row for row in told["evaluations"] if row["name"] == "still")
    assert f"{100 * still['scores']['success_auc']:.1f}" in text
    assert len(still["curves"]["success"]) == 21
    assert "<script>" not in text


@pytest.mark.usefixtures("no_plots")
def test_without_data_there_are_no_images(place):
    assert main(["report", "eval", str(place / "still")]) == 0
    assert {path.name for path in (place / "still" / "report").glob("*_frames.png")} == set()
    assert (place / "still" / "report" / "report.html").is_file()


@pytest.mark.usefixtures("no_plots")
def test_three_sequences_are_each_drawn_once_without_intervals(place, tmp_path, capsys):
    for i in range(3):
        copy = shutil.copytree(place / "otb/Fast", tmp_path / "set" / f"s{i}")
        boxes = "".join(f"{10 + (3 + 2 * i) * t}\t20\t12\t16\n" for t in range(5))
        (copy / "groundtruth_rect.txt").write_text(boxes)
    data = ("--data_dir", str(tmp_path / "set"))
    for name in ("a", "b"):
        words = ("--tracker", "still", "--benchmark", "otb", "--output", str(tmp_path / name))
        assert main(["eval", *words, *data]) == 0
    assert main(["report", "eval", str(tmp_path / "a"), *data]) == 0
    text = (tmp_path / "a/report/report.md").read_text()
    assert re.findall(r"!\[(s\d)( \(\w+\))?: AUC", text) == [("s0", " (best)"), ("s1", ""), ("s2", " (worst)")]
    assert "### still: sequences" in text
    assert "% interval" not in text
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), *data, "--output", str(tmp_path / "ab")]) == 0
    assert "interval" not in capsys.readouterr().out
    assert main(["report", "eval", str(tmp_path / "ab")]) == 0
    assert "% interval" not in (tmp_path / "ab/report/report.md").read_text()


@pytest.mark.usefixtures("no_plots")
def test_a_comparison_is_reported_too(place, capsys):
    output = place / "compared"
    evaluate(place, "again", "--tracker", "still")
    folders = [str(place / "still"), f"net={place / 'again'}"]
    assert main(["compare", *folders, "--data_dir", str(place / "otb"), "--output", str(output)]) == 0
    assert main(["report", "eval", str(output), "--data_dir", str(place / "otb")]) == 0
    assert f"{output} compares results that lie elsewhere" in capsys.readouterr().out
    page = Page((output / "report" / "report.html").read_text())
    assert any(text.startswith("pairs") for text in page.texts)
    assert "net" in page.texts


@pytest.mark.slow
def test_any_name_can_be_drawn(tmp_path, monkeypatch):
    """Names of formulas to be typeset, of labels to be hidden, without end, with letters that no font has."""
    monkeypatch.setattr(plots, "DPI", 30)
    names = ["a$x_{$b", "_hidden", "n" * 300, "[/x]\x1b[31m\n\x00"]
    numbers = {"success_auc": 0.5}
    for i, name in enumerate(names):
        told = {"benchmark": "otb", "tracker": name, "scores": numbers, "curves": {"success": [0.5] * 21}}
        told |= {"sequences": dict.fromkeys(names, numbers), "speed": {"fps": 9.0 + i}, "failed": {name: name}}
        told["attributes"] = {f"{name} {k}": {**numbers, "sequences": k} for name in names for k in range(7)}
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "report.json").write_text(json.dumps(told))
    assert main(["report", "eval", *(str(tmp_path / str(i)) for i in range(len(names)))]) == 0
    assert (tmp_path / "0/report/otb_attributes.png").is_file()


@pytest.mark.parametrize(
    ("text", "shown"), [("_a", " _a"), ("a\x00\nb", "a  b"), ("abcdefgh", "abcd.."), ("abcdef", "abcdef"), ("", "")]
)
def test_words_of_a_plot(text, shown):
    assert plots.printable(text, 6) == shown


def test_what_a_person_can_get_wrong(place, capsys):
    def said(*words):
        assert main(["report", "eval", *map(str, words)]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    assert "no directory" in said(place / "nowhere")
    assert "is a file" in said(place / "still", "--output", place / "still" / "report.json")
    assert "goes with --data_dir" in said(place / "still", "--checkpoint", place / "weights")
    with_data = ("--data_dir", place / "otb")
    assert "no DIR holds results of these" in said(place / "still", *with_data, "--checkpoint", place / "weights")
