"""The published lists: what the package holds stands for what was published."""

from __future__ import annotations

import hashlib

import pytest

from ostrack_jax.datasets import published
from ostrack_jax.datasets.published import LISTS, expand, read_published
from ostrack_jax.errors import UserError

COUNTS = {
    "got10k_train_full": 9335,
    "got10k_vot_train": 7086,
    "got10k_vot_val": 1249,
    "lasot_test": 280,
    "lasot_train": 1120,
}
# of the published files' own bytes
LASOT = {
    "lasot_train": "0ae7df00644ee36794ac1d67f123612eb6341b4e94fef933169607d650ade893",
    "lasot_test": "228e9dd0ca25160162fa6410f4327267325ca192510629d56480d7da2fd14e86",
}


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_whole(name):
    entries = read_published(name)
    assert len(entries) == len(set(entries)) == COUNTS[name]
    if name.startswith("lasot"):
        assert hashlib.sha256("".join(f"{entry}\n" for entry in entries).encode()).hexdigest() == LASOT[name]
    else:
        assert entries == sorted(entries, key=int)


def test_lasot_is_parted():
    train, test = read_published("lasot_train"), read_published("lasot_test")
    assert not set(train) & set(test)
    assert len({name.rpartition("-")[0] for name in train + test}) == 70
    assert train[:3] == ["airplane-10", "airplane-11", "airplane-12"]


def test_ranges_are_expanded():
    assert expand("0 2-4\n7") == ["0", "2", "3", "4", "7"]
    assert expand("cat 1 3-4\ntwo-legged 2") == ["cat-1", "cat-3", "cat-4", "two-legged-2"]


def test_a_damaged_list_is_told(monkeypatch):
    text = published._text
    monkeypatch.setattr(published, "_text", lambda file: text(file).replace("12", "13", 1))
    with pytest.raises(UserError, match=r"the list lasot_test of this installation is damaged \([0-9a-f]{12}\)"):
        read_published("lasot_test")


@pytest.mark.data
@pytest.mark.parametrize("name", LISTS)
def test_the_lists_are_the_published_files(shared_data, name):
    folder = shared_data.parent / "splits"
    path = folder / f"{name}.txt" if (folder / f"{name}.txt").is_file() else folder / f"{name}_split.txt"
    if not path.is_file():
        pytest.skip(f"no published lists in {folder}")
    true = path.read_text().splitlines()
    assert read_published(name) == (true if name.startswith("lasot") else sorted(true, key=int))
