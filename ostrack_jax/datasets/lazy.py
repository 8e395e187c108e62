"""Sequences read when asked for. Enters: a key per name and a function that builds one. Leaves: a list of them."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

from ostrack_jax.datasets.sequence import Sequence
from ostrack_jax.errors import unknown

if TYPE_CHECKING:
    _Base = collections.abc.Sequence[Sequence]
else:  # without its parameter, for which a run-time type checker would read a sequence
    _Base = collections.abc.Sequence


class LazySequences(_Base):
    """A list of sequences of which the last used are kept; picklable where ``build`` and the keys are.

    Opening a set of thousands costs no look at any of its sequences: an index reads one.
    """

    def __init__(self, keys: Mapping[str, Any], build: Callable[[str, Any], Sequence], keep: int = 512) -> None:
        """Remember how to read.

        Args:
          keys: what ``build`` needs by sequence name, in the order of the set.
          build: (name, key) -> sequence.
          keep: sequences held in memory (their boxes and names of files, not their pictures).
        """
        self.names: tuple[str, ...] = tuple(keys)
        self._keys = dict(keys)
        self._build = build
        self._keep = keep
        self._built: dict[str, Sequence] = {}

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sequence: ...
    @overload
    def __getitem__(self, index: slice) -> LazySequences: ...

    def __getitem__(self, index: int | slice) -> Sequence | LazySequences:
        """Sequence ``index``, read now or before; a slice stays unread."""
        if isinstance(index, slice):
            return self.select(self.names[index])
        name = self.names[index]
        sequence = self._built.pop(name, None)
        if sequence is None:
            sequence = self._build(name, self._keys[name])
        self._built[name] = sequence  # moved to the end: the first is the one used longest ago
        if len(self._built) > self._keep:
            del self._built[next(iter(self._built))]
        return sequence

    def select(self, names: Iterable[str]) -> LazySequences:
        """The sequences of these names, in this order; a `UserError` names the nearest for one that is not there."""
        keys = {}
        for name in names:
            if name not in self._keys:
                raise unknown("sequence", name, self.names)
            keys[name] = self._keys[name]
        return LazySequences(keys, self._build, self._keep)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_built": {}}
