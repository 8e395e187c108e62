"""What reading a video costs: all its frames in order and jumps, in this checkout and, to compare, in another.

Each checkout reads in a process of its own. They take turns at short pieces (counting the frames, 50 frames in order,
a jump to a frame drawn at random); of each piece the least time of all rounds counts, so that the ratios hold on a
shared machine, those of the processors' time best. The frames are smooth noise that moves by three pixels.

Example:
  git worktree add /tmp/before b7c493a
  python benchmarks/video.py --other /tmp/before --output benchmarks/results/video_cpu.json
"""

from __future__ import annotations

import contextlib
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
COLUMNS = {
    "container": "{kind}",
    "read": "{read}",
    "this, s": "{this_clock_s:.3f}",
    "other, s": "{other_clock_s:.3f}",
    "ratio": "{clock_ratio:.3f}",
    "this, CPU s": "{this_processors_s:.3f}",
    "other, CPU s": "{other_processors_s:.3f}",
    "CPU ratio": "{processors_ratio:.3f}",
}
READER = """
import json, sys, time
from ostrack_jax.data.video import VideoFrames
for line in sys.stdin:
    path, wanted = json.loads(line)
    clock, processors = time.perf_counter(), time.process_time()
    if wanted:
        for i in wanted:
            frames[i]
    else:
        frames = VideoFrames(path)
        len(frames)
    print(time.perf_counter() - clock, time.process_time() - processors, flush=True)
"""
Turn = dict[str, list[tuple[float, float]]]  # of each checkout the seconds of each piece: by the clock, of processors


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
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        readers = {name: stack.enter_context(reader(checkout)) for name, checkout in checkouts.items()}
        for kind in flags.kinds:
            path = make_video(Path(scratch), kind, flags.frames)
            for jumps in (0, flags.jumps):
                turns: list[Turn] = []
                for i in range(flags.rounds):
                    turns.append(take_turns(readers, path, pieces(flags.frames, jumps), i))
                    found = {"kind": kind, "jumps": jumps, "rounds": len(turns), **summary(turns)}
                    write(flags.output, "video", settings, {"rows": [*rows, found]})
                rows.append(found)
    show("", COLUMNS, [{"read": f"{row['jumps']} jumps" if row["jumps"] else "in order", **row} for row in rows])


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


def reader(checkout: Path) -> subprocess.Popen[str]:
    """A process that reads frames on request (`ask`) with the package of ``checkout``."""
    return subprocess.Popen(
        [sys.executable, "-c", READER],
        cwd=checkout,  # first on Python's path
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def pieces(frames: int, jumps: int) -> list[list[int]]:
    """The frames read in one measurement: nothing (counting), then all frames in order, or so many ``jumps``."""
    if jumps:
        return [[], *([i] for i in random.Random(0).choices(range(frames), k=jumps))]
    return [[], *(list(range(frames))[i : i + 50] for i in range(0, frames, 50))]


def take_turns(readers: dict[str, subprocess.Popen[str]], path: Path, wanted: list[list[int]], first: int) -> Turn:
    """Have every reader read each piece, beginning with another one each time."""
    seconds: Turn = {name: [] for name in readers}
    for i, piece in enumerate(wanted, first):
        for name in list(readers)[:: 1 if i % 2 == 0 else -1]:
            seconds[name].append(ask(readers[name], path, piece))
    return seconds


def ask(process: subprocess.Popen[str], path: Path, frames: list[int]) -> tuple[float, float]:
    """Seconds of reading these ``frames``, or of counting where there are none."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps([str(path), frames]) + "\n")
    process.stdin.flush()
    clock, processors = map(float, process.stdout.readline().split())
    return clock, processors


def summary(turns: list[Turn]) -> dict[str, float]:
    """Seconds of each checkout, the least of every piece, and this one's over the other's."""
    found: dict[str, float] = {}
    for i, what in enumerate(("clock", "processors")):
        least = {name: np.array([turn[name] for turn in turns])[..., i].min(0).sum().item() for name in turns[0]}
        found |= {f"{name}_{what}_s": seconds for name, seconds in least.items()}
        if "other" in least:
            found[f"{what}_ratio"] = least["this"] / least["other"]
    return found


if __name__ == "__main__":
    start()
