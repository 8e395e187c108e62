"""Sequences read on access: opening a set of thousands reads none of them."""

from __future__ import annotations

import collections.abc
import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as ListOf
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from jaxtyping import Int

from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import unknown

if TYPE_CHECKING:
    _Sequences, _Names = collections.abc.Sequence[Sequence], collections.abc.Sequence[str]
else:  # without their parameter, for which a run-time type checker would read a sequence
    _Sequences = _Names = collections.abc.Sequence

KEPT = 8192  # sequences in memory, some 20 KB each
_LOGGED = 20  # flawed sequences of a set that a process logs

_log = logging.getLogger(__name__)


class NumberedNames(_Names):
    """Names that differ in a number, each formatted when asked for: a million of them cost nothing."""

    def __init__(self, form: str, numbers: range | Int[np.ndarray, " n"]) -> None:
        """Remember the format string, such as `synthetic_train_{:06d}`, and the numbers in order."""
        self._form, self._numbers = form, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] (no slices)
        """Name ``index``."""
        return self._form.format(self._numbers[index])


class LazySequences(_Sequences):
    """A list of sequences of which the last used are kept; picklable where ``build`` and the keys are.

    Where a reader coped with a flaw (`Sequence.flaws`), it is logged when the sequence is read first.

    Attributes:
      names: of the sequences.
      notes: what the reader found odd in the set and left out, each a line.
    """

    names: ListOf[str]
    notes: tuple[str, ...] = ()

    def __init__(self, keys: Mapping[str, Any], build: Callable[[str, Any], Sequence], keep: int = KEPT) -> None:
        """Remember how to read.

        Args:
          keys: what ``build`` needs by sequence name, in the order of the set.
          build: (name, key) -> sequence.
          keep: sequences held in memory (boxes and flags, not images).
        """
        self.names, self._keys = tuple(keys), tuple(keys.values())
        self._build, self._keep = build, keep
        self._kept: dict[int, Sequence] = {}  # the least recently used first
        self._logged: set[int] = set()

    @classmethod
    def of(
        cls,
        names: ListOf[str],
        keys: ListOf[Any],
        build: Callable[[str, Any], Sequence],
        keep: int = KEPT,
        notes: tuple[str, ...] = (),
    ) -> LazySequences:
        """The same from parallel lists of names and keys, which are not copied: for sets of a million."""
        made = cls({}, build, keep)
        made.names, made._keys, made.notes = names, keys, notes
        return made

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sequence: ...
    @overload
    def __getitem__(self, index: slice) -> LazySequences: ...

    def __getitem__(self, index: int | slice) -> Sequence | LazySequences:
        """Sequence ``index``, read now or before; a slice stays unread."""
        if isinstance(index, slice):
            chosen = range(len(self))[index]
            return self._part(tuple(self.names[i] for i in chosen), tuple(self._keys[i] for i in chosen))
        place = range(len(self))[index]
        sequence = self._kept.pop(place, None)
        if sequence is None:
            sequence = self.read(place)
            self._log_flaws(place, sequence)
        self._kept[place] = sequence
        if len(self._kept) > self._keep:
            del self._kept[next(iter(self._kept))]
        return sequence

    def read(self, index: int) -> Sequence:
        """Read sequence ``index`` without keeping it."""
        return self._build(self.names[index], self._keys[index])

    def select(self, names: Iterable[str]) -> LazySequences:
        """The sequences of these names, in this order; a `UserError` names the nearest for one that is not there."""
        names, places = tuple(names), {name: i for i, name in enumerate(self.names)}
        if missing := next((name for name in names if name not in places), None):
            raise unknown("sequence", missing, self.names)
        return self._part(names, tuple(self._keys[places[name]] for name in names))

    def _part(self, names: ListOf[str], keys: ListOf[Any]) -> LazySequences:
        return LazySequences.of(names, keys, self._build, self._keep, self.notes)

    def _log_flaws(self, place: int, sequence: Sequence) -> None:
        """Log the flaws of a sequence once, and of a set with many not all."""
        if not sequence.flaws or place in self._logged or len(self._logged) > _LOGGED:
            return
        self._logged.add(place)
        if len(self._logged) > _LOGGED:
            _log.warning("more sequences have flaws: `ostrack data check` lists them all")
        else:
            _log.warning("sequence %s: %s", sequence.name, "; ".join(sequence.flaws))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}
