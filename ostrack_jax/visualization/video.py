"""Tracked frames as a video one can open. Enters: RGB frames, boxes, scores. Leaves: an annotated mp4 file.

Needs no display. Small frames are enlarged and lines grow with the picture, so that boxes and numbers can be read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import av.error
import cv2
import numpy as np
from jaxtyping import Float

from ostrack_jax.errors import UserError
from ostrack_jax.io import unfinished
from ostrack_jax.tracking.track import Track, TrackerLike
from ostrack_jax.visualization.draw import TRACK_COLOUR, TRUTH_COLOUR, Picture, draw_box, draw_label, has_area

# Pictures with a long side below this many pixels are enlarged by a whole factor.
_LEAST_SIDE = 480
# The first that this build of FFmpeg has: H.264 plays everywhere, MPEG-4 is in every build.
_ENCODERS = (("libx264", {"crf": "20", "preset": "veryfast"}), ("mpeg4", {"qscale": "3"}))


def follow(
    tracker: TrackerLike, frames: Iterable[Picture], box_xywh: Float[np.ndarray, " 4"]
) -> Iterator[tuple[Picture, Track]]:
    """Each frame with where the target is in it, as it is tracked; the first with the box given and no score."""
    for i, frame in enumerate(frames):
        if i == 0:
            tracker.init(frame, box_xywh)
            yield frame, Track(np.asarray(box_xywh, np.float64), float("nan"))
        else:
            yield frame, tracker.update(frame)


def annotate(frame: Picture, track: Track, truth_xywh: Float[np.ndarray, " 4"] | None = None) -> Picture:
    """A copy of the frame, enlarged where it is small, with the box and its score, and the true box where given.

    A box without area (the target is lost) is not drawn; the label says so.
    """
    factor = max(1, -(-_LEAST_SIDE // max(frame.shape[:2])))
    height, width = frame.shape[0] * factor, frame.shape[1] * factor
    picture = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC) if factor > 1 else frame.copy()
    line = max(2, round(max(height, width) / 320))
    if truth_xywh is not None:
        draw_box(picture, truth_xywh * factor, TRUTH_COLOUR, line)
    box = np.asarray(track.box_xywh, np.float64) * factor
    lost = not has_area(box)
    if not lost:
        draw_box(picture, box, TRACK_COLOUR, line)
    label = "lost" if lost else "" if np.isnan(track.score) else f"{track.score:.2f}"
    if label:
        draw_label(picture, label, (0.0, 0.0) if lost else (float(box[0]), float(box[1])), line)
    return picture


def write_video(path: Path, pictures: Iterable[Picture], rate: float = 30.0) -> int:
    """Write an mp4 file, whole or not at all; the number of pictures in it.

    The first picture's size, made even, is the video's; others are brought to it.

    Args:
      path: ends in `.mp4`; its folder is made.
      pictures: RGB, consumed as they come.
      rate: pictures a second.

    Raises:
      UserError: another ending, no picture, a rate out of range, or this build of FFmpeg can write none of the codecs.
    """
    check(path, rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        count = _encode(temporary, pictures, rate)
        if not count:
            raise UserError(f"cannot write the video {path}: there are no frames")
        os.replace(temporary, path)
    except av.error.FFmpegError as e:
        raise UserError(f"cannot write the video {path}: {e.strerror}") from e
    finally:
        temporary.unlink(missing_ok=True)
    return count


def check(path: Path, rate: float) -> None:
    """Raise the `UserError` of a name or a rate that `write_video` cannot write, before the frames are made."""
    if path.suffix.lower() != ".mp4":
        raise UserError(f"cannot write the video {path}: expected a name that ends in .mp4")
    if not 0.1 <= rate <= 1000:
        raise UserError(f"cannot write {path} at {rate} frames a second: expected 0.1 to 1000")


def _encode(path: Path, pictures: Iterable[Picture], rate: float) -> int:
    count = 0
    # Without file: a colon in the name would end the name of a protocol.
    with av.open(f"file:{path}", "w", format="mp4") as container:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                stream = _add_stream(container, picture.shape[1], picture.shape[0], rate)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_fit(picture, stream), format="rgb24")))
            count += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return count


def _add_stream(container: Any, width: int, height: int, rate: float) -> Any:
    name, options = _encoder()
    stream = container.add_stream(name, rate=Fraction(rate).limit_denominator(1001), options=options)
    # The pixel format shares its colours between 2x2 pixels: both sides must be even.
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    return stream


def _encoder() -> tuple[str, dict[str, str]]:
    for name, options in _ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name, options
    raise UserError(f"this build of FFmpeg has no encoder of {', '.join(name for name, _ in _ENCODERS)}")


def _fit(picture: Picture, stream: Any) -> Picture:
    """The picture at the video's size: a row or column repeated for an odd one, resized where another differs."""
    height, width = picture.shape[:2]
    down, right = stream.height - height, stream.width - width
    if (down, right) == (0, 0):
        return np.ascontiguousarray(picture)
    if 0 <= down <= 1 and 0 <= right <= 1:
        return cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(picture, (stream.width, stream.height), interpolation=cv2.INTER_AREA)
