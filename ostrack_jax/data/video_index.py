"""The frames of a video file and where decoding can begin (`VideoIndex`), found by its packets or by decoding.

The images of a video are those that FFmpeg's decoder gives from the first packet to the last, in that order: what a
player shows. Only the packets of mp4, mov, Matroska and WebM hold the time at which each is shown: they are counted
without decoding. Elsewhere (AVI and ASF carry no such times, a stream may begin anywhere) the file is decoded once.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Shaped

from ostrack_jax.errors import UserError

DAMAGED = "a video is damaged: copy it again"  # the fix of an error
_TIMED_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# Codecs of which each packet gives one image; so does each that knows no other images than key frames.
_TIMED_CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "ffv1")
_HEAD = 16  # frames that are decoded to see that they come as the packets say
_LEAST_MPEG4 = 16  # bytes; a smaller packet may be one of "not coded": no image
_PROGRESSIVE = (0, 1)  # field orders: unknown, none. Fields of others may lie in packets of their own.


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video in the order they are shown, and where decoding can begin.

    Attributes:
      timed: whether frames are known by their time; else by a checksum of their values.
      marks: by which frame i is known; times rise.
      keys: the key frames' numbers, rising; ``starts`` the times to seek to for each.
    """

    timed: bool
    marks: list[int]
    keys: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def mark(self, frame: av.VideoFrame, reformatter: VideoReformatter) -> int | None:
        """What stands in ``marks`` for this frame."""
        return frame.pts if self.timed else zlib.crc32(frame_values(frame, reformatter).data)


def open_video(path: Path | str) -> tuple[InputContainer, VideoStream]:
    """An open file, and of its streams the one that players show.

    Raises:
      UserError: it cannot be opened, or holds no video that can be decoded; cover art is none.
    """
    try:
        # FFmpeg takes a bare name with a colon for an address. Text in the file may be of any encoding.
        container = av.open(f"file:{os.fspath(path)}", metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as e:
        raise UserError(f"cannot open the video {path}: {e.strerror}", DAMAGED) from e
    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    stream = next((one for one in streams if one is best), streams[0] if streams else None)
    if stream is None or stream.codec_context is None:
        container.close()
        reason = "it holds no video" if stream is None else "this build of FFmpeg has no decoder for it"
        raise UserError(f"cannot read {path}: {reason}", DAMAGED)
    return container, stream


def decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """The frames from where the file stands to its end.

    As players do, what cannot be decoded is left out, and a file that breaks off is read as far as it goes.
    """
    packets = container.demux(stream)
    while packet := _next(packets):
        if packet.size:  # an empty one would be taken for the end
            if stream.codec_context.copy_opaque:
                packet.opaque = packet.dts
            yield from _decode(stream, packet)
    yield from _decode(stream, None)


def frame_values(frame: av.VideoFrame, reformatter: VideoReformatter) -> Shaped[np.ndarray, "h w *c"]:
    """A decoded frame as RGB bytes (h, w, 3), or as 16-bit values (h, w) where it is grey of more than 8 bits."""
    grey = frame.format.name.startswith(("gray", "ya")) and frame.format.components[0].bits > 8
    converted = reformatter.reformat(frame, format="gray16le" if grey else "rgb24")
    values = converted.to_ndarray()
    return values.copy() if converted is frame else values


def read_index(path: Path | str) -> VideoIndex:
    """Find the frames of a video.

    Raises:
      UserError: as `open_video`, or no frame can be decoded.
    """
    container, stream = open_video(path)
    with container:
        index = _by_packets(container, stream)
    return index_by_decoding(path) if index is None else index


def index_by_decoding(path: Path | str) -> VideoIndex:
    """Find the frames by decoding them all; errors as `read_index`."""
    index = VideoIndex(False, [])
    reformatter = VideoReformatter()
    container, stream = open_video(path)
    stream.codec_context.copy_opaque = True  # a frame has the time of its packet, where one can seek to
    with container:
        for frame in decode(container, stream):
            if frame.key_frame and isinstance(frame.opaque, int):
                index.keys.append(len(index.marks))
                index.starts.append(frame.opaque)
            mark = index.mark(frame, reformatter)
            assert mark is not None
            index.marks.append(mark)
    if not index.marks:
        raise UserError(f"cannot read the video {path}: no frame of it can be decoded", DAMAGED)
    return index


def _by_packets(container: InputContainer, stream: VideoStream) -> VideoIndex | None:
    """The index by the packets' times; None where these cannot be trusted."""
    codec = stream.codec_context
    name = stream.codec.canonical_name
    if container.format.name not in _TIMED_CONTAINERS or codec.field_order not in _PROGRESSIVE:
        return None
    if name not in _TIMED_CODECS and not stream.codec.intra_only:
        return None
    times: list[int] = []
    keys: list[int] = []
    head: list[av.VideoFrame] = []
    first: int | None = None
    try:
        for packet in container.demux(stream):
            if len(head) < _HEAD:
                head += packet.decode()
            if not packet.size:
                continue
            corrupt = packet.is_corrupt or not any(memoryview(packet)[:4])  # zeros: a file that was never completed
            if packet.pts is None or corrupt or (name == "mpeg4" and packet.size < _LEAST_MPEG4):
                return None
            if first is None:
                if not packet.is_keyframe:
                    return None
                first = packet.pts
            if not packet.is_discard:
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
    except av.error.FFmpegError:
        return None
    marks = sorted(set(times))
    if len(marks) != len(times) or first is None or not marks or marks[0] < first:
        return None
    head = head[:_HEAD]
    if [frame.pts for frame in head] != marks[:_HEAD] or any(frame.interlaced_frame for frame in head):
        return None
    keys.sort()
    if [frame.pts for frame in head if frame.key_frame] != [key for key in keys if key <= marks[len(head) - 1]]:
        return None
    return VideoIndex(True, marks, np.searchsorted(marks, keys).tolist(), keys)


def _next(packets: Iterator[av.Packet[VideoStream]]) -> av.Packet[VideoStream] | None:
    try:
        return next(packets, None)
    except av.error.FFmpegError:  # the file breaks off
        return None


def _decode(stream: VideoStream, packet: av.Packet[VideoStream] | None) -> list[av.VideoFrame]:
    """The frames that the decoder gives for a packet, or at the end; none where the data is corrupt."""
    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError:
        return []
