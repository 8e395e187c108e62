"""From nothing to a scored tracker in a few minutes, without any download.

Trains the config `tiny` on built-in synthetic sequences, scores it on held-out ones beside a tracker that never
moves and OpenCV's MIL tracker, and writes a video with its boxes (amber) and the true ones (blue). Interrupted, it goes
on where it was.

Example:
  ostrack demo --output demo
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from ostrack_jax.cli import trackers
from ostrack_jax.cli.compiled import keep_compiled
from ostrack_jax.cli.eval import score

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
    from ostrack_jax.evaluation import protocols
    from ostrack_jax.training.loop import train

    keep_compiled()
    output, console = Path(flags.output), Console()
    train(load("tiny"), output / "train", console=console)
    tiny = trackers.of_checkpoint(output / "train")
    held_out = protocols.find(BENCHMARK)
    reports = {"tiny (this run)": score(tiny, held_out, held_out.open(None), output / "tiny")}
    for name, title in NAMES.items():
        folder = output / name.replace(":", "_")
        reports[title] = score(trackers.of_baseline(name), held_out, held_out.open(None), folder)
    show(reports, console)
    video = draw(tiny, output / "demo.mp4")
    console.print(f"video: {video}  weights and logs: {output / 'train'}", highlight=False, soft_wrap=True)
    return int(any(report["failed"] for report in reports.values()))


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
