"""What reading a video costs: all its frames in order and jumps, in this checkout and, to compare, in another.

Each reading, counting the frames included, is a process of its own. The checkouts take turns, and the least time of all
rounds counts, so that the ratios hold on a shared machine, those of the processors' time best. The frames are smooth
noise that moves by three pixels.

Example:
  git worktree add /tmp/before b7c493a
  python benchmarks/video.py --other /tmp/before --output benchmarks/results/video_cpu.json
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from absl import flags as absl_flags
from timing import define as timing_flags
from timing import show, start, write

from ostrack_jax.cli.paths import define_path

HERE = Path(__file__).parents[1]
SIZE = 480, 270
KINDS = {
    "mp4": ("libx264", {"preset": "veryfast", "bf": "2", "g": "60"}),
    "mkv": ("libx264", {"preset": "veryfast", "bf": "2", "g": "60"}),
    "webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "60"}),
    "avi": ("mpeg4", {"g": "60"}),
}
COLUMNS = "kind jumps this_clock_s other_clock_s clock_ratio this_processors_s other_processors_s processors_ratio"
READER = """
import json, sys, time
from ostrack_jax.data.video import VideoFrames
path, wanted = sys.argv[1], json.loads(sys.argv[2])
clock, processors = time.perf_counter(), time.process_time()
frames = VideoFrames(path)
for i in wanted or range(len(frames)):
    frames[i]
print(time.perf_counter() - clock, time.process_time() - processors)
"""


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    define_path("other", None, "another checkout, to compare with", flags)
    timing_flags(flags, rounds=5, kinds=(list(KINDS), "containers"))
    absl_flags.DEFINE_integer("frames", 2000, "of each video", lower_bound=100, flag_values=flags)
    absl_flags.DEFINE_integer("jumps", 100, "in each reading of jumps", lower_bound=1, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Measure, print a table, write JSON."""
    checkouts = {"this": HERE} | ({"other": flags.other} if flags.other else {})
    settings = {"frames": flags.frames, "jumps": flags.jumps, "rounds": flags.rounds, "size_wh": SIZE}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind, jumps in itertools.product(flags.kinds, (0, flags.jumps)):
            path = make_video(Path(scratch), kind, flags.frames)
            wanted = random.Random(0).choices(range(flags.frames), k=jumps)
            rows.append({})
            seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
            for i in range(flags.rounds):
                for name in list(checkouts)[:: 1 if i % 2 == 0 else -1]:
                    seconds[name].append(read(checkouts[name], path, wanted))
                rows[-1] = {"kind": kind, "jumps": jumps, "rounds": i + 1, **summary(seconds)}
                write(flags.output, "video", settings, {"rows": rows})
    show("reading videos; jumps 0: all frames in order", COLUMNS, rows)


def make_video(folder: Path, kind: str, frames: int) -> Path:
    """Write a video of ``kind`` into ``folder``; its path."""
    codec, options = KINDS[kind]
    width, height = SIZE
    coarse = np.random.default_rng(0).integers(0, 256, (height // 30, width // 30, 3), np.uint8)
    scene: Any = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    path = folder / f"video.{kind}"
    with av.open(str(path), "w") as container:
        stream = cast(Any, container.add_stream(codec, rate=25, options=options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            moved = np.roll(scene, 3 * i, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
    return path


def read(checkout: Path, path: Path, wanted: list[int]) -> tuple[float, float]:
    """Read frames, all where none is ``wanted``, with the package of ``checkout``; seconds, and those of processors."""
    command = [sys.executable, "-c", READER, str(path), json.dumps(wanted)]
    # The working directory is first on Python's path.
    out = subprocess.run(command, cwd=checkout, stdout=subprocess.PIPE, text=True, check=True).stdout
    clock, processors = map(float, out.split())
    return clock, processors


def summary(seconds: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Seconds of each checkout, the least of all rounds, and this one's over the other's."""
    found: dict[str, float] = {}
    for i, what in enumerate(("clock", "processors")):
        least = {name: min(both[i] for both in of) for name, of in seconds.items()}
        found |= {f"{name}_{what}_s": value for name, value in least.items()}
        if "other" in least:
            found[f"{what}_ratio"] = least["this"] / least["other"]
    return found


if __name__ == "__main__":
    start()
