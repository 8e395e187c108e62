"""A tracker for the VOT toolkit: receives frames and regions by the TraX protocol, returns boxes and confidences.

This file stands apart: no module of the package imports it. `ostrack vot WORKSPACE` copies it into a workspace; the
toolkit (GPL-3, an external program) starts it as a process of its own and talks to it over pipes through `vot-trax`
(BSD). The model is compiled, and has run, before the handshake.

A mask or polygon to start with arrives as its upright box, and each answer is a box, whatever region was asked for.

Example:
  python ostrack_vot.py --checkpoint weights/256
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trax  # pyright: ignore[reportMissingImports]

from ostrack_jax.data.frames import Image, read_image
from ostrack_jax.errors import UserError
from ostrack_jax.tracking import baselines
from ostrack_jax.tracking.track import TrackerLike


def main(words: Sequence[str]) -> int:
    """Prepare the tracker, then serve the toolkit until it closes; return the exit status."""
    try:
        tracker = load(words)
    except UserError as e:
        print(f"ostrack_vot.py: error: {e}", file=sys.stderr)
        return 2
    first = np.zeros((64, 64, 3), np.uint8)
    tracker.init(first, np.array([16.0, 16.0, 32.0, 32.0]))
    tracker.update(first)  # whatever a first call sets up is not charged to the first frame
    serve(tracker)
    return 0


def load(words: Sequence[str]) -> TrackerLike:
    """Load the tracker that the flags name, those of every command that tracks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="weights, as `ostrack track` takes them")
    parser.add_argument("--config", help="a config in place of the checkpoint's own; --config.KEY=VALUE changes it")
    parser.add_argument("--tracker", help="in place of a checkpoint: still, opencv:mil, opencv:nano or opencv:vit")
    parser.add_argument("--tracker_files", type=Path, help="directory of the model files of opencv:nano and opencv:vit")
    flags, others = parser.parse_known_args(words)
    unknown = [word for word in others if not (word.startswith("--config.") and "=" in word)]
    if unknown or (flags.checkpoint is None) == (flags.tracker is None):
        parser.error(f"unknown {unknown[0]}" if unknown else "expected --checkpoint DIR or --tracker NAME")
    if flags.tracker is not None:
        return baselines.make(flags.tracker, flags.tracker_files)
    from ostrack_jax.models.devices import keep_compiled
    from ostrack_jax.tracking.tracker import Tracker

    keep_compiled()
    changes = [word.removeprefix("--config.") for word in others]
    return Tracker.from_checkpoint(flags.checkpoint, flags.config, changes=changes)


def serve(tracker: TrackerLike) -> None:
    """Answer one session: any number of sequences, each begun by a region, then frame by frame."""
    with trax.Server([trax.Region.RECTANGLE], [trax.Image.PATH], tracker_name="OSTrack-JAX") as server:
        while True:
            request = server.wait()
            if request.type == trax.TraxStatus.INITIALIZE:
                region, _ = request.objects[0]
                tracker.init(_read(request), np.array(region.bounds(), np.float64))
                server.status([(region, {})])
            elif request.type == trax.TraxStatus.FRAME:
                track = tracker.update(_read(request))
                stated = {} if np.isnan(track.score) else {"confidence": f"{track.score:.6f}"}
                server.status([(trax.Rectangle.create(*map(float, track.box_xywh)), stated)])
            else:
                return


def _read(request: Any) -> Image:
    return read_image(request.image[trax.ImageChannel.COLOR].path(), "stored")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
