"""The readers by name, and the data set that a `DataConfig` describes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ostrack_jax.config import DataConfig
from ostrack_jax.data.frames import Orientation
from ostrack_jax.data.generated import pasted, synthetic
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.packed.reader import is_packed, open_packed
from ostrack_jax.data.paths import find_directory
from ostrack_jax.data.readers import coco, folder, got10k, lasot, nfs, otb, tnl2k, trackingnet, uav, vid, vot
from ostrack_jax.errors import UnknownNameError, UserError, unknown
from ostrack_jax.io import local_path

READERS: dict[str, Callable[..., LazySequences]] = {
    "coco": coco.open_coco,
    "dtb70": otb.open_dtb70,
    "folder": folder.open_folder,
    "got10k": got10k.open_got10k,
    "itb": tnl2k.open_itb,
    "lasot": lasot.open_lasot,
    "lasot_ext": lasot.open_lasot_ext,
    "nfs": nfs.open_nfs,
    "otb": otb.open_otb,
    "pasted": pasted.open_pasted,
    "synthetic": synthetic.open_synthetic,
    "tc128": otb.open_tc128,
    "tnl2k": tnl2k.open_tnl2k,
    "trackingnet": trackingnet.open_trackingnet,
    "uav": uav.open_uav,
    "uavdt": uav.open_uavdt,
    "vid": vid.open_vid,
    "vot": vot.open_vot,
}

# Published lists by reader: a packed set remembers which of them it holds.
_LISTS = {
    "coco": ("train2017", "val2017"),
    "got10k": ("train_full", "vot_train", "vot_val"),
    "lasot": ("train", "test"),
    "otb": ("otb100",),
}


def open_dataset(data: DataConfig) -> LazySequences:
    """The sequences of one data set, each read when asked for.

    Args:
      data: `reader` is the layout; `dir` the directory (empty: looked up, see `paths`); `part`, `split` and `options`
        go to the reader where it knows them. A packed set in `dir` is read as such, whatever the reader; it was packed
        with its options.

    Raises:
      UserError: an unknown reader, part, split or option, a missing directory or one of another layout.
    """
    if data.reader not in READERS:
        raise unknown("reader", data.reader, READERS)
    if data.dir and (packed := _packed(local_path(data.dir), data)):
        return packed
    takes = _parameters(data.reader)
    given: dict[str, Any] = {}
    if "directory" in takes:
        given["directory"] = find_directory(data.reader, data.dir)
        if packed := _packed(given["directory"], data):
            return packed
    if "part" in takes:
        given["part"] = data.part
    if "split" in takes:
        given["split"] = data.split
    elif data.split != "all":
        raise UnknownNameError(f"the {data.reader} reader knows no split {data.split!r}: expected split=all")
    free = [name for name in takes if name not in ("directory", "part", "split")]
    for name, value in data.options.items():
        if not free:
            raise UserError(f"the {data.reader} reader takes no options, found {name!r}")
        if name not in free:
            raise unknown(f"option of the {data.reader} reader", name, free)
        kind = type(takes[name].default)
        if type(value) is not kind:
            raise UserError(f"{data.reader} option {name}: expected {kind.__name__}, found {value!r}")
    return READERS[data.reader](**given, **data.options)


def takes_orientation(reader: str) -> bool:
    """Whether a reader's images may be the user's own, which can be read as shown or as stored."""
    return reader in READERS and "orientation" in _parameters(reader)


def orientation_of(data: DataConfig) -> Orientation:
    """How the images of a set are read: the user's own by its option, published ones as stored."""
    option = _parameters(data.reader).get("orientation")
    return "stored" if option is None else data.options.get("orientation", option.default)


def knows_parts(reader: str) -> bool:
    """Whether a reader's sets have parts."""
    return "part" in _parameters(reader)


def published_splits(data: DataConfig, names: list[str]) -> dict[str, list[int]]:
    """The published lists all of whose sequences are among ``names``, as positions there."""
    place = {name: i for i, name in enumerate(names)}
    found = {}
    for split in _LISTS.get(data.reader, ()):
        try:
            wanted = open_dataset(dataclasses.replace(data, split=split)).names
        except UserError:  # of another part, or of more than the directory holds
            continue
        if all(name in place for name in wanted):
            found[split] = [place[name] for name in wanted]
    return found


def _packed(directory: Path, data: DataConfig) -> LazySequences | None:
    """The packed set in ``directory``, or in its subdirectory of the part."""
    for place in (directory, directory / data.part):
        if is_packed(place):
            return open_packed(place, data.part, data.split)
    return None


def _parameters(reader: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(READERS[reader]).parameters
