"""Small videos for tests, and what FFmpeg's decoder makes of a file from its first packet to its last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import av.error
import numpy as np
import pytest

SIZE = 64, 48
STEP = 4  # of brightness from a frame to the next


def write_video(
    path: Path,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    frames: int = 60,
    muxing: dict[str, str] | None = None,
    milliseconds: list[int] | None = None,
) -> Path:
    """A video whose frame i is grey of the level ``STEP`` i, with a moving bar and noise; skips without the encoder.

    Args:
      path: its ending says which container.
      codec: an encoder of FFmpeg.
      options: of the encoder.
      frames: how many.
      muxing: options of the container.
      milliseconds: how long the frames are shown, over and over; without it 40 each.
    """
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this build of FFmpeg has no encoder {codec}")
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        time = 0
        if milliseconds:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), STEP * i, np.uint8)
            image[:, i % 60 : i % 60 + 4] = 255 - STEP * i
            image[40:] = noise.integers(0, 256, (8, SIZE[0], 3))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if milliseconds:
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                time += milliseconds[i % len(milliseconds)]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def copy_packets(source: Path, target: Path, change: Callable[[int, Any], bool]) -> Path:
    """The video's packets in a new file, without those of which ``change`` (number, packet) says no."""
    with av.open(str(source)) as read, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(read.streams.video[0], opaque=True)
        packets = (packet for packet in read.demux(read.streams.video[0]) if packet.size)
        for i, packet in enumerate(packets):
            if change(i, packet):
                packet.stream = stream
                container.mux(packet)
    return target


def decoded(path: Path) -> list[np.ndarray]:
    """The images of a file in the decoder's order, up to where it breaks off, without those that cannot be decoded."""
    images = []
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                packet = None
            with contextlib.suppress(av.error.FFmpegError):
                for frame in stream.codec_context.decode(packet if packet and packet.size else None):
                    images.append(frame.to_ndarray(format="rgb24"))
            if packet is None or not packet.size:
                return images


def level(image: np.ndarray) -> float:
    """The number of a frame of `write_video`, by its brightness."""
    return float(np.median(image)) / STEP
