"""Frames of a video file by index, exact in any order of access.

Reading on is as fast as the decoder; a jump decodes from the key frame before.

The images of a video are those that FFmpeg's decoder gives from the first packet to the last, in that order: what a
player shows. Only the packets of mp4, mov, Matroska and WebM hold the time at which each is shown: they are counted
without decoding. Elsewhere (AVI and ASF carry no such times, a stream may begin anywhere) the file is decoded once.
"""

from __future__ import annotations

import bisect
import functools
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Float, Shaped

from ostrack_jax.data.frames import Orientation, StoredFrames
from ostrack_jax.errors import UserError

# Frames ahead that are reached sooner by decoding on than by a jump to a key frame.
_REACH = 16
_DEGREE = 0.0175  # its sine: quarter turns that are rounded so far still count
_KEPT = ("_path", "_orientation", "_index", "_count", "_levels")  # of a pickled video

_DAMAGED = "a video is damaged: copy it again"  # the fix of an error
_TIMED_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# Codecs of which each packet gives one image; so does each that knows no other images than key frames.
_TIMED_CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "ffv1")
_HEAD = 16  # frames that are decoded to check that they come in the packets' order
_LEAST_MPEG4 = 16  # bytes; a smaller packet may be one of "not coded": no image
_PROGRESSIVE = (0, 1)  # field orders: unknown, none. Fields of others may lie in packets of their own.


class VideoFrames(StoredFrames):
    """The frames of a video in the order they are shown; picklable (the file is opened again)."""

    def __init__(self, path: Path | str, orientation: Orientation = "shown") -> None:
        """Remember where the video is.

        Args:
          path: of a file of any container and codec that FFmpeg reads.
          orientation: whether the rotation tag is applied, see `frames.Orientation`.
        """
        super().__init__(orientation)
        self._path = os.fspath(path)
        self._forget()

    def __len__(self) -> int:
        """Number of frames, counted once: from the packets where they carry times, else by decoding."""
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in _KEPT if name in self.__dict__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def name(self, index: int, /) -> str:
        """The path of the video, whatever the frame."""
        return self._path

    def close(self) -> None:
        """Close the file; the next frame that is asked for opens it again."""
        if self._file is not None:
            self._file[0].close()
        self._forget()

    @functools.cached_property
    def _index(self) -> VideoIndex:
        container, stream = open_video(self._path)
        with container:
            index = _by_packets(container, stream)
        return index_by_decoding(self._path) if index is None else index

    @functools.cached_property
    def _count(self) -> int:
        return len(self._index.marks)

    def values(self, index: int, orientation: Orientation, /) -> Shaped[np.ndarray, "h w 3"]:
        """Decode frame ``index``.

        Raises:
          UserError: it cannot be decoded; names file and frame.
        """
        found = self._reach(index)
        if not found and self._index.timed:
            # An image that the packets promise does not come of their data: frames are those that come.
            self.close()
            self._index = index_by_decoding(self._path)
            found = self._reach(index)
        if not found:
            self.close()
            raise UserError(
                f"cannot decode frame {index} of the video {self._path}: its data is corrupt, "
                f"only {len(self._index.marks)} of {len(self)} images come of it",
                fix=_DAMAGED,
            )
        values = frame_values(self._frame, self._reformatter)
        if values.ndim == 2:
            values = np.repeat(values[..., None], 3, axis=2)
        return values if orientation == "stored" else _turned(values, self._frame, self._path)

    def is_turned(self) -> bool:
        """Whether a display matrix turns or mirrors the first frame."""
        self.values(0, "stored")
        (a, b), (c, d) = _display_matrix(self._frame)
        return bool(max(abs(b), abs(c)) > _DEGREE or min(a, d) < 0)

    def _forget(self) -> None:
        self._file: tuple[InputContainer, VideoStream] | None = None
        self._decoder: Iterator[av.VideoFrame] = iter(())
        self._reformatter = VideoReformatter()
        self._frame: Any = None
        self._shown = -1  # the index of _frame
        self._jumped = False  # since the file was opened

    def _open(self) -> tuple[InputContainer, VideoStream]:
        self._file = open_video(self._path)
        self._decoder = decode(*self._file)
        return self._file

    def _reach(self, index: int) -> bool:
        """Bring frame ``index`` into ``_frame``; whether the file has it."""
        if index == self._shown or index >= len(self._index.marks):
            return index == self._shown
        keys, starts = self._index.keys, self._index.starts
        key = bisect.bisect_right(keys, index) - 1
        start = keys[key] if key >= 0 else 0
        ahead = index - self._shown
        if self._file is not None and ahead > 0 and (ahead <= _REACH or start <= self._shown):
            if self._read_on(index):
                return True
        elif start or (key == 0 and self._index.timed):
            if self._jump(start, starts[key]):
                if self._read_on(index):
                    return True
            else:  # not to be tried again
                del keys[key], starts[key]
        self.close()
        self._open()  # from the first frame on, which is always right
        return self._read_on(index)

    def _jump(self, frame: int, time: int) -> bool:
        """Decode from the key frame at ``time``, which is frame ``frame``, and make sure that it is."""
        container, stream = self._file or self._open()
        try:
            container.seek(time, stream=stream)
        except av.error.FFmpegError:  # it cannot be sought in
            return False
        self._decoder = decode(container, stream)
        self._jumped = True
        # The decoder may give others first: the seek may end earlier, and images before the key frame may follow it.
        for found, _ in zip(self._decoder, range(frame + 1), strict=False):
            if self._index.mark(found, self._reformatter) == self._index.marks[frame]:
                self._frame, self._shown = found, frame
                return found.key_frame  # what the container takes for one need not be
        return False

    def _read_on(self, index: int) -> bool:
        """Decode up to frame ``index``; False where another comes in its place."""
        timed, marks = self._index.timed, self._index.marks
        while self._shown < index and (found := next(self._decoder, None)):
            self._frame, self._shown = found, self._shown + 1
            if timed and found.pts != marks[self._shown]:
                return False
        if self._shown != index:
            return False
        # Where nothing was sought, counting is enough.
        return timed or not self._jumped or self._index.mark(self._frame, self._reformatter) == marks[index]


def frame_rate(path: Path, otherwise: float = 30.0) -> float:
    """Frames a second that a video file states; ``otherwise`` for a directory, or if it states no usable rate.

    Raises:
      UserError: it is not a video.
    """
    if path.is_dir():
        return otherwise
    container, stream = open_video(path)
    with container:
        rate = stream.average_rate
    return float(rate) if rate and 0.1 <= rate <= 1000 else otherwise


def _display_matrix(frame: av.VideoFrame) -> Float[np.ndarray, "2 2"]:
    """((a, b), (c, d)) of the frame's display matrix, see `_turned`; the identity where it has none."""
    data = frame.side_data.get("DISPLAYMATRIX")
    return np.eye(2) if data is None else np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2] / 65536


def _turned(
    values: Shaped[np.ndarray, "h w *c"], frame: av.VideoFrame, path: str
) -> Shaped[np.ndarray, "shown_h shown_w *c"]:
    """The image as the frame's display matrix has it: a pixel (x, y) is shown at (a x + c y, b x + d y)."""
    (a, b), (c, d) = _display_matrix(frame)
    across = max(abs(b), abs(c)) > _DEGREE
    if across and max(abs(a), abs(d)) > _DEGREE:
        raise UserError(
            f"the video {path} is to be shown turned by {-frame.rotation} degrees: expected quarter turns; "
            "with the orientation `stored` it is read unturned"
        )
    if across:
        values, a, d = values.swapaxes(0, 1), c, b
    return np.ascontiguousarray(values[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


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
        """The entry of ``marks`` for this frame."""
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
        raise UserError(f"cannot open the video {path}: {e.strerror}", _DAMAGED) from e
    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    stream = next((one for one in streams if one is best), streams[0] if streams else None)
    if stream is None or stream.codec_context is None:
        container.close()
        reason = "it holds no video" if stream is None else "this build of FFmpeg has no decoder for it"
        raise UserError(f"cannot read {path}: {reason}", _DAMAGED)
    return container, stream


def decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """The frames from the file's current position to its end.

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


def index_by_decoding(path: Path | str) -> VideoIndex:
    """Find the frames by decoding them all; a `UserError` where none can be decoded, or as `open_video`."""
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
        raise UserError(f"cannot read the video {path}: no frame of it can be decoded", _DAMAGED)
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
