"""Batches: the same records whoever makes them, from any step; failures drawn again, counted and reported."""

from __future__ import annotations

import dataclasses
import itertools
import logging

import numpy as np
import pytest

from ostrack_jax.config import Config, DataConfig, ModelConfig, PairConfig, TrainConfig, steps_per_epoch
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import Batches, open_sources, record
from ostrack_jax.pipeline.sampling import Source

CONFIG = Config(
    name="test",
    model=ModelConfig(template_size=32, search_size=64),
    train=TrainConfig(seed=3, batch=6, bn_group=0, pairs_per_epoch=20, validation_pairs=15, workers=0),
)


class NoiseFrames:
    """Frame i is noise seeded with i; some cannot be read."""

    def __init__(self, length: int = 25, broken: tuple[int, ...] = ()):
        self.length, self.broken = length, broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int, /) -> np.ndarray:
        if index in self.broken:
            raise UserError(f"cannot read frame {index}")
        return np.random.default_rng(index).integers(0, 256, (60, 80, 3), np.uint8)


def video(name: str = "v", broken: tuple[int, ...] = (), box=(20.0, 15, 16, 12)) -> Sequence:
    boxes = np.tile(np.array(box, np.float64), (25, 1))
    return Sequence(name, NoiseFrames(broken=broken), boxes, np.ones(25, bool))


SOURCES = (Source("a", [video("a0"), video("a1", box=(30.0, 20, 10, 20))], 1.0), Source("b", [video("b0")], 2.0))


def take(n: int, config: Config = CONFIG, use="train", **options) -> list:
    with Batches(config, use, **{"sources": SOURCES, **options}) as stream:
        return list(itertools.islice(stream, n))


def assert_equal(some, others) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        for name in ("template", "search", "template_box", "search_box"):
            np.testing.assert_array_equal(one[name], other[name])


def test_a_batch():
    (batch,) = take(1)
    assert {name: (value.shape, value.dtype.name) for name, value in batch.items()} == {
        "template": ((6, 32, 32, 3), "uint8"),
        "search": ((6, 64, 64, 3), "uint8"),
        "template_box": ((6, 4), "float32"),
        "search_box": ((6, 4), "float32"),
    }


@pytest.mark.parametrize("use", ["train", "validation"])
def test_record_i_alone_is_the_one_in_the_batches(use):
    made = take(2, use=use)
    for i in (0, 5, 6, 11):
        alone = record(CONFIG, i, use, SOURCES)
        for name in ("template", "search", "template_box", "search_box"):
            np.testing.assert_array_equal(made[i // 6][name][i % 6], alone[name])


@pytest.mark.parametrize(
    ("index", "use", "box", "sums"),
    [
        (0, "train", (0.3065, 0.3248, 0.2128, 0.4255), (455284, 1775538)),
        (10**12, "train", (0.3194, 0.2002, 0.2963, 0.2222), (417677, 1274512)),
        (7, "validation", (-0.0471, 0.6965, 0.3636, 0.2727), (388037, 775657)),
    ],
)
def test_records_are_those_of_earlier_versions(index, use, box, sums):
    """So that a run resumes with the pairs it would have had."""
    made = record(CONFIG, index, use, SOURCES)
    np.testing.assert_allclose(made["search_box"], box, atol=1e-4)
    np.testing.assert_allclose([made["template"].sum(), made["search"].sum()], sums, rtol=1e-3)  # OpenCV's rounding


def test_records_differ_by_index_seed_and_use():
    other = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, seed=4))
    seen = [
        record(CONFIG, 0, "train", SOURCES),
        record(CONFIG, 1, "train", SOURCES),
        record(CONFIG, 10**12, "train", SOURCES),
        record(other, 0, "train", SOURCES),
        record(CONFIG, 0, "validation", SOURCES),
    ]
    for one, two in itertools.combinations(seen, 2):
        assert not np.array_equal(one["search_box"], two["search_box"])


def test_incomplete_batches_are_dropped_at_an_epochs_end_alone():
    assert steps_per_epoch(CONFIG, "train") == 20 // 6
    assert steps_per_epoch(CONFIG, "validation") == 15 // 6
    published = Config(name="published")
    assert (steps_per_epoch(published), steps_per_epoch(published, "validation")) == (468, 78)
    few = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, batch=16))
    with pytest.raises(UserError, match=r"validation_pairs: 15 pairs make no batch of 16"):
        steps_per_epoch(few, "validation")


def test_training_draws_fresh_pairs_and_validation_repeats_its_own():
    made = take(8, use="train")
    boxes = np.concatenate([batch["search_box"] for batch in made])
    assert len(np.unique(boxes, axis=0)) == 48
    made = take(5, use="validation")
    assert_equal(made[:3], [*made[2:4], made[4]])
    assert not np.array_equal(made[0]["search_box"], made[1]["search_box"])


@pytest.mark.parametrize("use", ["train", "validation"])
def test_a_stream_starts_at_any_step(use):
    assert_equal(take(2, use=use, start_step=3), take(5, use=use)[3:])


@pytest.mark.parametrize("use", ["train", "validation"])
def test_hosts_part_every_batch_among_them(use):
    whole = take(4, use=use, start_step=1)
    parts = [take(4, use=use, start_step=1, host=host, hosts=3) for host in range(3)]
    joined = [
        {name: np.concatenate([part[step][name] for part in parts]) for name in whole[0]} for step in range(len(whole))
    ]
    assert_equal(whole, joined)
    with pytest.raises(UserError, match="6 does not divide among 4 hosts"):
        take(1, hosts=4)


def test_unreadable_frames_are_replaced_counted_by_set_and_reported_once(caplog):
    sources = (Source("a", [video(broken=(3, 4))], 1.0), Source("b", [video("w")], 1.0))
    with caplog.at_level(logging.WARNING), Batches(CONFIG, sources=sources, workers=0) as stream:
        made = list(itertools.islice(stream, 6))
        tally, unreadable = stream.tally, stream.unreadable
    assert sum(len(batch["search"]) for batch in made) == 36
    assert 0 < tally.unreadable["a"] < 20
    assert tally.unreadable["b"] == 0
    assert unreadable == tally.unreadable["a"]
    assert sum(tally.drawn.values()) == 36 + unreadable
    told = [record.getMessage() for record in caplog.records]
    assert sorted(told) == [f"not readable, another pair is drawn: cannot read frame {i}" for i in (3, 4)]


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_set_too_much_of_which_is_unreadable_ends_the_run_with_a_list(workers):
    sources = (Source("good", [video()], 1.0), Source("bad", [video(broken=(3, 4, 5))], 1.0))
    with Batches(CONFIG, sources=sources, workers=workers) as stream:
        expected = r"^config\.data\.bad: 2\d of \d+ draws could not be read, more than 1%"
        with pytest.raises(UserError, match=expected) as caught:
            list(itertools.islice(stream, 100))
    assert all(f"cannot read frame {i}" in str(caught.value) for i in (3, 4, 5))


def test_a_redrawn_pair_comes_from_any_data_set():
    """Half the weight lies on a set whose every crop would be black: the other set gives all pairs."""
    off = Source("off", [video(box=(500.0, 500, 10, 10))], 1.0)
    for batch in take(4, sources=(off, Source("a", [video()], 1.0))):
        assert batch["template"].std(axis=(1, 2, 3)).min() > 10


def test_when_nothing_works_the_error_tells_what_failed():
    broken = Source("rotten", [video(broken=tuple(range(25)))], 1.0)
    off = Source("off", [video(box=(500.0, 500, 10, 10))], 1.0)
    with pytest.raises(
        UserError, match=r"drawn from rotten, off and none usable \(\d+ \w+, \d+ \w+\); last: "
    ) as caught:
        take(1, sources=(broken, off))
    assert "unreadable" in str(caught.value)
    assert "padding" in str(caught.value)


def test_data_sets_are_opened_by_use_and_weight():
    data = {
        "one": DataConfig(reader="synthetic", options={"sequences": 2, "frames": 20}),
        "off": DataConfig(reader="no such reader", weight=0.0),
        "val": DataConfig(reader="synthetic", part="val", use="validation", options={"sequences": 3, "frames": 20}),
    }
    config = dataclasses.replace(CONFIG, data=data)
    assert [(s.name, s.weight, len(s.sequences)) for s in open_sources(config)] == [("one", 1.0, 2)]
    assert [(s.name, len(s.sequences)) for s in open_sources(config, "validation")] == [("val", 3)]
    made = take(1, config, sources=None)
    assert made[0]["search"].std() > 5
    with pytest.raises(UserError, match="no data set has use='train'"):
        open_sources(CONFIG)


@pytest.mark.slow
def test_record_i_is_the_same_with_no_one_or_four_workers():
    config = dataclasses.replace(CONFIG, pairs=PairConfig(centre_jitter=1.0))
    sources = (Source("a", [video(broken=(5,))], 1.0), Source("b", [video("w")], 1.0))
    streams = [Batches(config, sources=sources, workers=workers, start_step=2) for workers in (0, 1, 4)]
    made = [list(itertools.islice(stream, 9)) for stream in streams]
    counts = {(*stream.tally.drawn.values(), *stream.tally.unreadable.values()) for stream in streams}
    for stream in streams:
        stream.close()
    assert_equal(made[0], made[1])
    assert_equal(made[0], made[2])
    assert len(counts) == 1
