"""Training on your own data by flags alone, as docs/training.md shows it."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ostrack_jax import config as configs
from ostrack_jax.checkpoint.files import load_config
from ostrack_jax.checkpoint.steps import STEPS, TrainCheckpoints
from ostrack_jax.cli.main import main
from ostrack_jax.training.checks import check_settings
from ostrack_jax.training.logging import read_events
from tests.training.small import OVERRIDES

pytestmark = pytest.mark.usefixtures("quickly_compiled")

FRAMES = 24
FLAGS = [f"--config.{one}" for one in OVERRIDES]  # smaller and shorter than the recipe's; what the other tests compile


def frames(seed: int) -> tuple[list[np.ndarray], str]:
    """A square that moves over noise, and its box in each frame, a line each."""
    noise = np.random.default_rng(seed).integers(60, 120, (64, 80, 3), np.uint8)
    images = []
    for i in range(FRAMES):
        images.append(noise.copy())
        images[-1][10 + i : 26 + i, 5 + i : 21 + i] = 40, 60, 200
    return images, "".join(f"{5 + i},{10 + i},16,16\n" for i in range(FRAMES))


def directory(root: Path, seed: int = 0) -> Path:
    """Two sequences: one of images, one a video with its boxes next to it."""
    images, boxes = frames(seed)
    (root / "walk").mkdir(parents=True)
    for i, image in enumerate(images):
        cv2.imwrite(str(root / f"walk/{i + 1}.jpg"), image)
    (root / "walk/groundtruth.txt").write_text(boxes)
    images, boxes = frames(seed + 1)
    with av.open(str(root / "ride.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=80, height=64, pix_fmt="yuv420p")
        stream.time_base = Fraction(1, 25)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode())
    (root / "ride.txt").write_text(boxes)
    return root


def recipe() -> list[str]:
    """The words of the command on the page."""
    page = (Path(__file__).parents[2] / "docs/training.md").read_text()
    block = re.search(r"## On your own data\n.*?```bash\n(.*?)```", page, re.DOTALL)
    assert block is not None
    return block[1].replace("\\\n", " ").split()


@pytest.mark.slow
def test_the_recipe_of_the_page_is_a_config():
    words = recipe()
    assert words[:4] == ["ostrack", "train", "--config", "vitb_256_mae_ce_32x4_got10k_ep100"]
    config = configs.load(words[3], [word.removeprefix("--config.") for word in words if word.startswith("--config.")])
    assert list(check_settings(config)) == []


@pytest.mark.slow
def test_the_recipe_of_the_page_trains(tmp_path, capfd):
    """On the tiny config, whose sets it leaves out in place of the published ones."""
    sets = " ".join(word for word in recipe() if word.startswith("--config.data.")).replace("got10k", "synthetic")
    for name, seed in (("mine_val", 5), ("mine", 0)):
        sets = sets.replace(f"/data/{name}", str(directory(tmp_path / name, seed)))
    assert main(["train", "--config", "tiny", "--workdir", str(tmp_path / "run"), *sets.split(), *FLAGS]) == 0
    assert "mine 2 of 2 sequences" in capfd.readouterr().out
    config = load_config(tmp_path / "run")
    used = {name: data.reader for name, data in config.data.items() if data.weight}
    assert used == {"mine": "folder", "mine_val": "folder"}
    train = list(read_events(tmp_path / "run", "train"))
    assert [event["step"] for event in train] == [1, 2, 3, 4]
    assert all(np.isfinite(event["loss"]) for event in train)
    assert len(list(read_events(tmp_path / "run", "validation"))) == 2
    assert TrainCheckpoints(tmp_path / "run" / STEPS).steps() == [2, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ("5,10,16,16\n", f"has {FRAMES}, 1 of them (a box for the first frame alone is enough to track, not to train)"),
        ("5,10,16,16\n" * 3 + "nan,nan,nan,nan\n" * (FRAMES - 3), f"has {FRAMES}, 3 of them"),
    ],
)
def test_boxes_that_no_pair_can_be_made_of(tmp_path, capfd, boxes, words):
    mine = directory(tmp_path / "mine")
    for path in (mine / "walk/groundtruth.txt", mine / "ride.txt"):
        path.write_text(boxes)
    sets = ["--config.data.synthetic.weight=0", "--config.data.mine.reader=folder", f"--config.data.mine.dir={mine}"]
    assert main(["train", "--config", "tiny", "--workdir", str(tmp_path / "run"), *sets, *FLAGS]) == 2
    told = capfd.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("ostrack train: error: ")
    assert words in told
    assert "config.pairs.min_frames, min_visible" in told
