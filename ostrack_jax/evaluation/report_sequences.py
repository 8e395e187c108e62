"""The best and worst sequences of an evaluation, drawn.

Frames with the answered box (amber, with its score) and the true one (blue), the overlap frame by frame, and with a
network that eliminates candidates what each stage leaves of two frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.metrics import measures
from ostrack_jax.evaluation.report import Report
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.tracking.details import within_search
from ostrack_jax.tracking.tracker import Tracker
from ostrack_jax.visualization import network_maps
from ostrack_jax.visualization.draw import WORDS_COLOUR, Image, annotate, draw_label, has_area
from ostrack_jax.visualization.network_maps import Seen
from ostrack_jax.visualization.tiles import grid

_FRAMES, _COLUMNS, _WIDTH = 6, 3, 420  # of a sequence; pixels of a frame


@dataclass(frozen=True, eq=False)
class DrawnSequence:
    """One sequence of an evaluation.

    Attributes:
      name: of the sequence; ``rank`` best, worst or empty; ``percent`` its main score.
      frames: some of its frames with boxes.
      stages: what the elimination stages left of two of them, a row each; None without elimination.
      overlaps: with the truth, by frame; NaN where there is none. ``scores``: the tracker's, by frame.
    """

    name: str
    rank: str
    percent: float
    frames: Image
    stages: Image | None
    overlaps: Float[np.ndarray, " t"]
    scores: Float[np.ndarray, " t"]


def ranked(report: Report, count: int) -> list[tuple[str, str]]:
    """The names of the ``count`` best and worst sequences, each once, with their rank; empty for the middle of few."""
    numbers = {name: row[report.main] for name, row in report.sequences.items() if row.get(report.main) is not None}
    ordered = sorted(numbers, key=lambda name: (-numbers[name], name))
    few = min(count, len(ordered) // 2)
    best, worst = ordered[:few], ordered[len(ordered) - few :]
    middle = ordered[few : len(ordered) - few] if few < count else []
    return (
        [(name, "best") for name in best] + [(name, "") for name in middle] + [(name, "worst") for name in worst[::-1]]
    )


def draw_sequences(
    report: Report, benchmark: Benchmark, sequences: LazySequences, count: int, tracker: Tracker | None = None
) -> Iterator[DrawnSequence]:
    """The best and worst sequences of one evaluation.

    Args:
      report: names them, and the directory of their result files.
      benchmark: of the report.
      sequences: its data.
      count: so many of each.
      tracker: of the evaluated weights, with details, to draw elimination stages; None: without.

    Raises:
      UserError: a sequence that the data has not, a result or image that cannot be read.
    """
    for name, rank in ranked(report, count):
        (sequence,) = sequences.select([name])
        result = results.read(report.directory, name, benchmark.form)
        overlaps = measures.overlap(result.boxes_xywh[: len(sequence)], sequence.boxes_xywh[: len(result.boxes_xywh)])
        length = len(overlaps)
        at = np.unique(np.linspace(0, length - 1, min(_FRAMES, length)).round().astype(int)).tolist()
        frames = grid([_frame(sequence, result, t, float(overlaps[t])) for t in at], _COLUMNS)
        stages = None
        if tracker is not None and tracker.config.model.eliminate_at and len(at) > 2:
            seen = [t for t in (at[len(at) // 3], at[-1]) if has_area(result.boxes_xywh[t - 1])]
            stages = network_maps.elimination([_seen(tracker, sequence, result, t) for t in seen]) if seen else None
        percent = 100 * report.sequences[name][report.main]
        yield DrawnSequence(name, rank, percent, frames, stages, overlaps, result.scores[:length])


def _frame(sequence: Sequence, result: SequenceResult, t: int, overlap: float) -> Image:
    image = annotate(sequence.frames[t], result.boxes_xywh[t], float(result.scores[t]), sequence.boxes_xywh[t])
    words = f"frame {t}" if np.isnan(overlap) else f"frame {t}: overlap {overlap:.2f}"
    line = max(2, round(image.shape[1] / 200))
    draw_label(image, words, (0.0, float(image.shape[0])), line, WORDS_COLOUR)
    return cv2.resize(
        image, (_WIDTH, max(1, round(image.shape[0] * _WIDTH / image.shape[1]))), interpolation=cv2.INTER_AREA
    )


def _seen(tracker: Tracker, sequence: Sequence, result: SequenceResult, t: int) -> Seen:
    """Frame ``t`` as the network sees it, searched where the evaluated tracker did."""
    last = result.boxes_xywh[t - 1]
    tracker.init(sequence.frames[0], result.boxes_xywh[0])
    tracker.search_around(0, last)
    tracker.update(sequence.frames[t])
    return Seen(t, within_search(sequence.boxes_xywh[t], last, tracker.config.model), **vars(tracker.details()))
