"""Marks: the same on numpy, jax and any number of shards; another for any change."""

from __future__ import annotations

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostrack_jax.checkpoint.marks import differing, mark, marks


def arrays():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4, 5)).astype(np.float32)
    kinds = (np.float32, np.int32, np.uint8, np.bool_, ml_dtypes.bfloat16, np.float16)
    return [values.astype(kind) for kind in kinds] + [np.float32([]), np.array(7, np.int32), np.array(True)]


@pytest.mark.parametrize("x", arrays(), ids=lambda x: f"{x.dtype}{x.shape}")
def test_numpy_and_jax_agree(x):
    assert int(mark(x)) == int(mark(jnp.asarray(x)))


def test_the_formula():
    x = np.array([[1.5, -2.0], [0.0, 3.25]], np.float32)
    words = [int(word) for word in x.view(np.uint32).ravel()]
    assert int(mark(x)) == sum(word * (2 * place + 1) for place, word in enumerate(words)) % 2**32


@given(place=st.integers(0, 59), bit=st.integers(0, 31))
def test_every_bit_counts(place, bit):
    x = arrays()[0]
    changed = x.view(np.uint32).copy()
    changed.ravel()[place] ^= np.uint32(1 << bit)
    assert int(mark(changed)) != int(mark(x))


def test_order_in_the_tensor_counts_and_order_in_memory_does_not():
    x = arrays()[0]
    assert int(mark(x[::-1].copy())) != int(mark(x))
    assert int(mark(x)) == int(mark(np.asfortranarray(x)))


def test_the_leaves_that_differ_are_named():
    tree = {"b": {"kernel": np.ones((2, 3), np.float32)}, "a": np.zeros(4, np.int32)}
    expected = marks(tree)
    assert expected.keys() == {"a", "b/kernel"}
    assert differing(tree, expected) == []
    tree["b"]["kernel"][1, 2] = np.nextafter(np.float32(1), np.float32(2))
    assert differing(tree, expected) == ["b/kernel"]
    assert differing({"a": tree["a"]}, {}) == ["a"]
