"""One frame's annotation of ImageNet VID. Enters: an XML file. Leaves: `Frame`: its targets' boxes.

By the parser of the standard library, which fetches nothing; a document type, the way to entities, is refused.
"""

from __future__ import annotations

import xml.parsers.expat
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ostrack_jax.errors import UserError

_MOST_BYTES = 2**20
_WANTED = {
    *("annotation/size/width", "annotation/size/height", "annotation/object/trackid", "annotation/object/occluded"),
    *(f"annotation/object/bndbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax")),
}


@dataclass(frozen=True)
class Target:
    """One object.

    Attributes:
      track: its id within the snippet.
      box_xywh: pixels; the right edge less the left, as the release reads it.
      occluded: by the annotators' judgement.
    """

    track: str
    box_xywh: tuple[float, float, float, float]
    occluded: bool


@dataclass(frozen=True)
class Frame:
    """One annotated frame, ``size_wh`` in pixels."""

    size_wh: tuple[int, int]
    targets: tuple[Target, ...]


def read_frame(path: Path) -> Frame:
    """The targets of one file.

    Raises:
      UserError: no such file, or one that is not VID's.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError("larger than 1 MiB")
        return _Reader().read(data)
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}") from e
    except (xml.parsers.expat.ExpatError, ValueError, KeyError, OverflowError) as e:
        raise UserError(f"{path} does not hold a frame of ImageNet VID: {e}") from e


class _Reader:
    """What the parser calls: the texts of the wanted elements."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._size: dict[str, str] = {}
        self._object: dict[str, str] = {}
        self._targets: list[Target] = []

    def read(self, data: bytes) -> Frame:
        """The frame that ``data`` describes; a `ValueError` or `KeyError` where it is none."""
        parser = xml.parsers.expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse
        parser.Parse(data, True)
        return Frame((int(self._size["width"]), int(self._size["height"])), tuple(self._targets))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        self._text.clear()

    def _end(self, tag: str) -> None:
        path = "/".join(self._path)
        if path in _WANTED:
            there = self._size if path.startswith("annotation/size") else self._object
            there[tag] = "".join(self._text).strip()
        elif path == "annotation/object":
            self._targets.append(_target(self._object))
            self._object = {}
        self._path.pop()
        self._text.clear()

    def _refuse(self, *_: object) -> NoReturn:
        raise ValueError("a document type, which no file of the set has")


def _target(fields: dict[str, str]) -> Target:
    left, top, right, bottom = (float(fields[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
    if not 0 < len(fields["trackid"]) <= 32:
        raise ValueError(f"trackid {fields['trackid'][:40]!r}")
    return Target(fields["trackid"], (left, top, right - left, bottom - top), fields.get("occluded", "0") != "0")
