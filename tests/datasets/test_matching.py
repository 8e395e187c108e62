"""Files found by a sequence's name, however their publishers spell it."""

from __future__ import annotations

import pytest

from ostrack_jax.datasets.matching import ByName
from ostrack_jax.errors import UserError


def found(name, *spelled):
    return ByName([(word, word) for word in spelled]).find(name)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Basketball", "basketball"),
        ("Human4.2", "human4_2"),
        ("Human4-2", "Human4"),
        ("Human4", "Human4-2"),
        ("Jogging-1", "jogging.1"),
        ("bike1", "uav_bike1"),
        ("nfs_Gymnastics", "Gymnastics"),
        ("Airport_ce", "tpl_Airport_ce"),
        ("airplane-1", "airplane-1"),
    ],
)
def test_spellings(name, file):
    assert found(name, "other", file, "another-2") == file


def test_the_strictest_reading_wins():
    assert found("car1", "Car1", "car1", "uav_car1") == "car1"
    assert found("car1-1", "car11", "car1_1") == "car1_1"
    assert found("car11", "car1_1") is None
    assert found("Human5", "Human5-2") is None


def test_two_that_fit_are_told():
    with pytest.raises(UserError, match="two fit sequence car1: Car1 and CAR1"):
        found("car1", "Car1", "CAR1")
