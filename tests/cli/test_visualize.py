"""`ostrack visualize` as a user meets it: sheets of what the network saw, one line for each mistake."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from ostrack_jax.checkpoint.files import save_weights
from ostrack_jax.cli.main import main
from ostrack_jax.visualization import tiles

ACROSS, DOWN = tiles.TILE + tiles.GAP, tiles.CAPTION + tiles.TILE + tiles.GAP


@pytest.fixture(scope="module")
def weights(small_config, random_weights, quickly_compiled, tmp_path_factory):
    directory = tmp_path_factory.mktemp("eliminating")
    save_weights(directory, random_weights, small_config)
    return directory


@pytest.fixture
def visualize(weights, tmp_path, capsys):
    (tmp_path / "frames").mkdir()
    rng = np.random.default_rng(0)
    for t in range(4):
        cv2.imwrite(str(tmp_path / "frames" / f"{t}.png"), rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))

    def call(*words, sequence=tmp_path / "frames"):
        always = ["--checkpoint", str(weights), "--output", str(tmp_path / "out")]
        status = main(["visualize", str(sequence), *always, *words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def rows_and_columns(path):
    picture = cv2.imread(str(path))
    return (picture.shape[0] - tiles.GAP) / DOWN, (picture.shape[1] - tiles.GAP) / ACROSS


@pytest.mark.slow
def test_the_sheets_and_the_video(visualize, tmp_path):
    status, out, err = visualize("--box", "20,20,12,16", "--frames", "1,3", "--video")
    assert status == 0, err
    folder = tmp_path / "out"
    assert out.split()[-3:] == [str(folder / f"{name}.png") for name in ("elimination", "attention", "regions")]
    assert rows_and_columns(folder / "elimination.png") == (2, 3)
    assert rows_and_columns(folder / "attention.png") == (2, 3)
    assert rows_and_columns(folder / "regions.png") == (2, 3)
    with av.open(str(folder / "seen.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


@pytest.mark.slow
def test_a_sequence_of_a_benchmark_has_its_true_boxes(visualize, tmp_path):
    lines = "".join(f"{20 + t},20,12,16\n" for t in range(4))
    (tmp_path / "frames" / "groundtruth.txt").write_text(lines)
    place = ("--benchmark", "folder", "--data_dir", str(tmp_path))
    assert visualize(*place, "--frames", "2", sequence="frames")[0] == 0
    picture = cv2.imread(str(tmp_path / "out" / "regions.png"))[..., ::-1]
    assert (picture == (60, 170, 255)).all(-1).sum() > 100
    _, _, err = visualize(*place, sequence="frmes")
    assert "did you mean 'frames'" in err
    (tmp_path / "frames" / "groundtruth.txt").write_text("nan,nan,nan,nan\n" + lines[lines.index("\n") + 1 :])
    assert "frames: folder has no box for its first frame" in visualize(*place, sequence="frames")[2]


def test_mistakes_are_one_line(visualize):
    def said(*words):
        status, _, err = visualize(*words)
        assert status == 2
        assert err.startswith("ostrack visualize: error: ")
        assert err.count("\n") == 1
        return err

    assert "neither" in said()
    assert "both" in said("--box", "1,1,2,2", "--benchmark", "otb")
    assert "from 1 to 3" in said("--box", "20,20,12,16", "--frames", "0")
    assert "from 1 to 3" in said("--box", "20,20,12,16", "--frames", "two")
    assert "/dev/null" in said("--box", "20,20,12,16", "--output", "/dev/null/x")
    assert "a box in it" in said("--box", "200,20,12,16")
