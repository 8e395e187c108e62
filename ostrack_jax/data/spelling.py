"""Find a sequence's file however its name is spelled.

People who publish results and annotations spell names their own way: in another case, with `_`, `-` or `.` before the
number of a target, with the set's name in front. Files are looked for as they are, then ever more loosely. The results
of OTB, NFS, UAV123 and Temple-Color often lie in one directory, where sequences of several sets differ in case alone
(OTB's Car2, UAV123's car2): only the set's name in front shows whose a file is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ostrack_jax.errors import UserError

Item = TypeVar("Item")

# Prefixes of a set's names in the published trackers' results, by reader; they put these sets into one directory.
PREFIXES = {"nfs": "nfs", "otb": "", "tc128": "tpl", "uav": "uav"}
# Human4 of OTB has one target, which its directory numbers as the second: some keep that number, some drop it.
ALIASES = {"human4": "human4-2"}


def _separators(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def part_prefix(name: str) -> tuple[str, str]:
    """The one of `PREFIXES` in front of a name, else nothing, and the name without it."""
    found = re.match(rf"({'|'.join(filter(None, PREFIXES.values()))})[^a-z0-9]+", name, re.IGNORECASE)
    return (found[1].casefold(), name[found.end() :]) if found else ("", name)


def of_set(names: Iterable[str], reader: str) -> list[str]:
    """The names of ``reader``'s set in a directory that may hold several sets; all where none is recognised."""
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
        # Of all names (None) and of those with each prefix, for each reading: the things by the name so read.
        self._index: dict[str | None, list[dict[str, list[Item]]]] = {}
        for name, item in items:
            prefix, rest = part_prefix(name)
            for group, spelled in ((None, name), (prefix, rest)):
                by_reading = self._index.setdefault(group, [{} for _ in READINGS])
                for reading, found in zip(READINGS, by_reading, strict=True):
                    found.setdefault(reading(spelled), []).append(item)

    def find(self, name: str, reader: str = "") -> Item | None:
        """The item of sequence ``name``; None without one.

        Args:
          name: of the sequence.
          reader: of its set. One of `PREFIXES` is looked for among the names with its prefix; where no name has it,
            among those without any. Any other, and none: among all.

        Raises:
          UserError: two fit equally well.
        """
        among, looked_for = self._index.get(None), name
        if reader in PREFIXES:
            own = PREFIXES[reader]
            prefix, rest = part_prefix(name)
            among = self._index.get(own) or self._index.get("")
            looked_for = rest if prefix == own else name
        for reading, by_reading in zip(READINGS, among or (), strict=False):
            found = by_reading.get(reading(looked_for), [])
            if len(found) > 1:
                raise UserError(f"two fit sequence {name}: {found[0]} and {found[1]}; give the folder of one set alone")
            if found:
                return found[0]
        return None
