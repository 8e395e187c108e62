"""Which of many things is a sequence's. Enters: files (or rows) by name, a sequence's name. Leaves: the one meant.

People who publish results and annotations spell names their own way: in another case, with `_`, `-` or `.` before the
number of a target, with the set's name in front. Files are looked for as they are, then ever more loosely.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ostrack_jax.errors import UserError

Item = TypeVar("Item")

# In front of the names of NFS, UAV123 and Temple-Color in the results of the published trackers.
PREFIXES = ("nfs-", "uav-", "tpl-")
# Human4 of OTB has one target, which its folder numbers as the second: some keep that number, some drop it.
ALIASES = {"human4": "human4-2"}


def _separators(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def _without_prefix(name: str) -> str:
    plain = _separators(name)
    return next((plain.removeprefix(prefix) for prefix in PREFIXES if plain.startswith(prefix)), plain)


def _alias(name: str) -> str:
    plain = _without_prefix(name)
    return ALIASES.get(plain, plain)


# Every way to read a name, the strictest first.
READINGS: tuple[Callable[[str], str], ...] = (str, str.casefold, _separators, _without_prefix, _alias)


class ByName(Generic[Item]):
    """Files, or anything else, that can be found by a sequence's name, however it is spelled."""

    def __init__(self, items: Iterable[tuple[str, Item]]) -> None:
        """Remember pairs of a name, as it is spelled there, and a thing."""
        self._by_reading: list[dict[str, list[Item]]] = [{} for _ in READINGS]
        for name, item in items:
            for reading, index in zip(READINGS, self._by_reading, strict=True):
                index.setdefault(reading(name), []).append(item)

    def find(self, name: str) -> Item | None:
        """What belongs to sequence ``name``; None where nothing does.

        Raises:
          UserError: two fit equally well.
        """
        for reading, index in zip(READINGS, self._by_reading, strict=True):
            found = index.get(reading(name), [])
            if len(found) > 1:
                raise UserError(f"two fit sequence {name}: {found[0]} and {found[1]}; give the folder of one set alone")
            if found:
                return found[0]
        return None
