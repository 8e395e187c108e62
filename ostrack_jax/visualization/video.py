"""Images as an mp4 file."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import av.error
import cv2
import numpy as np

from ostrack_jax.errors import UserError
from ostrack_jax.io import replacing
from ostrack_jax.visualization.draw import Image

# The first that this build of FFmpeg has: H.264 plays everywhere, MPEG-4 is in every build.
_ENCODERS = (("libx264", {"crf": "20", "preset": "veryfast"}), ("mpeg4", {"qscale": "3"}))


def write_video(path: Path, images: Iterable[Image], rate: float = 30.0) -> int:
    """Write an mp4 file, complete or not at all; the number of images in it.

    The first image's size, made even, is the video's; others are brought to it.

    Args:
      path: ends in `.mp4`; its directory is made.
      images: RGB, consumed as they come.
      rate: images a second.

    Raises:
      UserError: another ending, no image, a rate out of range, or this build of FFmpeg can write none of the codecs.
    """
    check(path, rate)
    try:
        with replacing(path) as temporary:
            count = _encode(temporary, images, rate)
            if not count:
                raise UserError(f"cannot write the video {path}: there are no frames")
    except av.error.FFmpegError as e:
        raise UserError(f"cannot write the video {path}: {e.strerror}") from e
    return count


def check(path: Path, rate: float) -> None:
    """Raise the `UserError` of a name or a rate that `write_video` cannot write, before the frames are made."""
    if path.suffix.lower() != ".mp4":
        raise UserError(f"cannot write the video {path}: expected a name that ends in .mp4")
    if not 0.1 <= rate <= 1000:
        raise UserError(f"cannot write {path} at {rate} frames a second: expected 0.1 to 1000")


def _encode(path: Path, images: Iterable[Image], rate: float) -> int:
    count = 0
    # Without file: a colon in the name would end the name of a protocol.
    with av.open(f"file:{path}", "w", format="mp4") as container:
        stream: Any = None
        for image in images:
            if stream is None:
                stream = _add_stream(container, image.shape[1], image.shape[0], rate)
            size = stream.width, stream.height
            fitting = image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(fitting), format="rgb24")
            container.mux(stream.encode(frame))
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
