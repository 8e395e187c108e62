"""Files found by a sequence's name, however their publishers spell it."""

from __future__ import annotations

import pytest

from ostrack_jax.data.spelling import ByName, of_set
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


SHARED = ("Dog", "nfs_dog", "Car2", "uav_car2", "Basketball", "tpl_Basketball", "uav_bike1")


def test_sets_in_one_folder_are_told_apart_by_the_prefix():
    items = ByName([(word, word) for word in SHARED])
    own = {("otb", "Dog"): "Dog", ("otb", "Car2"): "Car2", ("otb", "Basketball"): "Basketball"}
    own |= {("nfs", "dog"): "nfs_dog", ("uav", "car2"): "uav_car2", ("tc128", "Basketball"): "tpl_Basketball"}
    for (reader, name), file in own.items():
        assert items.find(name, reader) == file
    assert items.find("nfs_dog", "nfs") == "nfs_dog"


def test_a_set_never_gets_anothers_file():
    items = ByName([(word, word) for word in SHARED])
    assert items.find("Bike1", "otb") is None
    assert items.find("Car2", "tc128") is None  # there is OTB's, and others of TC-128 have their prefix
    assert items.find("bike1", "nfs") is None
    assert items.find("bike1", "lasot") == "uav_bike1"  # names of a set that is not among those
    prefixed = ByName([("nfs_dog", 1)])
    assert prefixed.find("dog", "uav") is None
    assert ByName([("Dog", 1)]).find("nfs_dog", "nfs") == 1  # a folder of this set alone


def test_two_of_a_set_that_fit_are_told():
    with pytest.raises(UserError, match="two fit sequence car2: uav_Car2 and UAV-CAR2"):
        ByName([(word, word) for word in ("uav_Car2", "UAV-CAR2", "car2")]).find("car2", "uav")


def test_a_set_has_its_own_of_the_names_in_a_folder():
    assert of_set(SHARED, "otb") == ["Dog", "Car2", "Basketball"]
    assert of_set(SHARED, "uav") == ["uav_car2", "uav_bike1"]
    assert of_set(("car2", "nfs_dog"), "uav") == ["car2"]
    assert of_set(SHARED, "lasot") == list(SHARED)
    assert of_set(("nfs_dog",), "uav") == ["nfs_dog"]  # nothing to tell by: it has no results, which is told
