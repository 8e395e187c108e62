"""docs/custom_benchmark.md is true: its code runs and its folder is read."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest

from ostrack_jax.evaluation import benchmarks
from tests import layouts

PAGE = (Path(__file__).parents[2] / "docs/custom_benchmark.md").read_text()
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Two sequences in the page's layout, one of a target that leaves; the other cannot be read."""
    for name, boxes in (("a", "1,2,11,10\n1,2,11,10\nnan,nan,nan,nan\n6,2,16,10\n"), ("b", "left,top\n")):
        layouts.make_images(tmp_path / "mine" / name / "frames", 4)
        (tmp_path / "mine" / name / "corners.csv").write_text(boxes)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_code_runs(mine, capsys):
    exec(compile(CODE, "custom_benchmark.md", "exec"), {"__name__": "page"})
    told = json.loads((mine / "results/mine/report.json").read_text())
    assert (told["benchmark"], told["tracker"]) == ("mine", "still")
    assert told["counts"] == {"done": 1, "skipped": 0, "failed": 1}
    assert told["scores"]["ao"] == pytest.approx((1 + 1 / 3) / 2)  # of the frames with a target after the first
    assert "'ao': 0.66" in capsys.readouterr().out
    assert len((mine / "results/mine/a.txt").read_text().splitlines()) == 4


def test_it_takes_the_lines_that_it_says():
    lines = [line for line in CODE.splitlines() if line.strip() and not re.match(r"(from|import) ", line)]
    assert len(lines) <= 12


def test_the_rules_of_a_benchmark_do_not_bring_its_number_of_sequences():
    assert benchmarks.find("lasot").sequences == 280
    assert dataclasses.replace(benchmarks.find("lasot"), name="mine").sequences is None


def test_the_pages_folder_is_read(tmp_path):
    layouts.make_images(tmp_path / "mine/street", 2)
    (tmp_path / "mine/street/groundtruth.txt").write_text(layouts.BOX * 2)
    with av.open(str(tmp_path / "mine/park.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height = 32, 24
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8))):
            container.mux(packet)
        container.mux(stream.encode(None))
    (tmp_path / "mine/park.txt").write_text(layouts.BOX)
    sequences = benchmarks.find("folder").open(tmp_path / "mine")
    assert {sequence.name: len(sequence) for sequence in sequences} == {"street": 2, "park": 1}
    assert all((sequence.boxes_xywh[0] == [1, 2, 10, 8]).all() for sequence in sequences)
