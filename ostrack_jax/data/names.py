"""Many names in little memory. Enters: paths or names. Leaves: the same as a list that makes each when asked for.

A full training set has 18 million pictures: as strings 2 GB in every loader process, so 1 KB a sequence.
"""

from __future__ import annotations

import collections.abc
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

import numpy as np
from jaxtyping import Int

if TYPE_CHECKING:
    _Base = collections.abc.Sequence[str]
else:  # without its parameter, which a run-time type checker would look into
    _Base = collections.abc.Sequence


@dataclass(frozen=True, slots=True)
class NumberedNames(_Base):
    """Names that differ in a number, such as `img/00000001.jpg` and those after it; a slice is one too.

    Attributes:
      prefix: before the number; ``suffix`` after it.
      digits: the least there are, filled up by zeros.
      numbers: of the names.
    """

    prefix: str
    digits: int
    suffix: str
    numbers: range

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> NumberedNames: ...

    def __getitem__(self, index: int | slice) -> str | NumberedNames:
        """Name ``index``, from 0."""
        if isinstance(index, slice):
            return replace(self, numbers=self.numbers[index])
        if not 0 <= index < len(self):
            raise IndexError(f"name {index} of {len(self)}")
        return f"{self.prefix}{self.numbers[index]:0{self.digits}d}{self.suffix}"


class JoinedNames:
    """Any names, as bytes one after the other."""

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        # not commonpath: any bytes they share will do
        self._prefix = os.fsencode(os.path.commonprefix(encoded) or "")  # noqa: RUF071
        tails = [name[len(self._prefix) :] for name in encoded]
        self._bytes = b"".join(tails)
        self._ends = np.cumsum([len(tail) for tail in tails], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        """Name ``index``, from 0."""
        if not 0 <= index < len(self):
            raise IndexError(f"name {index} of {len(self)}")
        start = self._ends[index - 1] if index else 0
        tail = self._bytes[start : self._ends[index]]
        return os.fsdecode(self._prefix + tail)


class NumberNames(_Base):
    """Names that are numbers in no order, such as the ids of annotations; a slice is one too."""

    def __init__(self, numbers: Int[np.ndarray, " n"]) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> NumberNames: ...

    def __getitem__(self, index: int | slice) -> str | NumberNames:
        """Name ``index``."""
        return NumberNames(self._numbers[index]) if isinstance(index, slice) else str(self._numbers[index])


def compact(names: Iterable[str]) -> NumberedNames | JoinedNames | tuple[str, ...]:
    """``names`` in the least memory that gives each back exactly."""
    listed = tuple(names)
    if len(listed) == 1:
        return listed
    found = re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", listed[0], re.DOTALL) if listed else None
    if found and len(found[2]) < 16:
        prefix, digits, suffix = found.groups()
        numbers = range(int(digits), int(digits) + len(listed))
        numbered = NumberedNames(prefix, len(digits), suffix, numbers)
        if listed[-1] == numbered[len(listed) - 1] and listed == tuple(numbered[i] for i in range(len(listed))):
            return numbered
    return JoinedNames(listed)
