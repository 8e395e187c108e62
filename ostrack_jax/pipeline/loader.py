"""Endless batches for training and validation, from any step on.

Record i is a function of the seed and i alone: each record draws its pair afresh, so there is nothing to shuffle, a
position is a step number, any record can be made by itself (`record`), and it is the same with any number of worker
processes. Step s is records s * batch .. (s + 1) * batch - 1, of which each host takes an equal run. Validation
repeats the same pairs. Imports no jax: workers start quickly and never touch a device.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, TypedDict, cast

import numpy as np
from jaxtyping import Float32, UInt8

from ostrack_jax.config import Config, steps_per_epoch
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.augment import make_example
from ostrack_jax.pipeline.sampling import Source, UnusablePairError, draw_pair
from ostrack_jax.pipeline.workers import Fields, Prefetcher

Use = Literal["train", "validation"]
Draw = tuple[str, str | None]  # of a pair: its data set, and what could not be read, if anything

MOST_SHARE = 0.01  # of a set's draws that may fail
_FEWEST = 20  # failures before a share means anything: at half of MOST_SHARE so many come in too few draws once in 300
_TEXT = 240  # letters of a failure that are kept
_LISTED = 20  # failures in the error
_LOGGED = 100  # failures of a set that are logged
_MAX_DRAWS = 200  # for one record; on sound data hardly any needs a second

_log = logging.getLogger(__name__)


class Batch(TypedDict):
    """A training batch: RGB crops; boxes as left, top, width, height in fractions of their crop."""

    template: UInt8[np.ndarray, "b z z 3"]
    search: UInt8[np.ndarray, "b x x 3"]
    template_box: Float32[np.ndarray, "b 4"]
    search_box: Float32[np.ndarray, "b 4"]


class Tally:
    """Draws and failures by data set since the stream was opened; a failure is logged when it comes first.

    Attributes:
      drawn: by name of the data set.
      unreadable: those of them that failed because a frame or annotation could not be read.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.drawn = dict.fromkeys(names, 0)
        self.unreadable = dict.fromkeys(self.drawn, 0)
        self._failures: dict[str, list[str]] = {name: [] for name in self.drawn}

    def add(self, draws: Iterable[Draw]) -> None:
        """Count a batch's draws.

        Raises:
          UserError: of some set more than `MOST_SHARE` failed; lists what could not be read.
        """
        for name, failure in draws:
            self.drawn[name] += 1
            if failure is not None:
                self.unreadable[name] += 1
                failures, text = self._failures[name], failure[:_TEXT]
                if len(failures) < _LOGGED and text not in failures:
                    failures.append(text)
                    _log.warning("not readable, another pair is drawn: %s", text)
        for name, failed in self.unreadable.items():
            if failed >= _FEWEST and failed > MOST_SHARE * self.drawn[name]:
                raise UserError(
                    f"config.data.{name}: {failed} of {self.drawn[name]} draws could not be read, more than "
                    f"{MOST_SHARE:.0%}: repair or remove the corrupt files (`ostrack data check` lists them all): "
                    f"{'; '.join(self._failures[name][:_LISTED])}"
                )


class Records:
    """Augmented pairs by index."""

    def __init__(self, config: Config, use: Use, sources: tuple[Source, ...]) -> None:
        self.config, self.use, self.sources = config, use, sources
        # Training and validation draw from different streams.
        self._seed = int(np.random.SeedSequence([config.train.seed, int(use == "validation")]).generate_state(1)[0])
        self._round = steps_per_epoch(config, "validation") * config.train.batch if use == "validation" else None

    def make(self, index: int) -> tuple[Fields, list[Draw]]:
        """Make record ``index``, and list its draws; a validation's come again after as many as it has."""
        index = index % self._round if self._round else index
        # The stream of grain's `random_map`.
        return self.draw(index, np.random.Generator(np.random.Philox(self._seed, counter=[0, 0, 0, index])))

    def draw(self, index: int, rng: np.random.Generator) -> tuple[Fields, list[Draw]]:
        """Draw a pair and augment it; draw again where that fails.

        Raises:
          UserError: many draws in a row failed; the message has the reasons.
        """
        failed: Counter[str] = Counter()
        draws, last = [], ""
        for _ in range(_MAX_DRAWS):
            try:
                pair = draw_pair(self.sources, self.config.pairs, rng)
                example = make_example(pair, self.config.pairs, self.config.model, self.use == "train", rng)
            except UnusablePairError as e:
                failed[e.kind] += 1
                last = str(e)
                draws.append((e.source, e.detail if e.kind == "unreadable" else None))
            else:
                return {**example}, [*draws, (pair.source, None)]  # pyright: ignore[reportReturnType] (arrays)
        counts = ", ".join(f"{n} {kind}" for kind, n in failed.most_common())
        names = ", ".join(source.name for source in self.sources)
        raise UserError(
            f"record {index}: {_MAX_DRAWS} pairs drawn from {names} and none usable ({counts}); last: {last}"
        )

    def fields(self, count: int) -> np.dtype[Any]:
        """The fields of ``count`` records, see `Batch`."""
        z, x = self.config.model.template_size, self.config.model.search_size
        shapes = {"template": (count, z, z, 3), "search": (count, x, x, 3)}
        images = [(name, np.uint8, shape) for name, shape in shapes.items()]
        return np.dtype([*images, ("template_box", np.float32, (count, 4)), ("search_box", np.float32, (count, 4))])


def _fill(records: Records, first: int, step: int, batch: np.ndarray) -> list[Draw]:
    """Write one host's share of a step into ``batch`` and list its draws; ``first`` is its first record of step 0."""
    start, draws = first + step * records.config.train.batch, []
    for row in range(len(batch["search"])):
        example, drawn = records.make(start + row)
        draws += drawn
        for name, value in example.items():
            np.copyto(batch[name][row], value, casting="no")
    return draws


class Batches(Prefetcher):
    """The endless stream of batches, made ahead. Use it with ``with``, or `close` it: it may hold processes.

    Attributes:
      tally: draws and those that could not be read, by data set, within the batches given out so far.
    """

    def __init__(
        self,
        config: Config,
        use: Use = "train",
        *,
        start_step: int = 0,
        workers: int | None = None,
        host: int = 0,
        hosts: int = 1,
        sources: tuple[Source, ...] | None = None,
    ) -> None:
        """Begin to make the batches of step ``start_step`` and all after it.

        Steps count from the start of training, across epochs; a validation's from its own start, where
        `steps_per_epoch` batches make one round.

        Args:
          config: the experiment.
          use: train, or validation (which always sees the same pairs, without brightness and second flip).
          start_step: of the first batch.
          workers: processes; 0 reads ahead on one thread of this process; None: the config's.
          host: which of ``hosts`` this is; each gets ``batch / hosts`` pairs of every step.
          hosts: processes that train together.
          sources: the data sets, where they are already open.
        """
        if config.train.batch % hosts:
            raise UserError(f"config.train.batch: {config.train.batch} does not divide among {hosts} hosts")
        records = Records(config, use, open_sources(config, use) if sources is None else sources)
        own = config.train.batch // hosts
        fill = functools.partial(_fill, records, start_step * config.train.batch + host * own)
        super().__init__(fill, records.fields(own), config.train.workers if workers is None else workers)
        self.tally = Tally(source.name for source in records.sources)

    @property
    def unreadable(self) -> int:
        """Draws of all sets that could not be read."""
        return sum(self.tally.unreadable.values())

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Batch:
        """Return the next batch.

        Raises:
          UserError: it could not be made, or too large a share of a set cannot be read.
        """
        batch = self.take()
        self.tally.add(self.report)
        return cast(Batch, batch)


def open_sources(config: Config, use: Use = "train") -> tuple[Source, ...]:
    """Open the data sets of the config's mix for this use, but those of weight 0.

    Raises:
      UserError: there is none, or one has no sequence (or cannot be opened).
    """
    chosen = {name: data for name, data in config.data.items() if data.use == use and data.weight > 0}
    if not chosen:
        raise UserError(f"config {config.name}: no data set has use={use!r} and a weight above 0 (config.data)")
    opened = {name: open_dataset(data) for name, data in chosen.items()}
    for name, sequences in opened.items():
        if not len(sequences):
            raise UserError(f"config.data.{name}: the data set has no sequence")
        for note in sequences.notes:
            _log.warning("config.data.%s: %s", name, note)
    return tuple(Source(name, sequences, chosen[name].weight) for name, sequences in opened.items())


def make_one(config: Config, use: Use, source: Source) -> None:
    """Make one pair of a data set, as a run would.

    Raises:
      UserError: none of many draws gave one.
    """
    try:
        Records(config, use, (source,)).draw(0, np.random.default_rng(config.train.seed))
    except UserError as e:
        raise UserError(f"config.data.{source.name} gives no pair: {e}") from e


def record(config: Config, index: int, use: Use = "train", sources: tuple[Source, ...] | None = None) -> Fields:
    """Make record ``index`` by itself, the one that `Batches` has at step index // batch, place index % batch."""
    return Records(config, use, open_sources(config, use) if sources is None else sources).make(index)[0]
