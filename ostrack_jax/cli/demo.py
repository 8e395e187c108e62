"""From nothing to a scored tracker in a few minutes, without any download.

Trains the config `tiny` on built-in synthetic sequences, scores it on held-out ones beside a tracker that never
moves and OpenCV's MIL tracker, and writes a video with its boxes (amber) and the true ones (blue). Interrupted, it goes
on where it was.

Example:
  ostrack demo --output demo
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from ostrack_jax.cli import trackers

BENCHMARK, RATE = "synthetic", 15.0
NAMES = {"still": "never moves", "opencv:mil": "OpenCV MIL"}


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    absl_flags.DEFINE_string("output", "demo", "folder for the run, the results and the video", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Train, score, show; 1 where a sequence failed."""
    del arguments
    from rich.console import Console

    from ostrack_jax.config import load
    from ostrack_jax.training.loop import train

    output, console = Path(flags.output), Console()
    train(load("tiny"), output / "train", console=console)
    tiny = trackers.of_checkpoint(output / "train")
    reports = {"tiny (this run)": score(tiny, output / "tiny", console)}
    for name, title in NAMES.items():
        reports[title] = score(trackers.of_baseline(name), output / name.replace(":", "_"), console)
    show(reports, console)
    video = draw(tiny, output / "demo.mp4")
    console.print(f"video: {video}  weights and logs: {output / 'train'}", highlight=False, soft_wrap=True)
    return int(any(report["failed"] for report in reports.values()))


def score(chosen: trackers.Chosen, folder: Path, console: Any) -> dict[str, Any]:
    """The report of a tracker on the held-out sequences."""
    from ostrack_jax.evaluation import protocols, report, runner

    protocol = protocols.find(BENCHMARK)
    outcomes = runner.evaluate(chosen.tracker, protocol, protocol.open(None), folder, chosen.made_by, console)
    told = report.build(
        protocol,
        outcomes,
        chosen.made_by,
        config=chosen.config,
        compile_seconds=chosen.compile_seconds,
        command=shlex.join(sys.argv),
    )
    report.write(folder, told)
    return told


def show(reports: dict[str, dict[str, Any]], console: Any) -> None:
    """A row a tracker."""
    from rich.table import Table

    table = Table(title="held-out synthetic sequences", title_justify="left")
    table.add_column("tracker")
    for column in ("AO", "success AUC", "frames/s"):
        table.add_column(column, justify="right")
    for name, told in reports.items():
        scores = told["scores"]
        table.add_row(name, f"{scores['ao']:.3f}", f"{scores['success_auc']:.3f}", f"{told['speed']['fps']:.0f}")
    console.print(table)


def draw(chosen: trackers.Chosen, path: Path) -> Path:
    """The first held-out sequences, tracked, as one video."""
    from ostrack_jax.evaluation import protocols
    from ostrack_jax.tracking import video

    def pictures() -> Any:
        for sequence in protocols.find(BENCHMARK).open(None)[:3]:
            frames = (sequence.frames[i] for i in range(len(sequence)))
            tracked = video.follow(chosen.tracker, frames, sequence.boxes_xywh[0])
            for (frame, track), truth in zip(tracked, sequence.boxes_xywh, strict=True):
                yield video.annotate(frame, track, truth)

    video.write_video(path, pictures(), RATE)
    return path
