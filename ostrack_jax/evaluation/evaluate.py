"""A tracker on a benchmark, from its name to the report: `ostrack_jax.evaluate`, and the body of `ostrack eval`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ostrack_jax import io
from ostrack_jax.config import Config, to_dict
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import with_attributes_of_files
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import benchmarks, locks, report, runner
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics import conventions as rules
from ostrack_jax.evaluation.report import Report
from ostrack_jax.tracking.track import SlotTracker, TrackerLike


def evaluate(
    tracker: TrackerLike | SlotTracker,
    benchmark: str,
    output: Path | str,
    data_dir: Path | str | None = None,
    *,
    sequences: Sequence[str] | None = None,
    attribute_dir: Path | str | None = None,
    conventions: Sequence[str] = (),
) -> Report:
    """Track the sequences of a benchmark that have no result yet in ``output``, and score all of them.

    Args:
      tracker: a `Tracker`, or anything with its ``init`` and ``update``; results are never mixed with those of another
        ``tracker.provenance`` (of a class without it: its name).
      benchmark: its name, e.g. ``got10k_val`` (docs/benchmarks.md).
      output: directory of the result files, ``report.json`` and ``run.json``; made where it does not exist.
      data_dir: the benchmark's directory; None: from OSTRACK_<READER>_DIR or the paths file.
      sequences: names of some of its sequences; None: all.
      attribute_dir: a directory of NAME.txt with a 0 or 1 for each attribute of the benchmark.
      conventions: other rules to score by too (docs/scores.md).

    Returns:
      The report: its fields are the keys of ``report.json``, see `ostrack_jax.evaluation.report`.

    Raises:
      UserError: an unknown benchmark, sequence or convention, missing data, results of another tracker in ``output``.
    """
    rules.choose(list(conventions))
    found = benchmarks.find(benchmark)
    opened = found.open(None if data_dir is None else Path(data_dir))
    opened = narrow(opened, found, sequences, None if attribute_dir is None else Path(attribute_dir))
    return score(tracker, found, opened, Path(output), conventions)


def narrow(
    sequences: LazySequences, benchmark: Benchmark, names: Sequence[str] | None, attribute_dir: Path | None
) -> LazySequences:
    """Keep the sequences ``names`` of a benchmark's, and give them the attributes in ``attribute_dir``."""
    if attribute_dir is not None:
        sequences = with_attributes_of_files(sequences, attribute_dir, benchmark.reader)
    if names is not None:
        sequences = sequences.select(dict.fromkeys(names))
    if not len(sequences):
        raise UserError(f"no sequences: expected names of {benchmark.name} (--sequences a,b)")
    return sequences


def score(
    tracker: TrackerLike | SlotTracker,
    benchmark: Benchmark,
    sequences: LazySequences,
    output: Path,
    conventions: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Track the sequences without a result, write the report and return it.

    ``options``: what else the results follow from, beyond ``tracker.provenance``.
    """
    provenance = getattr(tracker, "provenance", None) or {"tracker": type(tracker).__qualname__}
    provenance = {**provenance, **(options or {})}
    config = getattr(tracker, "config", None)
    about = {
        "command": shlex.join(sys.argv),
        "config": to_dict(config) if isinstance(config, Config) else None,
        "compile_seconds": getattr(tracker, "compile_seconds", None),
    }
    locks.read_records(output)  # an invalid record is reported before the work
    outcomes = runner.evaluate(tracker, benchmark, sequences, output, provenance, about=about)
    found = locks.read_records(output)
    made = report.build(benchmark, outcomes, provenance, processes=found, other_rules=conventions, **about)
    io.write_json(output / report.REPORT_FILE, made.to_json())
    return made
