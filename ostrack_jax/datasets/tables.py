"""Sequences as a published table has them. Enters: a set, what lies on disk. Leaves: rows that are there.

Numbers in a table are those in the pictures' file names, whatever the number of digits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from ostrack_jax.datasets.published import Row, read_table
from ostrack_jax.errors import UserError

# The published table of a set, by reader.
TABLES = {"nfs": "nfs", "otb": "otb100", "uav": "uav123"}
# UAV20L's sequences: whole videos of UAV123.
UAV20L = (
    *("bike1", "bird1", "car1", "car3", "car6", "car8", "car9", "car16", "group1", "group2", "group3"),
    *("person2", "person4", "person5", "person7", "person14", "person17", "person19", "person20", "uav1"),
)

_NAMED = 5  # absent sequences that a warning names

_log = logging.getLogger(__name__)

Item = TypeVar("Item")


def rows_of(reader: str, part: str = "") -> list[Row]:
    """The sequences of a reader's set, or of its ``part`` where that has others (uav20l); none without a table."""
    rows = read_table(TABLES[reader]) if reader in TABLES else []
    if part != "uav20l":
        return rows
    ends = {row.video: row for row in rows}  # the last piece of each
    return [Row(name, name, 1, ends[name].last, ends[name].category) for name in UAV20L]


def there(what: str, folder: Path, listed: Iterable[Item], is_there: Callable[[Item], bool], shape: str) -> list[Item]:
    """The listed sequences that lie in ``folder``, in the list's order; a warning where some do not.

    Args:
      what: the set, for messages; ``folder`` too.
      listed: names or rows.
      is_there: whether one of them lies there.
      shape: of the set's folder, in words.

    Raises:
      UserError: none is there.
    """
    listed = list(listed)
    found = [item for item in listed if is_there(item)]
    if not found:
        raise UserError(f"no sequence of {what} in {folder}: expected {shape}")
    warn_of_absent(what, folder, [_name(item) for item in listed], {_name(item) for item in found})
    return found


def warn_of_absent(what: str, folder: Path, listed: list[str], found: Collection[str]) -> None:
    """Log how many of the listed names are not ``found``, and some of them; nothing where all are."""
    absent = [name for name in listed if name not in found]
    if absent:
        named = ", ".join(absent[:_NAMED]) + (", ..." if len(absent) > _NAMED else "")
        there = len(listed) - len(absent)
        _log.warning("%s in %s: %d of the %d sequences are there, not %s", what, folder, there, len(listed), named)


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
