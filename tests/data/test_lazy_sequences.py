"""The list of sequences that reads them when asked."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ostrack_jax.data.frames import ArrayFrames
from ostrack_jax.data.lazy import LazySequences, NumberedNames
from ostrack_jax.data.sequence import Sequence
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
    sequences.notes = ("one was left out",)
    assert sequences[1:].notes == sequences.select(["a"]).notes == sequences.notes
    assert built == []
    with pytest.raises(UserError, match="unknown sequence 'aa': did you mean 'a'"):
        sequences.select(["aa"])


def test_all_are_kept_unless_said_otherwise(sequences):
    every = LazySequences({str(i): 1 for i in range(600)}, _build)
    for _ in range(2):
        for i in range(600):
            every[i]
    assert len(built) == 600


def test_flaws_are_logged_once_and_of_many_sequences_not_all(caplog):
    def build(name: str, _: object) -> Sequence:
        flaws = ("no cover", "2 boxes too many") if name != "s3" else ()
        return Sequence(
            name, ArrayFrames(np.zeros((1, 2, 2, 3), np.uint8)), np.ones((1, 4)), np.ones(1, bool), flaws=flaws
        )

    flawed = LazySequences({f"s{i}": None for i in range(40)}, build, keep=1)
    for i in (0, 1, 0, 3):
        flawed[i]
    assert caplog.messages == ["sequence s0: no cover; 2 boxes too many", "sequence s1: no cover; 2 boxes too many"]
    for i in range(40):
        flawed[i]
    assert len(caplog.messages) == 21
    assert "`ostrack data check` lists them all" in caplog.messages[-1]


def test_a_set_of_many_is_opened_by_its_arrays():
    """Names and keys stay arrays: nothing is made of any of them."""
    numbers = np.arange(10**4) * 3
    many = LazySequences.of(NumberedNames("{}", numbers), range(10**4), lambda name, key: _build(name, key % 2 + 1))
    assert (len(many), many.names[-1], many[-1].name, len(many[-1])) == (10**4, "29997", "29997", 2)
    assert many[10:20].names[3] == "39"
    assert many.select(["39"])[0].name == "39"
    assert len(pickle.dumps(many[:1000].names)) < 9000
    with pytest.raises(UserError, match=r"unknown sequence '3a': .*there are 1,000"):
        many[:1000].select(["3a"])


def test_it_travels_without_what_it_read(sequences):
    sequences[0]
    again = pickle.loads(pickle.dumps(sequences))
    assert again[0].name == "a"
    assert built == ["a", "a"]
