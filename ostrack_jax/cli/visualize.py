"""Draw what the network sees while it follows one object: elimination stages, attention, discriminative regions.

SEQUENCE is a video or a directory of images, with the object's box in the first frame by --box, in pixels of what a
viewer or player shows (--orientation stored: of what the file stores, without its rotation or EXIF tag); or, with
--benchmark, the name of one of its sequences, whose true boxes are drawn too. Writes PNG sheets, a row a frame:

  elimination.png   the candidates left after each stage (where the config eliminates any)
  attention.png     what the template's centre token attends to, in each block
  regions.png       on which parts it rests that the answer stands out

Boxes answered are amber, true ones blue. Needs no display.

Example:
  ostrack visualize street.mp4 --box 312,140,48,96 --checkpoint weights/256 --output seen
  ostrack visualize Girl --benchmark otb --data_dir /data/otb --checkpoint weights/256 --frames 10,50,90 --output seen
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from ostrack_jax.cli import command, orientation
from ostrack_jax.cli.paths import define_path, refuse_same
from ostrack_jax.errors import UserError
from ostrack_jax.io import local_path

if TYPE_CHECKING:
    import numpy as np

    from ostrack_jax.data.frames import Frames
    from ostrack_jax.tracking.tracker import Tracker
    from ostrack_jax.visualization.network_maps import Seen

ARGUMENTS = ("SEQUENCE",)
_ROWS, _MOST_ROWS = 6, 100  # frames on a sheet, without --frames and with it


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    absl_flags.DEFINE_string("box", None, "x,y,w,h in the first frame, in pixels", flag_values=flags)
    text = "a benchmark that has the sequence: got10k_val, otb, folder, synthetic .."
    absl_flags.DEFINE_string("benchmark", None, text, flag_values=flags)
    define_path("data_dir", None, "the benchmark's directory", flags)
    orientation.define(flags)
    text = (
        "weights: a directory that `ostrack convert` wrote, a .safetensors file, a training's workdir, or WORKDIR/best"
    )
    define_path("checkpoint", None, text, flags, required=True)
    command.define_config_for(flags)
    text = f"the frames to draw, counted from 0, as 10,20,30; without it, {_ROWS} spread over the sequence"
    absl_flags.DEFINE_list("frames", None, text, flag_values=flags)
    text = "also write seen.mp4, all frames up to the last drawn; takes long"
    absl_flags.DEFINE_boolean("video", False, text, flag_values=flags)
    define_path("output", None, "the directory for the sheets", flags, writes="directory", required=True)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Track the object and draw the network's view."""
    from ostrack_jax.io import write_atomically
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking.tracker import Tracker
    from ostrack_jax.visualization import network_maps, video
    from ostrack_jax.visualization.tiles import png

    frames, boxes = _open(flags, arguments[0])
    chosen = _choose(flags.frames, len(frames))
    output: Path = flags.output
    keep_compiled()
    tracker = Tracker.from_checkpoint(flags.checkpoint, flags.config, changes=command.overrides(flags), details=True)
    output.mkdir(parents=True, exist_ok=True)  # reported now, not after the tracking, where it cannot be made
    drawn: list[Seen] = []
    seen = _track(tracker, frames, boxes, chosen, drawn)
    if flags.video:
        count = video.write_video(output / "seen.mp4", map(network_maps.page, seen), 10.0)
        print(f"{output / 'seen.mp4'}: {count} frames")
    else:
        for _ in seen:
            pass
    for name in ("elimination", "attention", "regions"):
        if name != "elimination" or tracker.config.model.eliminate_at:
            path = output / f"{name}.png"
            write_atomically(path, png(getattr(network_maps, name)(drawn)))
            print(path)


def _open(flags: absl_flags.FlagValues, name: str) -> tuple[Frames, np.ndarray]:
    """The frames and the boxes known in them, a row a frame: NaN for all but the first of your own video."""
    import numpy as np

    from ostrack_jax.cli.track import open_frames, read_box

    if (flags.box is None) == (flags.benchmark is None):
        found = "neither" if flags.box is None else "both"
        raise UserError(f"expected --box x,y,w,h, or --benchmark NAME with a sequence of it: found {found}")
    if flags.benchmark is None:
        if flags.data_dir is not None:
            raise UserError("--data_dir goes with --benchmark")
        source = local_path(name)
        refuse_same("output", flags.output, source)
        place, frames = open_frames(source, orientation.of_own_files(flags))
        refuse_same("output", flags.output, place)
        boxes = np.full((len(frames), 4), np.nan)
        boxes[0] = read_box(flags.box, frames[0].shape)
        return frames, boxes
    from ostrack_jax.evaluation import benchmarks

    protocol = benchmarks.find(flags.benchmark)
    (sequence,) = protocol.open(flags.data_dir, orientation.options(flags, protocol.reader)).select([name])
    if not np.isfinite(sequence.boxes_xywh[0]).all():
        raise UserError(f"{name}: {flags.benchmark} has no box for its first frame: expected a sequence with one")
    return sequence.frames, sequence.boxes_xywh


def _choose(given: list[str] | None, length: int) -> list[int]:
    """The frames to draw, in order; the first is the template's and cannot be searched."""
    if length < 2:
        raise UserError("the sequence has one frame: expected two or more, the first is the template's")
    if given is None:
        first, count = 1, min(_ROWS, length - 1)
        return [first + round(i * (length - 1 - first) / max(count - 1, 1)) for i in range(count)]
    if not given or not all(text.isdecimal() and len(text) < 10 and 1 <= int(text) < length for text in given):
        raise UserError(f"--frames {','.join(given)}: expected numbers from 1 to {length - 1}, as 10,20,30")
    frames = sorted({int(text) for text in given})
    if len(frames) > _MOST_ROWS:
        raise UserError(f"--frames: {len(frames)} frames, expected at most {_MOST_ROWS} on a sheet (--video draws all)")
    return frames


def _track(tracker: Tracker, frames: Frames, boxes: np.ndarray, chosen: list[int], drawn: list[Seen]) -> Iterator[Seen]:
    """The network's view of each frame, up to the last of ``chosen``; those of the chosen are added to ``drawn``."""
    from rich.console import Console
    from rich.progress import track as with_progress

    from ostrack_jax.tracking.details import within_search
    from ostrack_jax.visualization.network_maps import Seen

    tracker.init(frames[0], boxes[0])
    last = boxes[0]
    for t in with_progress(range(1, chosen[-1] + 1), "frames", console=Console(stderr=True)):
        answer = tracker.update(frames[t])
        seen = Seen(t, within_search(boxes[t], last, tracker.config.model), **vars(tracker.details()))
        last = answer.box_xywh
        if t in chosen:
            drawn.append(seen)
        yield seen
