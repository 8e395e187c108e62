"""Which of many things is a sequence's. Enters: files (or rows) by name, a sequence's name. Leaves: the one meant.

People who publish results and annotations spell names their own way: in another case, with `_`, `-` or `.` before the
number of a target, with the set's name in front. Files are looked for as they are, then ever more loosely. The results
of OTB, NFS, UAV123 and Temple-Color often lie in one folder, where sequences of several sets differ in case alone
(OTB's Car2, UAV123's car2): only the set's name in front says whose a file is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ostrack_jax.errors import UserError

Item = TypeVar("Item")

# What the published trackers' results have in front of a set's names, by reader; they put these sets into one folder.
PREFIXES = {"nfs": "nfs", "otb": "", "tc128": "tpl", "uav": "uav"}
# Human4 of OTB has one target, which its folder numbers as the second: some keep that number, some drop it.
ALIASES = {"human4": "human4-2"}


def _separators(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def part_prefix(name: str) -> tuple[str, str]:
    """What of `PREFIXES` stands in front of a name, else nothing, and the name without it."""
    found = re.match(rf"({'|'.join(filter(None, PREFIXES.values()))})[^a-z0-9]+", name, re.IGNORECASE)
    return (found[1].casefold(), name[found.end() :]) if found else ("", name)


def of_set(names: Iterable[str], reader: str) -> list[str]:
    """Of the names in a folder that may hold several sets those of ``reader``'s; all where none can be told to be."""
    every = list(names)
    own = [name for name in every if part_prefix(name)[0] == PREFIXES.get(reader)]
    bare = [name for name in every if not part_prefix(name)[0]] if reader in PREFIXES else []
    return own or bare or every


def _without_prefix(name: str) -> str:
    return _separators(part_prefix(name)[1])


def _alias(name: str) -> str:
    plain = _without_prefix(name)
    return ALIASES.get(plain, plain)


# Every way to read a name, the strictest first.
READINGS: tuple[Callable[[str], str], ...] = (str, str.casefold, _separators, _without_prefix, _alias)


class ByName(Generic[Item]):
    """Files, or anything else, that can be found by a sequence's name, however it is spelled."""

    def __init__(self, items: Iterable[tuple[str, Item]]) -> None:
        """Remember pairs of a name, as it is spelled there, and a thing."""
        named = list(items)
        by_prefix: dict[str, list[tuple[str, Item]]] = {}
        for name, item in named:
            prefix, rest = part_prefix(name)
            by_prefix.setdefault(prefix, []).append((rest, item))
        self._every = _index(named)
        self._by_prefix = {prefix: _index(some) for prefix, some in by_prefix.items()}

    def find(self, name: str, reader: str = "") -> Item | None:
        """What belongs to sequence ``name``; None where nothing does.

        Args:
          name: of the sequence.
          reader: of its set. One of `PREFIXES` is looked for among the names with its prefix; where no name has it,
            among those without any. Any other, and none: among all.

        Raises:
          UserError: two fit equally well.
        """
        among, looked_for = self._every, name
        if reader in PREFIXES:
            own = PREFIXES[reader]
            prefix, rest = part_prefix(name)
            among = self._by_prefix.get(own) or self._by_prefix.get("") or _index([])
            looked_for = rest if prefix == own else name
        for reading, index in zip(READINGS, among, strict=True):
            found = index.get(reading(looked_for), [])
            if len(found) > 1:
                raise UserError(f"two fit sequence {name}: {found[0]} and {found[1]}; give the folder of one set alone")
            if found:
                return found[0]
        return None


def _index(items: Iterable[tuple[str, Item]]) -> list[dict[str, list[Item]]]:
    """The items by each of `READINGS` of their names."""
    by_reading: list[dict[str, list[Item]]] = [{} for _ in READINGS]
    for name, item in items:
        for reading, index in zip(READINGS, by_reading, strict=True):
            index.setdefault(reading(name), []).append(item)
    return by_reading
