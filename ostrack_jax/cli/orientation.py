"""The flag `--orientation`: images and videos read as shown, or as stored."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from ostrack_jax.errors import UserError

if TYPE_CHECKING:
    from ostrack_jax.data.frames import Orientation

_WAYS = ("shown", "stored")  # of `frames.Orientation`, which takes numpy and OpenCV to import


def define(flags: absl_flags.FlagValues) -> None:
    """Declare `--orientation`."""
    text = (
        "one's own images and videos as they are shown (by default: rotation and EXIF tags applied, boxes count the "
        "pixels that a viewer shows) or as they are stored; published sets are read as stored"
    )
    absl_flags.DEFINE_enum("orientation", None, _WAYS, text, flag_values=flags)


def of_own_files(flags: absl_flags.FlagValues) -> Orientation:
    """How files that a person names are read."""
    return flags.orientation or "shown"


def options(flags: absl_flags.FlagValues, reader: str) -> dict[str, str]:
    """The same as options of a reader; a `UserError` where the reader is of published sets."""
    if flags.orientation is None:
        return {}
    from ostrack_jax.data.readers.registry import takes_orientation

    if not takes_orientation(reader):
        text = f"the {reader} data is read as stored"
        raise UserError(f"--orientation goes with one's own files, `folder` and `coco`: {text}")
    return {"orientation": flags.orientation}


def say(lines: Iterable[str]) -> None:
    """Print lines on how files are read, apart from a command's results."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)
