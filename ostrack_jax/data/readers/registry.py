"""The readers by name, and the data set that a `DataConfig` describes.

The directory of a data set is looked up in this order: the config's `dir`, the environment variable
OSTRACK_<READER>_DIR, the table `[data]` of one TOML file (named by OSTRACK_PATHS, else ~/.config/ostrack/paths.toml).
"""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ostrack_jax.config import DataConfig
from ostrack_jax.data.frames import Orientation
from ostrack_jax.data.generated import pasted, synthetic
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import OFFICIAL, SHAPES
from ostrack_jax.data.packed.reader import is_packed, open_packed
from ostrack_jax.data.readers import coco, folder, got10k, lasot, nfs, otb, tnl2k, trackingnet, uav, vid, vot
from ostrack_jax.errors import UnknownNameError, UserError, unknown
from ostrack_jax.io import local_path, read_text

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


def open_dataset(data: DataConfig) -> LazySequences:
    """The sequences of one data set, each read when asked for.

    Args:
      data: `reader` is the layout; `dir` the directory (empty: looked up); `part`, `split` and `options` go to the
        reader where it knows them. A packed set in `dir` is read as such, whatever the reader; it was packed with its
        options.

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
        if data.part not in OFFICIAL[data.reader]:
            raise unknown(f"part of {data.reader}", data.part, OFFICIAL[data.reader])
        given["part"] = data.part
    if "split" in takes:
        given["split"] = data.split
    elif data.split != "all":
        raise UnknownNameError(f"the {data.reader} reader has no split {data.split!r}: expected split=all")
    free = [name for name in takes if name not in ("directory", "part", "split")]
    for name, value in data.options.items():
        if not free:
            raise UserError(f"the {data.reader} reader takes no options, found {name!r}")
        if name not in free:
            raise unknown(f"option of the {data.reader} reader", name, free)
        kind = type(takes[name].default)
        if type(value) is not kind:
            raise UserError(f"{data.reader} option {name}: expected {kind.__name__}, found {value!r}")
    sequences = READERS[data.reader](**given, **data.options)
    if not len(sequences) and data.reader in SHAPES:
        which = ", ".join(given[name] for name in ("part", "split") if name in given)
        of = f"{data.reader} ({which})" if which else data.reader
        raise UserError(f"no sequence of {of} in {given['directory']}: expected {SHAPES[data.reader]}")
    return sequences


def find_directory(reader: str, given: str = "") -> Path:
    """The directory of ``reader``'s data.

    Args:
      reader: a name of `READERS`.
      given: the config's directory; empty: it is looked up.

    Raises:
      UserError: it is named nowhere (the message has all three ways), or does not exist.
    """
    named = named_directory(reader, given)
    if named is None:
        raise UserError(
            f"no directory is configured for the {reader} data: give --config.data.NAME.dir=PATH (training) or "
            f"--data_dir PATH (evaluation), set OSTRACK_{reader.upper()}_DIR, or write {reader} = "
            f'"PATH" under [data] in {_paths_file()}'
        )
    directory, named_by = named
    if not directory.is_dir():
        raise UserError(f"no folder {directory} ({named_by}): expected the {reader} data there")
    return directory


def named_directory(reader: str, given: str = "") -> tuple[Path, str] | None:
    """The directory of ``reader``'s data, and what names it; None if nothing does. It may not exist."""
    variable = f"OSTRACK_{reader.upper()}_DIR"
    for named_by, value in (("as given", given), (variable, os.environ.get(variable))):
        if value:
            return local_path(value), named_by
    toml = _paths_file()
    if not toml.exists():
        if os.environ.get("OSTRACK_PATHS"):
            raise UserError(f"no file {toml} (OSTRACK_PATHS): expected a TOML file with a table [data]")
        return None
    try:
        table = tomllib.loads(read_text(toml)).get("data", {})
    except tomllib.TOMLDecodeError as e:
        raise UserError(f"{toml} is not valid TOML: {e}") from e
    value = table.get(reader) if isinstance(table, dict) else table
    if not isinstance(value, str | None) or not isinstance(table, dict):
        raise UserError(f'{toml}: expected a table [data] with {reader} = "PATH", found {value!r}')
    return None if value is None else (toml.parent / local_path(value), str(toml))


def _paths_file() -> Path:
    """The TOML file of directories: named by OSTRACK_PATHS, else in the user's configuration."""
    return local_path(os.environ.get("OSTRACK_PATHS") or "~/.config/ostrack/paths.toml")


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


def _packed(directory: Path, data: DataConfig) -> LazySequences | None:
    """The packed set in ``directory``, or in its subdirectory of the part."""
    for place in (directory, directory / data.part):
        if is_packed(place):
            return open_packed(place, data.part, data.split)
    return None


def _parameters(reader: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(READERS[reader]).parameters
