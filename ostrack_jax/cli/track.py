"""Follow one object through a video or a directory of images, and write a video with its box and score.

The box is the object's in the first frame: left, top, width, height in pixels of what a viewer or player shows
(--orientation stored: of what the file stores, without its rotation or EXIF tag); the video is written likewise.
Boxes and scores go to a text file next to the video, of the same name: a line x,y,w,h,score per frame, as
`ostrack compare` and the reader `folder` take it; where it ends early, to NAME.part.txt. Such a file of an earlier run
is replaced, any other text file never. Needs no display.

Without --checkpoint the small network that is shipped with the package follows it.

Example:
  ostrack track street.mp4 --box 312,140,48,96 --output tracked.mp4
  ostrack track street.mp4 --box 312,140,48,96 --checkpoint weights/256 --output tracked.mp4
  ostrack track frames/ --box 10,20,30,40 --tracker opencv:mil --output tracked.mp4
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from ostrack_jax.cli import orientation, trackers
from ostrack_jax.cli.paths import Place, define_path, refuse_same
from ostrack_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ostrack_jax.data.frames import Frames, Orientation
    from ostrack_jax.tracking.track import Track, TrackerLike

ARGUMENTS = (Place("VIDEO_OR_DIRECTORY"),)


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    absl_flags.DEFINE_string("box", None, "x,y,w,h in the first frame, in pixels", flag_values=flags, required=True)
    define_path("output", None, "the video to write, NAME.mp4", flags, writes="file", required=True)
    text = "frames a second of the video; without it, the input's, or 30 for a directory"
    absl_flags.DEFINE_float("rate", None, text, flag_values=flags)
    orientation.define(flags)
    trackers.define(flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Track and write."""
    from ostrack_jax.data.annotations import written_by_track
    from ostrack_jax.data.video import frame_rate
    from ostrack_jax.io import write_text
    from ostrack_jax.visualization import video
    from ostrack_jax.weights import DEFAULT

    source, output = Path(arguments[0]), flags.output
    place, frames = open_frames(source, orientation.of_own_files(flags))
    text, partial = output.with_suffix(".txt"), output.with_suffix(".part.txt")
    for path in (output, text):
        refuse_same("output", path, place)
    for path in (text, partial):
        if path.exists() and not written_by_track(path):
            text_of = f"{path}, which `ostrack track` did not write"
            raise UserError(f"--output {output} would overwrite {text_of}: give another name")
    box = read_box(flags.box, frames[0].shape)
    rate = frame_rate(place) if flags.rate is None else flags.rate
    video.check(output, rate)
    tracker = trackers.choose(flags, otherwise=DEFAULT)
    tracks: list[Track] = []
    began = time.perf_counter()
    count = 0
    try:
        with contextlib.closing(annotated(tracker, frames, box, tracks)) as images:
            count = video.write_video(output, images, rate)
    finally:  # a frame that cannot be read, or Ctrl-C: what was tracked until then stays
        lines = [",".join(f"{value:.4f}" for value in (*track.box_xywh, track.score)) + "\n" for track in tracks]
        if lines:
            write_text(text if count else partial, "".join(lines))
        if lines and not count:
            print(f"{partial}: boxes and scores of the {len(lines)} frames before it ended")
    print(f"{output}: {count} frames, {count / (time.perf_counter() - began):.1f} a second; boxes and scores: {text}")


def open_frames(source: Path, way: Orientation) -> tuple[Path, Frames]:
    """Return the path of the frames, and the frames; print what is skipped and how they are read."""
    from ostrack_jax.data.readers import folder

    if str(source).isdecimal() and not source.exists():
        raise UserError(f"no video or directory {source}, and cameras are not read: record a video first")
    place, skipped = folder.find_frames(source)
    frames = folder.open_frames(place, way)
    orientation.say([*skipped, *frames.noted()[1]])
    return place, frames


def read_box(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """``x,y,w,h`` as a box that reaches into a frame of ``shape`` (height, width, ...), or a `UserError`.

    A note is printed where it ends far outside, as corners would.
    """
    import numpy as np

    from ostrack_jax.data.box_forms import find_oddity

    height, width = shape[:2]
    size = f"the frame, which is {width} wide and {height} high"
    try:
        x, y, w, h = map(float, text.split(","))
    except ValueError:
        x = y = w = h = math.nan
    if not (-w < x < width and -h < y < height and 1 < w < math.inf and 1 < h < math.inf):
        raise UserError(f"--box {text}: expected x,y,w,h in pixels of {size}: a box in it, with sides above a pixel")
    box = np.array([x, y, w, h])
    oddity = find_oddity(box[None], (width, height))
    if oddity is not None:
        print(f"note: --box {text} ends far outside {size}: {oddity.fix}", file=sys.stderr)
    return box


def annotated(
    tracker: TrackerLike, frames: Frames, box: np.ndarray, tracks: list[Track], truth_xywh: np.ndarray | None = None
) -> Generator[np.ndarray, None, None]:
    """Each frame with its box drawn, and the true one where given; where the target is, is added to ``tracks``."""
    from rich.console import Console
    from rich.progress import Progress

    from ostrack_jax.tracking.track import follow
    from ostrack_jax.visualization.draw import annotate

    shapes: dict[tuple[int, ...], int] = {}  # with the first frame of each
    with Progress(console=Console(stderr=True)) as progress:
        steps = progress.track(range(len(frames)), description="frames")
        for t, (frame, track) in enumerate(follow(tracker, (frames[i] for i in steps), box)):
            tracks.append(track)
            shapes.setdefault(frame.shape[:2], t)
            yield annotate(frame, track.box_xywh, track.score, None if truth_xywh is None else truth_xywh[t])
    if len(shapes) > 1:
        sizes = ", ".join(f"{width} x {height} from frame {t}" for (height, width), t in shapes.items())
        orientation.say([f"the frames differ in size or orientation ({sizes}): they are brought to the first one's"])
