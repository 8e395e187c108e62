"""The list of sequences that reads them when asked."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ostrack_jax.datasets.frames import ArrayFrames
from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.datasets.sequence import Sequence
from ostrack_jax.errors import UserError

built: list[str] = []


def _build(name: str, key: int) -> Sequence:
    built.append(name)
    return Sequence(name, ArrayFrames(np.zeros((key, 2, 2, 3), np.uint8)), np.ones((key, 4)), np.ones(key, bool))


@pytest.fixture
def sequences():
    built.clear()
    return LazySequences({"a": 1, "b": 2, "c": 3}, _build, keep=2)


def test_it_is_a_list_that_reads_what_is_asked_for(sequences):
    assert len(sequences) == 3
    assert built == []
    assert len(sequences[-1]) == 3
    assert built == ["c"]
    assert [sequence.name for sequence in sequences] == ["a", "b", "c"]
    with pytest.raises(IndexError):
        sequences[3]


def test_the_last_used_are_kept(sequences):
    for index in (0, 1, 0, 2, 0, 1):
        sequences[index]
    assert built == ["a", "b", "c", "b"]


def test_slices_and_selections_stay_unread(sequences):
    assert sequences[1:].names == ("b", "c")
    assert sequences.select(["c", "a"]).names == ("c", "a")
    assert built == []
    with pytest.raises(UserError, match="unknown sequence 'aa': did you mean 'a'"):
        sequences.select(["aa"])


def test_it_travels_without_what_it_read(sequences):
    sequences[0]
    again = pickle.loads(pickle.dumps(sequences))
    assert again[0].name == "a"
    assert built == ["a", "a"]
