"""TensorBoard's file. Enters: numbers and PNGs by tag at a step. Leaves: an event file, or the error of writing it.

Not by tensorboardX's `SummaryWriter`: its thread dies unheard where the disk is full, and training waits for it then.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tensorboardX.proto import event_pb2, summary_pb2
from tensorboardX.record_writer import RecordWriter

_EVERY = 10.0  # seconds between flushes, which wait for the disk

# generated: unknown to type checkers
_event, _summary = cast(Any, event_pb2), cast(Any, summary_pb2).Summary


class Board:
    """One event file in ``folder``; what earlier files there tell of steps after ``resumed_at`` is no longer shown."""

    def __init__(self, folder: Path, resumed_at: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = RecordWriter(str(folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"))
        self._flushed = time.monotonic()
        self._write(file_version="brain.Event:2")
        self._write(step=resumed_at + 1, session_log=_event.SessionLog(status=_event.SessionLog.START))

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """A point of each curve."""
        points = [_summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=_summary(value=points))

    def picture(self, step: int, tag: str, png: bytes, height: int, width: int) -> None:
        """A picture that is a PNG already."""
        image = _summary.Image(encoded_image_string=png, height=height, width=width, colorspace=3)
        self._write(step=step, summary=_summary(value=[_summary.Value(tag=tag, image=image)]))

    def _write(self, **fields: Any) -> None:
        self._file.write(_event.Event(wall_time=time.time(), **fields).SerializeToString())
        if time.monotonic() - self._flushed > _EVERY:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()
