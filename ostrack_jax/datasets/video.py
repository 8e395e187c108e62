"""Frames of a video file by index. Enters: a path FFmpeg can open. Leaves: RGB frames, exact in any order of access.

Reading on is as fast as the decoder; a jump decodes from the key frame before.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, SupportsIndex

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from ostrack_jax.datasets.frames import within
from ostrack_jax.datasets.video_index import VideoIndex, decode, frame_values, open_video, read_index
from ostrack_jax.errors import UserError

# shown: as a player shows it, its rotation tag applied; stored: that tag ignored.
Orientation = Literal["shown", "stored"]

# Frames ahead that are reached sooner by decoding on than by a jump to a key frame.
_REACH = 16
_DEGREE = 0.0175  # its sine: quarter turns that are rounded so far still count


class VideoFrames:
    """The frames of a video in the order they are shown; picklable (the file is opened again)."""

    def __init__(self, path: Path | str, orientation: Orientation = "shown") -> None:
        """Remember where the video is.

        Args:
          path: of a file of any container and codec that FFmpeg reads.
          orientation: whether the rotation tag is applied, see `Orientation`.
        """
        self._path = os.fspath(path)
        self._orientation: Orientation = orientation
        self._known: VideoIndex | None = None
        self._forget()

    def __len__(self) -> int:
        """Number of frames, counted once: from the packets where they carry times, else by decoding."""
        return len(self._index.marks)

    def __getitem__(self, frame: SupportsIndex, /) -> UInt8[np.ndarray, "h w 3"]:
        """Decode frame ``frame``; a `UserError` names file and frame where that fails."""
        index = within(frame, len(self))
        if not self._reach(index):
            self.close()
            raise UserError(f"cannot decode frame {index} of the video {self._path}: no image comes of its data")
        image = frame_values(self._frame, self._reformatter)
        return image if self._orientation == "stored" else _turned(image, self._frame, self._path)

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_orientation": self._orientation, "_known": self._known}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @property
    def _index(self) -> VideoIndex:
        if self._known is None:
            self._known = read_index(self._path)
        return self._known

    def _forget(self) -> None:
        self._file: tuple[InputContainer, VideoStream] | None = None
        self._decoder: Iterator[av.VideoFrame] = iter(())
        self._reformatter = VideoReformatter()
        self._frame: Any = None
        self._shown = -1  # the index of _frame
        self._jumped = False  # since the file was opened

    def close(self) -> None:
        """Close the file; the next frame that is asked for opens it again."""
        if self._file is not None:
            self._file[0].close()
        self._forget()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        self._file = open_video(self._path)
        self._decoder = decode(*self._file)
        return self._file

    def _reach(self, index: int) -> bool:
        """Bring frame ``index`` into ``_frame``; whether the file has it."""
        if index == self._shown:
            return True
        keys, starts = self._index.keys, self._index.starts
        key = bisect.bisect_right(keys, index) - 1
        start = keys[key] if key >= 0 else 0
        ahead = index - self._shown
        if self._file is not None and ahead > 0 and (ahead <= _REACH or start <= self._shown):
            if self._read_on(index):
                return True
        elif start:
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
                return True
        return False

    def _read_on(self, index: int) -> bool:
        """Decode up to frame ``index``; False where another comes in its place."""
        timed, marks = self._index.timed, self._index.marks
        while self._shown < index and (found := next(self._decoder, None)):
            self._frame = found
            self._shown = bisect.bisect_left(marks, found.pts or 0) if timed else self._shown + 1
        if self._shown != index:
            return False
        certain = not timed and not self._jumped  # counted from the first
        return certain or self._index.mark(self._frame, self._reformatter) == marks[index]


def frame_rate(path: Path, otherwise: float = 30.0) -> float:
    """Frames a second that a video file states; ``otherwise`` for a folder, or where it states none of sense.

    Raises:
      UserError: it is no video.
    """
    if path.is_dir():
        return otherwise
    container, stream = open_video(path)
    with container:
        rate = stream.average_rate
    return float(rate) if rate and 0.1 <= rate <= 1000 else otherwise


def _turned(image: UInt8[np.ndarray, "h w 3"], frame: av.VideoFrame, path: str) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The image as the frame's display matrix has it: a pixel (x, y) is shown at (a x + c y, b x + d y)."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return image
    (a, b), (c, d) = np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2] / 65536
    if max(abs(a), abs(d)) > _DEGREE and max(abs(b), abs(c)) > _DEGREE:
        raise UserError(
            f"{path} is to be shown turned by {-frame.rotation} degrees: expected quarter turns; "
            "orientation stored reads it as it is stored"
        )
    if max(abs(b), abs(c)) > _DEGREE:
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
