"""What could not be read: counted by set, and the end where it is too much."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import Draw, Tally
from ostrack_jax.pipeline.sampling import Pair, UnusablePairError, too_many_files

NAMES = ("got10k", "coco")


def draws(good: int, *failed: str, source: str = "coco") -> list[Draw]:
    """Draws of a set that failed, and ``good`` ones."""
    return [*((source, detail) for detail in failed), *[(source, None)] * good]


def test_too_many_open_files_are_no_images_fault():
    frames = _Frames(UserError("cannot read the image 1.jpg: too many open files"), OSError(errno.EMFILE, "too many"))
    pair = Pair("set", Sequence("a", frames, np.ones((2, 4)), np.ones(2, bool)), 0, 1)
    with pytest.raises(UserError, match=r"too many open files \(a process may have \d+\): raise .*`ulimit -n`"):
        pair.read()
    other = _Frames(UserError("cannot read the image 1.jpg: gone"), OSError(errno.ENOENT, "gone"))
    with pytest.raises(UnusablePairError, match=r"1\.jpg: gone"):
        Pair("set", Sequence("a", other, np.ones((2, 4)), np.ones(2, bool)), 0, 1).read()
    assert too_many_files(OSError(errno.ENOSPC, "full")) is None


class _Frames:
    def __init__(self, error: Exception, cause: Exception):
        self.error, self.cause = error, cause

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int, /) -> np.ndarray:
        raise self.error from self.cause


def test_draws_and_failures_are_counted_by_set():
    tally = Tally(NAMES)
    tally.add([*draws(1, "a.jpg"), *draws(1, source="got10k")])
    tally.add([*draws(2, "b.jpg", "c.jpg"), *draws(1)])
    assert tally.drawn == {"got10k": 1, "coco": 7}
    assert tally.unreadable == {"got10k": 0, "coco": 3}


def test_a_hundredth_may_fail_and_more_may_not():
    tally = Tally(NAMES)
    for i in range(30):  # 30 of 3000 draws: one in a hundred
        tally.add(draws(99, f"{i}.jpg"))
    assert tally.unreadable["coco"] == 30
    with pytest.raises(UserError, match=r"config\.data\.coco: 31 of 3001 draws .* 1%.*data check.*: 0\.jpg; 1\.jpg"):
        tally.add(draws(0, "last.jpg"))


def test_the_first_failures_end_nothing_and_the_list_is_short():
    tally = Tally(NAMES)
    for i in range(19):
        tally.add(draws(0, f"\u00e9{i}" + "x" * 500))
    with pytest.raises(UserError, match="20 of 20 draws") as caught:
        tally.add([*draws(0, "again"), *draws(1, source="got10k")])
    assert "\u00e90x" in str(caught.value)
    assert len(str(caught.value)) < 20 * 260
    for i in range(30):
        with pytest.raises(UserError) as caught:
            tally.add(draws(0, f"more {i}"))
    assert str(caught.value).count(";") == 19
