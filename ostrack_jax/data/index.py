"""Indexes of large sets, made once. Enters: what a set's files say. Leaves: arrays, from the cache where it has them.

The cache is a folder of `.npz` files: OSTRACK_CACHE, else `ostrack_jax` in XDG_CACHE_HOME, else `~/.cache/ostrack_jax`.
Each says by its signature what it was made from: where that has changed, it is made again. A place that cannot be
written to costs the time of making it again, no more.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from ostrack_jax.io import local_path

_FORM = "1"  # of the indexes: another number makes all of them anew
_THREADS = 8  # that wait for files; only one at a time computes

Arrays = dict[str, np.ndarray]
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_log = logging.getLogger(__name__)


def cached(kind: str, source: Path, signature: str, make: Callable[[], Arrays]) -> Arrays:
    """What ``make`` gives, or gave before.

    Args:
      kind: of index, such as `coco`.
      source: the file or folder that it is of.
      signature: of all that it is made from, see `sign`.
      make: reads everything.
    """
    place = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:16]
    path = cache_directory() / f"{kind}-{place}.npz"
    wanted = f"{_FORM} {signature}"
    arrays = _load(path)
    if arrays is None or str(arrays.pop("signature", "")) != wanted:
        arrays = make()
        _save(path, {**arrays, "signature": np.array(wanted)})
    return arrays


def sign(paths: Iterable[Path]) -> str:
    """A hash of the names, sizes and times of change of files and folders (a folder changes with the names in it)."""
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        size = 0 if path.is_dir() else stat.st_size
        digest.update(os.fsencode(path) + f"\0{size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def cache_directory() -> Path:
    """Where indexes are kept; need not exist."""
    if given := os.environ.get("OSTRACK_CACHE"):
        return local_path(given)
    return local_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ostrack_jax"


def each(items: list[Item], work: Callable[[Item], Outcome], what: str) -> Iterator[Outcome]:
    """``work`` done to every item in order, several waiting for their files at a time; a bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    pool = ThreadPoolExecutor(_THREADS)
    try:
        done = pool.map(work, items)
        console, quiet = Console(stderr=True), not sys.stderr.isatty()
        yield from track(done, what, total=len(items), console=console, transient=True, disable=quiet)
    finally:  # an interrupt does not wait for the rest
        pool.shutdown(cancel_futures=True)


def _load(path: Path) -> Arrays | None:
    """The arrays of a file of the cache; None where there is none, or a broken one."""
    try:
        if not zipfile.is_zipfile(path):  # numpy would leave it open
            return None
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def _save(path: Path, arrays: Arrays) -> None:
    part = path.with_name(f"{path.stem}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType] (none is named as a flag)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as e:
        _log.warning("the index of this data set is made anew each time, as %s cannot be written: %s", path, e.strerror)
