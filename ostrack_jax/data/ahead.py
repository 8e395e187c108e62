"""Frames in order, decoded before they are asked for. Enters: `Frames`. Leaves: the same, one after another.

Threads decode, since OpenCV and FFmpeg work beside Python. At most `ahead` frames wait in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor

from ostrack_jax.data.frames import Image, OpenFrames, StoredFrames, close_frames
from ostrack_jax.data.sequence import Frames

AHEAD = 2


def read_ahead(frames: Frames, workers: int = 1, ahead: int = AHEAD) -> Generator[Image, None, None]:
    """Every frame in order; the first ones are begun at once. Close it (or use it up) to end its threads; it closes a
    video's file.

    Args:
      frames: of one sequence. Pictures stored one by one are decoded by several threads; a video, whose frames follow
        from one another, by one.
      workers: threads at most.
      ahead: frames decoded or being decoded beyond the one handed out last; at least ``workers`` are.

    Raises:
      UserError: when its turn comes, a frame that cannot be read.
    """
    threads = max(workers, 1) if isinstance(frames, StoredFrames) else 1
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    rest = iter(range(len(frames)))
    waiting: deque[Future[Image]] = deque()

    def begin_next() -> None:
        index = next(rest, None)
        if index is not None:
            waiting.append(pool.submit(frames.__getitem__, index))

    for _ in range(max(ahead, threads)):
        begin_next()
    return _in_order(frames, pool, waiting, begin_next)


def _in_order(
    frames: Frames, pool: ThreadPoolExecutor, waiting: deque[Future[Image]], begin_next: Callable[[], None]
) -> Generator[Image, None, None]:
    try:
        while waiting:
            frame = waiting.popleft().result()
            begin_next()
            yield frame
    finally:
        # A file is not closed while a thread decodes from it.
        pool.shutdown(wait=isinstance(frames, OpenFrames), cancel_futures=True)
        close_frames(frames)
