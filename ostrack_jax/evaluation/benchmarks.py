"""Benchmarks by name: where the sequences come from, which frames count, how results are written and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ostrack_jax.config import DataConfig
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import official_count, published_lengths
from ostrack_jax.data.packed.reader import is_packed
from ostrack_jax.data.readers.boxes_only import NoImages
from ostrack_jax.data.readers.registry import named_directory, open_dataset
from ostrack_jax.data.readers.vot import YEARS
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError, unknown
from ostrack_jax.evaluation.metrics import analysis, got10k
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction, combine


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
      name: as a user gives it.
      reader: of `ostrack_jax.data.readers.registry`; ``part`` of its data.
      form: of the result files, otb | got10k, see `results`.
      counted: frames of a sequence that may count: all | visible (the target is present and annotated) | covered
        (GOT-10k: some of the target is seen).
      conventions: functions of `metrics.analysis` and `metrics.got10k`, each giving some scores;
        none where the truth is not public.
      options: of the reader, where the benchmark fixes some.
      split: of the reader, where the benchmark is a published list.
      server: that scores where the ground truth is not public, as `submit` names it; else empty.
    """

    name: str
    reader: str
    part: str
    form: str
    counted: Literal["all", "visible", "covered"]
    conventions: tuple[Callable[[list[SequencePrediction]], Scores], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str = "all"
    server: str = ""

    def data(self, data_dir: Path | None = None, options: Mapping[str, Any] | None = None) -> DataConfig:
        """Return the `DataConfig` for `open_dataset`; see `open`."""
        where = str(data_dir) if data_dir is not None else ""
        merged = {**self.options, **(options or {})}
        return DataConfig(reader=self.reader, dir=where, part=self.part, split=self.split, options=merged)

    def open(self, data_dir: Path | None = None, options: Mapping[str, Any] | None = None) -> LazySequences:
        """Open the benchmark's sequences.

        Args:
          data_dir: their directory; None: looked up, see `registry.find_directory`.
          options: of the reader, over the benchmark's own (synthetic: seed, sequences, frames, width, height).

        Raises:
          UserError: a missing or foreign directory, a packed set (which keeps no lists of absent frames), a wrong
            option.
        """
        data = self.data(data_dir, options)
        named = named_directory(self.reader, data.dir)
        if named is not None and (is_packed(named[0]) or is_packed(named[0] / self.part)):
            raise UserError(
                f"{named[0]} is a packed set, for training: a benchmark is scored on the {self.reader} data as "
                "downloaded, whose absent frames, classes and attributes packing leaves out"
            )
        return open_dataset(data)

    @property
    def sequences(self) -> int | None:
        """The number of sequences of the complete benchmark; None if any number is right, as for the user's own."""
        return official_count(self.reader, self.part) if self.name in BENCHMARKS and self.name != "otb" else None

    @property
    def names(self) -> dict[str, int | None]:
        """Its sequences as published, see `lists.published`; empty without a list, or if any sequence will do."""
        return published_lengths(self.reader, self.part) if self.sequences is not None else {}

    def without_sizes(self) -> Benchmark:
        """Leave out the rules that need the frame's size, which ground truth without images does not give.

        Raises:
          UserError: no rule would be left.
        """
        rules = tuple(convention for convention in self.conventions if convention is not got10k.got10k_scores)
        if self.conventions and not rules:
            raise UserError(
                f"{self.name} is scored by GOT-10k's rules, which clip boxes to the frame: expected --data_dir with "
                "the images, not --truth"
            )
        return replace(self, conventions=rules)

    @property
    def not_scored(self) -> str:
        """Why its results get no scores here; empty where they do."""
        text = "not scored: the ground truth is not public; `ostrack submit {}` packs results for its server"
        return text.format(self.server) if self.server else ""

    def prediction(self, sequence: Sequence, result_xywh: Float[np.ndarray, "r 4"]) -> SequencePrediction:
        """Join a sequence and the boxes predicted for it; reads a frame where nothing else gives its size."""
        size = sequence.size_wh
        if size is None and not isinstance(sequence.frames, NoImages):
            height, width = sequence.frames[0].shape[:2]
            size = (width, height)
            sequence.frames.close()
        covered = None if sequence.cover is None else sequence.cover > 0
        counted = sequence.visible
        if self.counted == "all":
            counted = np.ones_like(counted)
        elif self.counted == "covered" and covered is not None:
            counted = covered
        return SequencePrediction(
            sequence.name,
            result_xywh,
            sequence.boxes_xywh,
            counted,
            size,
            covered if sequence.present is None else sequence.present,
            sequence.category,
            sequence.attributes,
            sequence.missing,
            sequence.flaws,
        )

    def score(self, predictions: list[SequencePrediction]) -> Scores:
        """Score by all conventions."""
        return combine(*(convention(predictions) for convention in self.conventions))


_TOOLKIT = (got10k.got10k_scores, got10k.otb_scores)
_PUBLISHED, _UAV = (analysis.published_scores,), (analysis.uav_scores,)
_SYNTHETIC = {"seed": 0, "sequences": 20, "frames": 60, "width": 240, "height": 180}
BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (  # name, reader, part, form of the result files, frames that count, conventions
        Benchmark("dtb70", "dtb70", "test", "otb", "all", _PUBLISHED),
        Benchmark("folder", "folder", "test", "otb", "visible", _TOOLKIT),
        Benchmark("got10k_test", "got10k", "test", "got10k", "covered", (), server="got10k"),
        Benchmark("got10k_val", "got10k", "val", "got10k", "covered", (got10k.got10k_scores,)),
        Benchmark("itb", "itb", "test", "otb", "all", (analysis.itb_scores,)),
        Benchmark("lasot", "lasot", "test", "otb", "all", (analysis.lasot_scores,)),
        Benchmark("lasot_ext", "lasot_ext", "test", "otb", "all", _PUBLISHED),
        Benchmark("nfs240", "nfs", "240", "otb", "all", _PUBLISHED),
        Benchmark("nfs30", "nfs", "30", "otb", "all", _PUBLISHED),
        Benchmark("otb", "otb", "test", "otb", "all", (got10k.otb_scores,)),
        Benchmark("otb100", "otb", "test", "otb", "all", _PUBLISHED, split="otb100"),
        Benchmark("synthetic", "synthetic", "test", "otb", "visible", _TOOLKIT, _SYNTHETIC),
        Benchmark("tc128", "tc128", "test", "otb", "all", (analysis.tc128_scores,)),
        Benchmark("tnl2k", "tnl2k", "test", "otb", "all", _PUBLISHED),
        Benchmark("trackingnet", "trackingnet", "test", "otb", "all", (), server="trackingnet"),
        Benchmark("uav123", "uav", "uav123", "otb", "all", _UAV),
        Benchmark("uav123_10fps", "uav", "uav123_10fps", "otb", "all", _UAV),
        Benchmark("uav20l", "uav", "uav20l", "otb", "all", _UAV),
        Benchmark("uavdt", "uavdt", "test", "otb", "all", _PUBLISHED),
        *(Benchmark(f"vot{year}", "vot", year, "otb", "visible", _TOOLKIT) for year in YEARS),
    )
}


def find(name: str) -> Benchmark:
    """Return the benchmark of this name; a `UserError` suggests the nearest for an unknown one."""
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]
