"""Batches, by grain. Enters: a config and a step. Leaves: `Batch`es of numpy arrays from that step on, endlessly.

Record i is a function of the seed and i alone: each record draws its pair afresh, so there is nothing to
shuffle, a position is a step number, any record can be made by itself (`record`), and it is the same with any
number of worker processes. Step s is records s * batch .. (s + 1) * batch - 1, of which each host takes an
equal run. Validation goes round and round over the same pairs.

Imports no jax (grain does, for its profiler; workers never start a device).
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Literal, TypedDict

import grain
import numpy as np
from jaxtyping import Float32, UInt8

from ostrack_jax.config import Config, ModelConfig
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.augment import make_example
from ostrack_jax.pipeline.failures import Draws, Tally, spec
from ostrack_jax.pipeline.sampling import Source, UnusablePairError, draw_pair
from ostrack_jax.pipeline.workers import Ahead, Fields, Spec

Use = Literal["train", "validation"]

_MAX_DRAWS = 200  # for one record; on sound data hardly any needs a second
_MOST_REPORTED = 100  # failures that a process logs
_ENDLESS = 2**62  # records

_log = logging.getLogger(__name__)


class Batch(TypedDict):
    """What a training step eats: RGB crops; boxes as left, top, width, height in fractions of their crop."""

    template: UInt8[np.ndarray, "b z z 3"]
    search: UInt8[np.ndarray, "b x x 3"]
    template_box: Float32[np.ndarray, "b 4"]
    search_box: Float32[np.ndarray, "b 4"]


class DrawExample(grain.transforms.RandomMap):
    """Draw a pair, augment it; draw again where that fails. A record's fields, and what became of its draws."""

    def __init__(self, sources: tuple[Source, ...], config: Config, use: Use, most_reported: int = _MOST_REPORTED):
        self.sources, self.config, self.use = sources, config, use
        self._reported: set[str] = set()
        self._most_reported = most_reported

    def random_map(self, element: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Record ``element``; ``rng`` is what its index and the seed make it.

        Raises:
          UserError: many draws in a row failed; tells at what.
        """
        names = [source.name for source in self.sources]
        draws, failed = Draws(names), Counter[str]()
        last = ""
        for _ in range(_MAX_DRAWS):
            try:
                pair = draw_pair(self.sources, self.config.pairs, rng)
                example = make_example(pair, self.config.pairs, self.config.model, self.use == "train", rng)
                draws.add(pair.source)
                return {**example, **draws.fields()}  # pyright: ignore[reportReturnType] (a dict of arrays)
            except UnusablePairError as e:
                draws.add(e.source, e.detail if e.kind == "unreadable" else None)
                failed[e.kind] += 1
                last = str(e)
                self._report(e)
        counts = ", ".join(f"{n} {kind}" for kind, n in failed.most_common())
        raise UserError(
            f"record {element}: {_MAX_DRAWS} pairs drawn from {', '.join(names)} and none usable ({counts}); "
            f"last: {last}"
        )

    def _report(self, error: UnusablePairError) -> None:
        new = error.kind == "unreadable" and error.detail not in self._reported
        if new and len(self._reported) < self._most_reported:
            self._reported.add(error.detail)
            _log.warning("not readable, another pair is drawn: %s", error.detail)


class Steps:
    """One host's share of each step from some step on, by index; what `Ahead` makes, here or in its processes."""

    def __init__(self, config: Config, use: Use, sources: tuple[Source, ...], first: int, own: int) -> None:
        """Remember how to make them: record ``first`` is the first of step 0, ``own`` the host's of each step."""
        self._records, self._first, self._batch, self._own = (
            _records(config, use, sources),
            first,
            config.train.batch,
            own,
        )

    def fill(self, index: int, fields: Fields) -> None:
        """Write step ``index`` into ``fields``, each an array of ``own`` rows."""
        start = self._first + index * self._batch
        for row in range(self._own):
            made = self._records[start + row]
            assert made is not None  # grain's sign that a record was filtered out; none is
            for name, value in made.items():
                np.copyto(fields[name][row], value, casting="no")


class Batches:
    """An endless iterator over batches, made ahead. Use it with ``with``, or `close` it: it may hold processes.

    Attributes:
      tally: draws and those that could not be read, by data set, within the batches given out so far; each
        failure is also logged once by each process.
    """

    def __init__(self, made: Ahead, tally: Tally) -> None:
        self.tally = tally
        self._made = made

    @property
    def unreadable(self) -> int:
        """Draws of all sets that could not be read."""
        return sum(self.tally.unreadable.values())

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Batch:
        """The next batch.

        Raises:
          UserError: one could not be made, or too large a share of a set cannot be read.
        """
        fields = next(self._made)
        self.tally.add(fields)
        return Batch(
            template=fields["template"],
            search=fields["search"],
            template_box=fields["template_box"],
            search_box=fields["search_box"],
        )

    def ready(self, timeout: float | None = None) -> bool:
        """Whether the next batch lies ready; waits for it up to ``timeout`` seconds (None: as long as it takes).

        Raises:
          UserError: a loader process has ended.
        """
        return self._made.ready(timeout)

    def settle(self) -> None:
        """Wait until the batches made ahead lie ready, and the workers rest."""
        self._made.settle()

    def close(self) -> None:
        """End the workers, whatever they are at; there are no more batches then."""
        self._made.close()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def steps_per_epoch(config: Config, use: Use = "train") -> int:
    """Whole batches in an epoch (or a validation); the rest of the pairs is dropped, as published.

    Raises:
      UserError: there is not one.
    """
    pairs = config.train.pairs_per_epoch if use == "train" else config.train.validation_pairs
    if pairs < config.train.batch:
        name = "pairs_per_epoch" if use == "train" else "validation_pairs"
        raise UserError(f"config.train.{name}: {pairs} pairs make no batch of {config.train.batch}")
    return pairs // config.train.batch


def open_sources(config: Config, use: Use = "train") -> tuple[Source, ...]:
    """The data sets of the config's mix for this use, those of weight 0 left out.

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
        DrawExample((source,), config, use, 0).random_map(0, np.random.default_rng(config.train.seed))
    except UserError as e:
        raise UserError(f"config.data.{source.name} gives no pair: {e}") from e


def batches(
    config: Config,
    use: Use = "train",
    *,
    start_step: int = 0,
    workers: int | None = None,
    host: int = 0,
    hosts: int = 1,
    sources: tuple[Source, ...] | None = None,
) -> Batches:
    """The batches of step ``start_step`` and all after it.

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
    workers = config.train.workers if workers is None else workers
    if config.train.batch % hosts:
        raise UserError(f"config.train.batch: {config.train.batch} does not divide among {hosts} hosts")
    sources = open_sources(config, use) if sources is None else sources
    # Put together by index, whoever makes it: every batch is whole, no worker is left with a remainder.
    own = config.train.batch // hosts
    steps = Steps(config, use, sources, start_step * config.train.batch + host * own, own)
    made = Ahead(steps, {**_spec(config.model, own), **spec(len(sources), own)}, workers)
    return Batches(made, Tally([source.name for source in sources]))


def record(
    config: Config, index: int, use: Use = "train", sources: tuple[Source, ...] | None = None
) -> dict[str, np.ndarray]:
    """Record ``index`` by itself, the one that `batches` has at step index // batch, place index % batch."""
    sources = open_sources(config, use) if sources is None else sources
    return _records(config, use, sources)[index]  # pyright: ignore[reportReturnType] (None: filtered, none is)


def _records(config: Config, use: Use, sources: tuple[Source, ...]) -> grain.MapDataset[dict[str, np.ndarray]]:
    """Every record by its index, without end; a validation's come again after as many as it has."""
    if config.train.seed < 0:
        raise UserError(f"config.train.seed: expected 0 or more, found {config.train.seed}")
    steps = steps_per_epoch(config, use)
    count = _ENDLESS if use == "train" else steps * config.train.batch
    # Training and validation draw from different streams.
    seed = np.random.SeedSequence([config.train.seed, int(use == "validation")]).generate_state(1)[0]
    drawn = grain.MapDataset.range(count).random_map(DrawExample(sources, config, use), seed=int(seed))
    return drawn if use == "train" else drawn.repeat(reseed_each_epoch=False)


def _spec(model: ModelConfig, batch: int) -> Spec:
    z, x = model.template_size, model.search_size
    image, number = np.dtype(np.uint8), np.dtype(np.float32)
    return {
        "template": ((batch, z, z, 3), image),
        "search": ((batch, x, x, 3), image),
        "template_box": ((batch, 4), number),
        "search_box": ((batch, 4), number),
    }
