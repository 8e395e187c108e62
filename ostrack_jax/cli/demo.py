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

    from ostrack_jax.tracking.track import Track
    from ostrack_jax.visualization.draw import Image

# Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0; see clip/README.md
CLIP = Path(__file__).parents[1] / "clip" / "bunny.mp4"
BOX_XYWH = (148.0, 126.0, 68.0, 112.0)  # of the rabbit in the first frame, in pixels
SHOWN = 12  # frames printed and drawn
BENCHMARK, RATE = "synthetic", 15.0
TITLES = {"tiny": "tiny (this run)", "still": "never moves", "opencv:mil": "OpenCV MIL"}


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

    from ostrack_jax.cli.track import annotated
    from ostrack_jax.data.video import VideoFrames, frame_rate
    from ostrack_jax.io import write_atomically
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking.tracker import Tracker
    from ostrack_jax.visualization import video
    from ostrack_jax.visualization.draw import annotate

    keep_compiled()
    tracker = Tracker.from_checkpoint()
    frames = VideoFrames(CLIP)
    tracks: list[Track] = []
    began = time.perf_counter()
    images = annotated(tracker, frames, np.array(BOX_XYWH), tracks)
    count = video.write_video(output / "demo.mp4", images, frame_rate(CLIP))
    seconds = time.perf_counter() - began
    shown = {i: tracks[i] for i in range(0, count, count // SHOWN)}
    for i, track in shown.items():
        console.print(describe(i, track), highlight=False)
    drawn = {i: annotate(frames[i], track.box_xywh, track.score) for i, track in shown.items()}
    write_atomically(output / "demo.jpg", contact_sheet(drawn))
    console.print(f"followed the rabbit through {count} frames, {count / seconds:.1f} frames/s", highlight=False)
    console.print(f"video: {output / 'demo.mp4'}  image: {output / 'demo.jpg'}", highlight=False, soft_wrap=True)
    console.print("your own: ostrack track VIDEO --box x,y,w,h --output tracked.mp4", highlight=False, soft_wrap=True)
    return 0


def describe(frame: int, track: Track) -> str:
    """One line on a tracked frame: its number, the box in pixels, the score."""
    x, y, w, h = track.box_xywh
    score = f"score {track.score:.2f}" if frame else "given"
    return f"frame {frame:3}: box at {x:.0f},{y:.0f}, {w:.0f} x {h:.0f} pixels, {score}"


def contact_sheet(frames: dict[int, Image], width: int = 320, columns: int = 4) -> bytes:
    """Draw equally large frames in rows, each with its number above it; a JPEG file."""
    import cv2

    from ostrack_jax.visualization.tiles import WORDS, captioned, sheet

    tiles = []
    for i, frame in frames.items():
        size = (width, round(frame.shape[0] * width / frame.shape[1]))
        tiles.append(captioned(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), [(f"frame {i}", WORDS)]))
    image = sheet([tiles[i : i + columns] for i in range(0, len(tiles), columns)])
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def train(output: Path, console: Console) -> int:
    """Train the config `tiny`, score it next to the baselines, write a video; 1 where a sequence failed."""
    from ostrack_jax.cli.track import annotated
    from ostrack_jax.config import load
    from ostrack_jax.evaluation import benchmarks
    from ostrack_jax.evaluation.evaluate import score
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking import baselines
    from ostrack_jax.tracking.tracker import Tracker
    from ostrack_jax.training import trainer
    from ostrack_jax.visualization.table import Table
    from ostrack_jax.visualization.video import write_video

    keep_compiled()
    trainer.train(load("tiny"), output / "train", console=console)
    tiny = Tracker.from_checkpoint(output / "train")
    held_out = benchmarks.find(BENCHMARK)
    failed, rows = False, []
    for name, title in TITLES.items():
        tracker = tiny if name == "tiny" else baselines.make(name)
        report = score(tracker, held_out, held_out.open(None), output / name.replace(":", "_"))
        failed = failed or bool(report.failed)
        scores = [f"{report.scores[key]:.3f}" for key in ("ao", "success_auc")]
        rows.append([title, *scores, f"{report.fps or 0:.0f}"])
    Table("held-out synthetic sequences", ["tracker", "AO", "success AUC", "frames/s"], rows).print(console)

    def images() -> Any:
        for sequence in held_out.open(None)[:3]:
            yield from annotated(tiny, sequence.frames, sequence.boxes_xywh[0], [], sequence.boxes_xywh)

    write_video(output / "demo.mp4", images(), RATE)
    console.print(
        f"video: {output / 'demo.mp4'}  weights and logs: {output / 'train'}", highlight=False, soft_wrap=True
    )
    return int(failed)
