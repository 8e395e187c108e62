"""Sequences read when asked for. Enters: a key per name and a function that builds one. Leaves: a list of them."""

from __future__ import annotations

import collections.abc
import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as ListOf
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import unknown

if TYPE_CHECKING:
    _Base = collections.abc.Sequence[Sequence]
else:  # without its parameter, for which a run-time type checker would read a sequence
    _Base = collections.abc.Sequence

_TOLD = 20  # flawed sequences of a set that a process speaks of

_log = logging.getLogger(__name__)


class LazySequences(_Base):
    """A list of sequences, each kept in few bytes once it was read; picklable where ``build`` and the keys are.

    Opening a set of thousands costs no look at any of its sequences: an index reads one. Where a reader made do with
    a flaw (`Sequence.flaws`), it is logged when the sequence is read first.

    Attributes:
      names: of the sequences.
      notes: what the reader found odd in the set and left out, each a line.
    """

    names: ListOf[str]
    notes: tuple[str, ...] = ()

    def __init__(self, keys: Mapping[str, Any], build: Callable[[str, Any], Sequence], keep: int | None = None) -> None:
        """Remember how to read.

        Args:
          keys: what ``build`` needs by sequence name, in the order of the set.
          build: (name, key) -> sequence.
          keep: sequences held in memory, those used longest ago leave first; None: all, which is some 300 MB for
            LaSOT, GOT-10k and TrackingNet together (boxes and flags, not pictures).
        """
        self._fill(tuple(keys), tuple(keys.values()), build, keep)

    @classmethod
    def of(
        cls,
        names: ListOf[str],
        keys: ListOf[Any],
        build: Callable[[str, Any], Sequence],
        keep: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> LazySequences:
        """The same from names and keys next to each other, which are taken as they are: for sets of a million."""
        made = cls.__new__(cls)
        made._fill(names, keys, build, keep)
        made.notes = notes
        return made

    def _fill(self, names: ListOf[str], keys: ListOf[Any], build: Callable, keep: int | None) -> None:
        self.names, self._keys, self._build, self._keep = names, keys, build, keep
        self._built: dict[int, dict[str, Any]] = {}
        self._told: set[int] = set()

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sequence: ...
    @overload
    def __getitem__(self, index: slice) -> LazySequences: ...

    def __getitem__(self, index: int | slice) -> Sequence | LazySequences:
        """Sequence ``index``, read now or before; a slice stays unread."""
        if isinstance(index, slice):
            return LazySequences.of(self.names[index], self._keys[index], self._build, self._keep, self.notes)
        place = range(len(self))[index]
        kept = self._built.pop(place, None)
        if kept is None:
            sequence = self.read(place)
            self._tell(place, sequence)
            kept = _shrink(sequence)
        if self._keep != 0:
            self._built[place] = kept  # moved to the end: the first is the one used longest ago
        if self._keep is not None and len(self._built) > self._keep:
            del self._built[next(iter(self._built))]
        return _grow(kept)

    def read(self, index: int) -> Sequence:
        """Sequence ``index``, read anew and not kept."""
        return self._build(self.names[index], self._keys[index])

    def select(self, names: Iterable[str]) -> LazySequences:
        """The sequences of these names, in this order; a `UserError` names the nearest for one that is not there."""
        places = {name: i for i, name in enumerate(self.names)}
        keys = {}
        for name in names:
            if name not in places:
                raise unknown("sequence", name, self.names)
            keys[name] = self._keys[places[name]]
        return LazySequences.of(tuple(keys), tuple(keys.values()), self._build, self._keep, self.notes)

    def _tell(self, place: int, sequence: Sequence) -> None:
        """Log the flaws of a sequence once, and of a bad set not all."""
        if not sequence.flaws or place in self._told or len(self._told) > _TOLD:
            return
        self._told.add(place)
        if len(self._told) > _TOLD:
            _log.warning("more sequences have flaws: `ostrack data check` lists them all")
        else:
            _log.warning("sequence %s: %s", sequence.name, "; ".join(sequence.flaws))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_built": {}}


def _shrink(sequence: Sequence) -> dict[str, Any]:
    """The fields of a sequence, its numbers in the narrowest types that change no value."""
    fields = dict(vars(sequence))
    fields["boxes_xywh"] = _narrow(sequence.boxes_xywh, np.int16, np.float32)
    if sequence.cover is not None:
        fields["cover"] = _narrow(sequence.cover, np.int8)
    return fields


def _grow(kept: dict[str, Any]) -> Sequence:
    boxes, cover = kept["boxes_xywh"].astype(np.float64), kept["cover"]
    return Sequence(**{**kept, "boxes_xywh": boxes, "cover": None if cover is None else cover.astype(np.int64)})


def _narrow(values: np.ndarray, *kinds: type) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # a value that does not fit is not equal afterwards
        for kind in kinds:
            small = values.astype(kind)
            if np.array_equal(small, values, equal_nan=True):
                return small
    return values
