"""Fields of COCO's annotation files as annotation tools write them: numbers, ids, boxes and paths of images.

A value that cannot be meant is a `ValueError` that names the field and what is expected.
"""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

_MOST = 1 << 62  # from here on numbers stand for texts
_LONGEST = 255  # bytes of a file's name
_SHOWN = 60  # characters of a value in an error


def whole(value: object) -> int | None:
    """A whole number of 63 bits, also where it is written 1.0 or "1"; None for anything else."""
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and value == str(number := int(value[:20])):
        value = number
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_MOST < value < _MOST else None


def box(value: object) -> list[float] | None:
    """Four numbers, also where they are written as texts; None for anything else, as for an object without a box."""
    try:
        return [float(part) for part in value] if isinstance(value, list) and len(value) == 4 else None
    except (TypeError, ValueError, OverflowError):
        return None


def is_set(value: object) -> bool:
    """Whether a flag such as `iscrowd` is set."""
    return value in (True, 1, "1", "true", "True")


class Ids:
    """Ids as numbers: whole numbers are their own, texts (names, hashes, UUIDs) are numbered as they come."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}

    def of(self, value: Any, name: str) -> int:
        """The number of an id.

        Args:
          value: as in the file.
          name: of the field, for the error.

        Raises:
          ValueError: it is neither a whole number nor a text.
        """
        number = whole(value)
        if number is not None:
            return number
        if not isinstance(value, str) and type(value) is not int:
            raise ValueError(f"{name} is {str(value)[:_SHOWN]!r}: expected a whole number or a text")
        return self._texts.setdefault(str(value), _MOST + len(self._texts))


def image_path(value: object) -> str:
    """A `file_name` as a path below the set's images, with `/` between its folders.

    Raises:
      ValueError: it leads out of there, is an address, or none at all.
    """
    name = value if isinstance(value, str) else ""
    path = PureWindowsPath(name)  # knows both separators, drives and shares
    if path.anchor or "://" in name or "\0" in name or not path.parts or ".." in path.parts:
        raise ValueError(f"file_name is {str(value)[:_SHOWN]!r}: expected a path below the folder of the images")
    if any(len(part.encode(errors="replace")) > _LONGEST for part in path.parts) or len(name) > 16 * _LONGEST:
        raise ValueError(f"file_name is {str(value)[:_SHOWN]!r}..: expected names of at most {_LONGEST} bytes")
    return path.as_posix()


def images_directory(directory: Path, name: str) -> Path | None:
    """Where the images of ``annotations/instances_NAME.json`` lie; None where there is no such folder."""
    places = [directory / "images" / name, directory / name]
    if not name.endswith(("2014", "2017")):  # not COCO's own parts, which lie side by side
        places.append(directory / "images")
    return next((place for place in places if place.is_dir()), None)
