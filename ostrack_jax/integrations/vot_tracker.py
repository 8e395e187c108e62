"""A tracker as the VOT toolkit runs it. Enters: frames and regions, by the TraX protocol. Leaves: boxes, confidences.

This file stands apart: it is no module of the package, and the package imports neither it nor what it speaks to.
`ostrack vot WORKSPACE` copies it into a workspace; the toolkit (GPL-3, an external program) starts it as a process of
its own and talks to it over pipes through `vot-trax` (BSD). The model is compiled, and has run, before the handshake.

A mask or polygon to start with arrives as its upright box, and each answer is a box, whatever region was asked for.

Example:
  python ostrack_vot.py --checkpoint weights/256
"""

from __future__ import annotations

import sys
from typing import Any, cast

import numpy as np
import trax  # pyright: ignore[reportMissingImports]
from absl import flags as absl_flags

from ostrack_jax.cli import command, trackers
from ostrack_jax.data.frames import Image, read_image
from ostrack_jax.tracking.track import TrackerLike


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags: those of every command that tracks."""
    trackers.define(flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Make the tracker ready, then answer until the toolkit hangs up."""
    tracker = trackers.choose(flags).tracker
    first = np.zeros((64, 64, 3), np.uint8)
    tracker.init(first, np.array([16.0, 16.0, 32.0, 32.0]))
    tracker.update(first)  # whatever a first call sets up is not charged to the first frame
    serve(tracker)


def serve(tracker: TrackerLike) -> None:
    """One session: any number of sequences, each begun by a region, then frame by frame."""
    with trax.Server([trax.Region.RECTANGLE], [trax.Image.PATH], tracker_name="OSTrack-JAX") as server:
        while True:
            request = server.wait()
            if request.type == trax.TraxStatus.INITIALIZE:
                region, _ = request.objects[0]
                tracker.init(_picture(request), np.array(region.bounds(), np.float64))
                server.status([(region, {})])
            elif request.type == trax.TraxStatus.FRAME:
                track = tracker.update(_picture(request))
                stated = {} if np.isnan(track.score) else {"confidence": f"{track.score:.6f}"}
                server.status([(trax.Rectangle.create(*map(float, track.box_xywh)), stated)])
            else:
                return


def _picture(request: Any) -> Image:
    return read_image(request.image[trax.ImageChannel.COLOR].path(), "stored")


if __name__ == "__main__":
    sys.exit(command.run(cast(Any, sys.modules[__name__]), sys.argv[1:], "python ostrack_vot.py"))
