"""Many names in little memory: each comes back exactly."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostrack_jax.data.names import JoinedNames, NumberedNames, compact

ANY = st.lists(st.text(st.characters(codec="utf-8"), max_size=8) | st.integers(0, 120).map(lambda n: f"a/{n:02d}.jpg"))


@given(ANY)
@example(["a/9.jpg", "a/10.jpg"])
@example(["a/09.jpg", "a/10.jpg", "a/12.jpg"])
@example(["1.jpg", "2.JPG"])
@example(["7/1.jpg", "8/1.jpg"])
@example([""])
def test_any_names_come_back(names):
    found = pickle.loads(pickle.dumps(compact(names)))
    assert len(found) == len(names)
    assert [found[i] for i in range(len(names))] == names
    for index in (len(names), *((-1,) if len(names) != 1 else ())):  # one alone is kept as it is
        with pytest.raises(IndexError):
            found[index]


@pytest.mark.parametrize(
    ("first", "form"), [(1, "x1/img/{:08d}.jpg"), (0, "TRAIN_3/frames/a_2/{}.jpg"), (98, "b/{:06d}.JPEG")]
)
def test_numbered_pictures_take_next_to_nothing(first, form):
    names = [form.format(first + i) for i in range(3000)]
    found = compact(names)
    assert isinstance(found, NumberedNames)
    assert [*found] == names
    assert [*found[7:9]] == names[7:9]
    assert len(pickle.dumps(found)) < 300


def test_a_gap_costs_bytes_and_not_strings():
    names = [f"/data/set/img/{i:08d}.jpg" for i in range(3000) if i != 7]
    found = compact(names)
    assert isinstance(found, JoinedNames)
    assert [found[i] for i in range(len(found))] == names
    assert len(pickle.dumps(found)) < 3000 * 24


def test_names_that_are_no_text_come_back():
    name = b"\xff1.jpg".decode("utf-8", "surrogateescape")
    assert compact([name, "b"])[0] == name
