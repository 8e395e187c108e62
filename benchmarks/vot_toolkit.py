"""A run of the VOT toolkit from end to end: synthetic sequences in its layout, evaluation, analysis, HTML report.

The toolkit is a program of its own, started through the Python it is installed in; nothing of it is imported. The
sequences' regions are in turn rectangles, polygons and masks; the experiments are those of the challenges: multi-start
(2020 to 2022, also in real time), supervised with restarts (to 2019), and one pass. Nothing is downloaded.

Example:
  python benchmarks/vot_toolkit.py --toolkit toolkit/bin/python --checkpoint runs/tiny/best --workspace vot
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from timing import show, start

from ostrack_jax.cli import trackers
from ostrack_jax.cli.main import main as ostrack
from ostrack_jax.cli.paths import define_path
from ostrack_jax.config import DataConfig
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.profiling.latency import write_jpegs

FORMS = ("rectangle", "polygon", "mask")


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    text = "the Python in whose environment vot-toolkit is installed"
    define_path("toolkit", sys.executable, text, flags)
    text = "a new directory for sequences, results and analysis"
    define_path("workspace", None, text, flags, writes="directory", required=True)
    absl_flags.DEFINE_integer("sequences", 6, "how many", flag_values=flags, lower_bound=1)
    absl_flags.DEFINE_integer("frames", 36, "of each; from 40 on targets may leave", flag_values=flags, lower_bound=12)
    absl_flags.DEFINE_string("name", "ostrack", "the tracker's name for the toolkit", flag_values=flags)
    trackers.define(flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Make the workspace, let the toolkit evaluate and analyse, print its figures."""
    workspace = flags.workspace
    if workspace.exists():
        raise UserError(f"--workspace {workspace} is there already: give a new one")
    make_workspace(workspace, flags.sequences, flags.frames)
    status = ostrack(["vot", str(workspace), "--name", flags.name, *trackers.words(flags)])
    if status:
        return status
    for words in (("evaluate", flags.name), ("analysis", "--name", "run", flags.name), ("report", "--name", "run")):
        toolkit(flags.toolkit, workspace, *words)
    analysis = json.loads((workspace / "analysis/run.json").read_text())
    rows = [
        {"experiment": experiment, "analysis": asked["name"], "figures": ", ".join(map(_figure, found[0]))}
        for experiment, of in analysis["results"].items()
        for asked, found in zip(of["parameters"]["analyses"], of["results"], strict=True)
    ]
    show(f"vot-toolkit {analysis['toolkit']}", "experiment analysis figures", rows)
    return 0


def make_workspace(workspace: Path, sequences: int, frames: int) -> None:
    """The toolkit's configuration, the stack of experiments, and the sequences."""
    workspace.mkdir(parents=True)
    (workspace / "config.yaml").write_text("stack: ./stack.yaml\nregistry: [./trackers.ini]\n")
    stack = Path(__file__).with_name("vot_stack.yaml").read_text()
    stack = stack.replace("LOW", str(frames // 3)).replace("HIGH", str(frames - 4))
    (workspace / "stack.yaml").write_text(stack)
    made = open_dataset(
        DataConfig(reader="synthetic", part="test", options={"sequences": sequences, "frames": frames, "width": 240})
    )
    for i, sequence in enumerate(made):
        write_sequence(workspace / "sequences" / sequence.name, sequence, FORMS[i % len(FORMS)])
    (workspace / "sequences/list.txt").write_text("".join(f"{name}\n" for name in made.names))


def write_sequence(directory: Path, sequence: Sequence, form: str) -> None:
    """Images, regions, and anchors: forwards from the first frame, backwards from the last."""
    (directory / "color").mkdir(parents=True)
    write_jpegs(sequence.frames, directory / "color")
    lines = "".join(f"{region(box, form)}\n" for box in sequence.boxes_xywh)
    (directory / "groundtruth.txt").write_text(lines)
    (directory / "anchor.value").write_text("1\n" + "0\n" * (len(sequence) - 2) + "-1\n")
    (directory / "sequence").write_text("name=synthetic\nfps=30\nformat=default\nchannels.color=color/%08d.jpg\n")


def region(box_xywh: np.ndarray, form: str) -> str:
    """A true box as the toolkit writes a region: x,y,w,h, or corners, or a mask's run lengths (of an ellipse)."""
    if form == "mask":
        return mask(np.round(box_xywh).astype(int))
    x, y, w, h = box_xywh
    numbers = (x, y, x + w, y, x + w, y + h, x, y + h) if form == "polygon" else box_xywh
    return ",".join(f"{v:.2f}" for v in numbers)


def mask(box_xywh: np.ndarray) -> str:
    """The ellipse in a box of integer pixels: m, the box, then run lengths of zeros and ones in turn, row by row."""
    x, y, w, h = box_xywh.tolist()
    rows, columns = np.mgrid[0:h, 0:w] + 0.5
    inside = ((columns / w - 0.5) ** 2 + (rows / h - 0.5) ** 2 <= 0.25).ravel()
    changes = np.flatnonzero(np.diff(inside, prepend=False))
    lengths = np.diff(changes, prepend=0, append=inside.size)
    return "m" + ",".join(map(str, (x, y, w, h, *lengths)))


def toolkit(python: Path, workspace: Path, action: str, *words: str) -> None:
    """Run one of the toolkit's commands; its output goes to a log in the workspace.

    Raises:
      UserError: it ended with another status than 0, or without reporting success.
    """
    place = workspace.resolve()
    call = [str(python.absolute()), "-m", "vot", action, "--workspace", str(place), *words]
    print("$ vot", action, *words, flush=True)
    log = place / f"{action}.log"
    with log.open("wb") as file:
        done = subprocess.run(call, env={**os.environ, "MPLBACKEND": "agg"}, stdout=file, stderr=subprocess.STDOUT)
    text = log.read_text(errors="replace")
    if done.returncode or "success" not in text:  # it may report an error and end with 0
        raise UserError(f"vot {action} failed, see {log}: {' '.join(text.split())[-300:]}")


def _figure(figure: Any) -> str:
    """A number, a pair of them, or of a curve the number of points."""
    if isinstance(figure, list):
        return f"({', '.join(f'{v:.3f}' for v in figure)})" if len(figure) == 2 else f"a curve of {len(figure)} points"
    return f"{figure:.3f}"


if __name__ == "__main__":
    start()
