"""Sequences as a set's list or table has them. Enters: a set, what lies on disk. Leaves: those that are there.

Numbers in a table are those in the pictures' file names, whatever the number of digits.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from ostrack_jax.data.lists.published import Row, official, read_published, read_table
from ostrack_jax.errors import UserError

# The published table of a set, by reader.
TABLES = {"dtb70": "dtb70", "nfs": "nfs", "otb": "otb100", "uav": "uav123", "uavdt": "uavdt"}
# UAV20L's sequences: whole videos of UAV123.
UAV20L = (
    *("bike1", "bird1", "car1", "car3", "car6", "car8", "car9", "car16", "group1", "group2", "group3"),
    *("person2", "person4", "person5", "person7", "person14", "person17", "person19", "person20", "uav1"),
)

_NAMED = 5  # absent sequences that a warning names

_log = logging.getLogger(__name__)

Item = TypeVar("Item")


def rows_of(reader: str, part: str = "") -> list[Row]:
    """The sequences of a reader's set, or of its ``part`` where that has others; none without a table.

    UAV20L's are complete videos of UAV123; UAV123@10fps has every third of its images, renumbered (its `configSeqs.m`).
    """
    rows = read_table(TABLES[reader]) if reader in TABLES else []
    if part == "uav20l":
        ends = {row.video: row for row in rows}  # the last piece of each
        return [Row(name, name, 1, ends[name].last, ends[name].category) for name in UAV20L]
    if part == "uav123_10fps":
        return [dataclasses.replace(row, first=_third(row.first), last=_third(row.last)) for row in rows]
    return rows


def _third(number: int) -> int:
    """What image ``number`` of a video is called where every third is kept, the first among them."""
    return (number - 1) // 3 + 1


def listed(reader: str, part: str) -> dict[str, int | None]:
    """The names of a published set's sequences, each with its number of frames where a table has it.

    Empty where the package has no list.
    """
    if reader == "lasot":
        return dict.fromkeys(read_published(f"lasot_{part}"))
    if reader == "lasot_ext":
        return dict.fromkeys(read_published("lasot_ext"))
    if (reader, part) == ("got10k", "val"):
        return dict.fromkeys(f"GOT-10k_Val_{i:06d}" for i in range(1, (official(reader, part) or 0) + 1))
    counted = part != "240"  # NFS's table is of 30 frames a second
    return {row.name: row.last - row.first + 1 - row.omit if counted else None for row in rows_of(reader, part)}


def there(
    what: str, directory: Path, listed: Iterable[Item], is_there: Callable[[Item], bool], shape: str
) -> list[Item]:
    """The listed sequences that lie in ``directory``, in the list's order; a warning where some do not.

    Args:
      what: the set, for messages; ``directory`` too.
      listed: names or rows.
      is_there: whether one of them lies there.
      shape: of the set's folder, in words.

    Raises:
      UserError: none is there.
    """
    listed = list(listed)
    found = [item for item in listed if is_there(item)]
    if not found:
        raise UserError(f"no sequence of {what} in {directory}: expected {shape}")
    warn_of_absent(what, directory, [_name(item) for item in listed], {_name(item) for item in found})
    return found


def warn_of_absent(what: str, directory: Path, listed: list[str], found: Collection[str]) -> None:
    """Log how many of the listed names are not ``found``, and some of them; nothing where all are."""
    absent = [name for name in listed if name not in found]
    if absent:
        named = ", ".join(absent[:_NAMED]) + (", ..." if len(absent) > _NAMED else "")
        there = len(listed) - len(absent)
        _log.warning("%s in %s: %d of the %d sequences are there, not %s", what, directory, there, len(listed), named)


def _name(item: object) -> str:
    return item.name if isinstance(item, Row) else str(item)


def between(pictures: list[str], first: int, last: int) -> list[str]:
    """Of a video's pictures those with the numbers from ``first`` to ``last``.

    Raises:
      UserError: one of the numbers is missing; boxes after it would belong to other pictures. Or there is no number
        between.
    """
    by_number = {number(path): path for path in pictures}
    place = Path(pictures[0]).parent if pictures else Path()
    if last < first:
        raise UserError(f"no pictures from {first} to {last} in {place}: expected a first number and a last one")
    found = sum(first <= i <= last for i in by_number)  # the numbers are a file's: they are not counted through
    if missing := last - first + 1 - found:
        gone = next(i for i in range(first, last + 1) if i not in by_number)
        raise UserError(
            f"no pictures {gone}{' and others' if missing > 1 else ''} in {place} ({missing} missing): "
            f"expected {first} to {last}"
        )
    return [by_number[i] for i in range(first, last + 1)]


def number(path: str) -> int:
    """The number a picture is named by; -1 where its name is none."""
    stem = Path(path).stem
    return int(stem) if stem.isdecimal() else -1
