"""The readers by name. Enters: one data set's `DataConfig`. Leaves: its sequences."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ostrack_jax.config import DataConfig
from ostrack_jax.datasets.coco import open_coco
from ostrack_jax.datasets.folder import open_folder
from ostrack_jax.datasets.got10k import open_got10k
from ostrack_jax.datasets.lasot import open_lasot
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.otb import open_otb
from ostrack_jax.datasets.pasted import open_pasted
from ostrack_jax.datasets.paths import find_folder
from ostrack_jax.datasets.synthetic import open_synthetic
from ostrack_jax.datasets.trackingnet import open_trackingnet
from ostrack_jax.datasets.vid import open_vid
from ostrack_jax.errors import UnknownNameError, UserError, unknown

READERS: dict[str, Callable[..., LazySequences]] = {
    "coco": open_coco,
    "folder": open_folder,
    "got10k": open_got10k,
    "lasot": open_lasot,
    "otb": open_otb,
    "pasted": open_pasted,
    "synthetic": open_synthetic,
    "trackingnet": open_trackingnet,
    "vid": open_vid,
}


def open_dataset(data: DataConfig) -> LazySequences:
    """The sequences of one data set, each read when asked for.

    Args:
      data: `reader` says the layout; `dir` the folder (empty: looked up, see `paths`); `part`, `split` and `options`
        go to the reader where it knows them.

    Raises:
      UserError: an unknown reader, part, split or option, a missing or foreign folder.
    """
    if data.reader not in READERS:
        raise unknown("reader", data.reader, READERS)
    reader = READERS[data.reader]
    takes = inspect.signature(reader).parameters
    given: dict[str, Any] = {}
    if "folder" in takes:
        given["folder"] = find_folder(data.reader, data.dir)
    if "part" in takes:
        given["part"] = data.part
    if "split" in takes:
        given["split"] = data.split
    elif data.split != "all":
        raise UnknownNameError(f"the {data.reader} reader knows no split {data.split!r}: expected split=all")
    return reader(**given, **_checked(data, takes))


def _checked(data: DataConfig, takes: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The options, each known to the reader and of its default's type."""
    free = [name for name in takes if name not in ("folder", "part", "split")]
    for name, value in data.options.items():
        if not free:
            raise UserError(f"the {data.reader} reader takes no options, found {name!r}")
        if name not in free:
            raise unknown(f"option of the {data.reader} reader", name, free)
        kind = type(takes[name].default)
        if type(value) is not kind:
            raise UserError(f"{data.reader} option {name}: expected {kind.__name__}, found {value!r}")
    return dict(data.options)
