"""Follow a rabbit through five seconds of film with the network that is shipped with the package.

Prints the box and the score every few frames and the frames/s, and writes the tracked video (demo.mp4) and an image of
twelve of its frames (demo.jpg). Under a minute on a CPU, no download.

With --train: train the config `tiny` on built-in synthetic sequences in four minutes, score it on held-out ones next
to a tracker that never moves and OpenCV's MIL tracker, and write a video with its boxes (amber) and the true ones
(blue). Interrupted, it resumes where it was.

Example:
  ostrack demo
  ostrack demo --train --output demo_train
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from ostrack_jax.cli.paths import define_path

if TYPE_CHECKING:
    from rich.console import Console

    from ostrack_jax.evaluation.report import Report
    from ostrack_jax.tracking.track import Track, TrackerLike
    from ostrack_jax.visualization.draw import Image

# Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0; see clip/README.md
CLIP = Path(__file__).parents[1] / "clip" / "bunny.mp4"
BOX_XYWH = (148.0, 126.0, 68.0, 112.0)  # of the rabbit in the first frame, in pixels
SHOWN = 12  # frames printed and drawn
BENCHMARK, RATE = "synthetic", 15.0
TITLES = {"tiny": "tiny (this run)", "still": "never moves", "opencv_mil": "OpenCV MIL"}


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    define_path("output", "demo", "directory for what is written", flags, writes="directory")
    absl_flags.DEFINE_boolean("train", False, "train a tiny tracker from nothing and score it", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Track the clip, or train; 1 where a sequence failed."""
    del arguments
    from rich.console import Console

    console = Console()
    return train(flags.output, console) if flags.train else follow_clip(flags.output, console)


def follow_clip(output: Path, console: Console) -> int:
    """Track the rabbit; write video and image, print boxes and speed."""
    import numpy as np

    from ostrack_jax.data.video import VideoFrames, frame_rate
    from ostrack_jax.io import write_atomically
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking.track import follow
    from ostrack_jax.tracking.tracker import Tracker
    from ostrack_jax.visualization import video
    from ostrack_jax.visualization.draw import annotate

    keep_compiled()
    tracker = Tracker.from_checkpoint()
    frames = VideoFrames(CLIP)
    step = len(frames) // SHOWN
    shown: list[Image] = []

    def annotated() -> Any:
        steps = (frames[i] for i in range(len(frames)))
        for i, (frame, track) in enumerate(follow(tracker, steps, np.array(BOX_XYWH))):
            drawn = annotate(frame, track.box_xywh, track.score)
            if i % step == 0 and len(shown) < SHOWN:
                shown.append(drawn)
                console.print(describe(i, track), highlight=False)
            yield drawn

    began = time.perf_counter()
    count = video.write_video(output / "demo.mp4", annotated(), frame_rate(CLIP))
    seconds = time.perf_counter() - began
    write_atomically(output / "demo.jpg", contact_sheet(shown, step))
    console.print(f"followed the rabbit through {count} frames, {count / seconds:.1f} frames/s", highlight=False)
    console.print(f"video: {output / 'demo.mp4'}  image: {output / 'demo.jpg'}", highlight=False, soft_wrap=True)
    console.print("your own: ostrack track VIDEO --box x,y,w,h --output tracked.mp4", highlight=False, soft_wrap=True)
    return 0


def describe(frame: int, track: Track) -> str:
    """One line on a tracked frame: its number, the box in pixels, the score."""
    x, y, w, h = track.box_xywh
    score = f"score {track.score:.2f}" if frame else "given"
    return f"frame {frame:3}: box at {x:.0f},{y:.0f}, {w:.0f} x {h:.0f} pixels, {score}"


def contact_sheet(frames: list[Image], step: int, width: int = 320, columns: int = 4) -> bytes:
    """Draw equally large frames, every ``step``-th of a video, in rows, each with its number above it; a JPEG file."""
    import cv2

    from ostrack_jax.visualization.tiles import WORDS, captioned, sheet

    height = round(frames[0].shape[0] * width / frames[0].shape[1])
    small = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    tiles = [captioned(frame, [(f"frame {i * step}", WORDS)]) for i, frame in enumerate(small)]
    image = sheet([tiles[i : i + columns] for i in range(0, len(tiles), columns)])
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def train(output: Path, console: Console) -> int:
    """Train the config `tiny`, score it next to the baselines, write a video; 1 where a sequence failed."""
    from ostrack_jax.config import load
    from ostrack_jax.evaluation import benchmarks
    from ostrack_jax.evaluation.evaluate import score
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking import baselines
    from ostrack_jax.tracking.tracker import Tracker
    from ostrack_jax.training import trainer

    keep_compiled()
    trainer.train(load("tiny"), output / "train", console=console)
    tiny = Tracker.from_checkpoint(output / "train")
    held_out = benchmarks.find(BENCHMARK)
    compared = {"tiny": tiny, "still": baselines.make("still"), "opencv_mil": baselines.make("opencv:mil")}
    reports = {
        TITLES[name]: score(tracker, held_out, held_out.open(None), output / name) for name, tracker in compared.items()
    }
    show(reports, console)
    video = draw(tiny, output / "demo.mp4")
    console.print(f"video: {video}  weights and logs: {output / 'train'}", highlight=False, soft_wrap=True)
    return int(any(report.failed for report in reports.values()))


def show(reports: dict[str, Report], console: Console) -> None:
    """Print a row for each tracker."""
    from ostrack_jax.visualization.table import Table

    rows = [
        [name, *(f"{report.scores[key]:.3f}" for key in ("ao", "success_auc")), f"{report.fps or 0:.0f}"]
        for name, report in reports.items()
    ]
    Table("held-out synthetic sequences", ["tracker", "AO", "success AUC", "frames/s"], rows).print(console)


def draw(tracker: TrackerLike, path: Path) -> Path:
    """Write the first held-out sequences, tracked, as one video."""
    from ostrack_jax.evaluation import benchmarks
    from ostrack_jax.tracking.track import follow
    from ostrack_jax.visualization import video
    from ostrack_jax.visualization.draw import annotate

    def pictures() -> Any:
        for sequence in benchmarks.find(BENCHMARK).open(None)[:3]:
            frames = (sequence.frames[i] for i in range(len(sequence)))
            tracked = follow(tracker, frames, sequence.boxes_xywh[0])
            for (frame, track), truth in zip(tracked, sequence.boxes_xywh, strict=True):
                yield annotate(frame, track.box_xywh, track.score, truth)

    video.write_video(path, pictures(), RATE)
    return path
