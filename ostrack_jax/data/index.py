"""Indexes of large sets, built once and kept as `.npz` files in a cache directory.

The directory is OSTRACK_CACHE, else `ostrack_jax` in XDG_CACHE_HOME, else `~/.cache/ostrack_jax`. Each file holds the
signature of what it was made from: where that has changed, it is made again, as it is where nothing can be written.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from ostrack_jax.io import cache_directory, replacing

_FORM = "1"  # of the indexes: another number makes all of them again
_THREADS = 8  # that wait for files; only one at a time computes

Arrays = dict[str, np.ndarray]
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_log = logging.getLogger(__name__)


def cached(kind: str, source: Path, signature: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays that ``make`` returns, or returned before.

    Args:
      kind: of index, such as `coco`.
      source: the file or directory that it is of.
      signature: of all that it is made from, see `sign`.
      make: reads everything.
    """
    place = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:16]
    path = cache_directory() / f"{kind}-{place}.npz"
    wanted = f"{_FORM} {signature}"
    arrays = _load(path)
    if str(arrays.pop("signature", "")) == wanted:
        return arrays
    arrays = make()
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays, signature=np.array(wanted))  # pyright: ignore[reportArgumentType]
    except OSError as e:
        _log.warning(
            "the index of this data set is made again each time, as %s cannot be written: %s", path, e.strerror
        )
    return arrays


def sign(paths: Iterable[Path]) -> str:
    """Hash names, sizes and times of change of files and directories (a directory changes with the names in it)."""
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        size = 0 if path.is_dir() else stat.st_size
        digest.update(os.fsencode(path) + f"\0{size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def each(items: list[Item], work: Callable[[Item], Outcome], what: str) -> Iterator[Outcome]:
    """Apply ``work`` to every item in several threads, results in order; shows a bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    pool = ThreadPoolExecutor(_THREADS)
    try:
        done = pool.map(work, items)
        console, quiet = Console(stderr=True), not sys.stderr.isatty()
        yield from track(done, what, total=len(items), console=console, transient=True, disable=quiet)
    finally:  # an interrupt does not wait for the rest
        pool.shutdown(cancel_futures=True)


def _load(path: Path) -> Arrays:
    """The arrays of a file of the cache; none where it is missing or corrupt."""
    try:
        with path.open("rb") as file:
            return dict(np.lib.npyio.NpzFile(file, allow_pickle=False))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return {}
