"""Frames of a video file by index. Enters: a path PyAV can open. Leaves: RGB frames, exact in any order of access.

Reading on is as fast as the decoder; a jump decodes from the key frame before. Rotation tags are ignored.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, SupportsIndex

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from ostrack_jax.datasets.frames import within
from ostrack_jax.errors import UserError

# Frames ahead that are reached sooner by decoding on than by a jump to a key frame.
_REACH = 16


class VideoFrames:
    """The frames of a video's first stream in the order they are shown; picklable (the file is opened again)."""

    def __init__(self, path: Path | str) -> None:
        self._path = os.fspath(path)
        self._times: list[int] = []  # when frame i is shown; empty for files whose packets do not all say it
        self._count = -1  # of frames; -1: not counted yet
        self._forget()

    def __len__(self) -> int:
        """Number of frames, counted once: from the packets where they carry times, else by decoding."""
        if self._count < 0:
            self._scan()
        return self._count

    def __getitem__(self, frame: SupportsIndex, /) -> UInt8[np.ndarray, "h w 3"]:
        """Decode frame ``frame``; a `UserError` names file and frame where that fails."""
        index = within(frame, len(self))
        try:
            if index != self._shown:
                self._decode(index)
        except av.error.FFmpegError as e:
            self.close()
            raise UserError(f"cannot decode frame {index} of the video {self._path}: {e.strerror}") from e
        if index != self._shown:
            self.close()
            raise UserError(f"cannot decode frame {index} of the video {self._path}: the pictures end before it")
        return self._frame.to_ndarray(format="rgb24")

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_times": self._times, "_count": self._count}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._container: Any = None
        self._decoder: Iterator[Any] = iter(())
        self._frame: Any = None
        self._shown = -1  # the index of _frame

    def close(self) -> None:
        """Close the file; the next frame that is asked for opens it again."""
        if self._container is not None:
            self._container.close()
        self._forget()

    def _open(self) -> Any:
        try:
            container = av.open(self._path)
        except (av.error.FFmpegError, OSError) as e:
            raise UserError(f"cannot open the video {self._path}: {e.strerror}") from e
        if not container.streams.video:
            container.close()
            raise UserError(f"cannot read {self._path}: it holds no video")
        return container

    def _scan(self) -> None:
        """Count the frames and note when each is shown."""
        times: list[int | None] = []
        with self._open() as container:
            try:
                times.extend(
                    packet.pts
                    for packet in container.demux(video=0)
                    if packet.size and not packet.is_discard and not packet.is_corrupt
                )
            except av.error.FFmpegError as e:  # a file cut short is read as far as it goes
                if not times:
                    raise UserError(f"cannot read the video {self._path}: {e.strerror}") from e
        known = sorted({time for time in times if time is not None})
        self._times = known if len(known) == len(times) else []
        self._count = len(known) if self._times else self._count_pictures()

    def _count_pictures(self) -> int:
        count = 0
        with self._open() as container:
            try:
                for _ in container.decode(video=0):
                    count += 1
            except av.error.FFmpegError as e:
                if not count:
                    raise UserError(f"cannot read the video {self._path}: {e.strerror}") from e
        return count

    def _decode(self, index: int) -> None:
        """Bring frame ``index`` into ``_frame``, or leave ``_shown`` elsewhere where the file has it not."""
        if not self._shown < index <= self._shown + _REACH or self._container is None:
            self._restart(index)
        self._read_on(index)
        if self._shown != index:  # the jump landed late, as in files without a table of key frames
            self._restart(0)
            self._read_on(index)

    def _restart(self, index: int) -> None:
        jump = bool(self._times) and index > _REACH
        if self._container is None or not jump:
            self.close()
            self._container = self._open()
        if jump:
            stream = self._container.streams.video[0]
            self._container.seek(self._times[index], stream=stream, backward=True)
        self._decoder = self._container.decode(video=0)
        self._shown = -1

    def _read_on(self, index: int) -> None:
        for frame in self._decoder:
            if not self._times:
                self._shown += 1
            elif frame.pts is None:
                continue
            else:
                self._shown = bisect.bisect_left(self._times, frame.pts)
            if self._shown >= index:
                self._frame = frame
                return
