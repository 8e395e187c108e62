"""The best and worst sequences of an evaluation, drawn. Enters: result files, a benchmark's data. Leaves: `Shown`s.

Frames with the answered box (amber, with its score) and the true one (blue), the overlap frame by frame, and with a
network that eliminates candidates what each stage leaves of two frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.benchmarks import Benchmark
from ostrack_jax.evaluation.evaluations import Evaluation
from ostrack_jax.evaluation.metrics import measures
from ostrack_jax.evaluation.results import SequenceResult
from ostrack_jax.tracking.track import Track
from ostrack_jax.visualization import sheets
from ostrack_jax.visualization.draw import WORDS_COLOUR, Picture, draw_label, has_area
from ostrack_jax.visualization.looks import Looker, within_search
from ostrack_jax.visualization.sheets import Seen
from ostrack_jax.visualization.video import annotate

FRAMES, _COLUMNS, _WIDTH = 6, 3, 420  # of a strip; pixels of a frame there


@dataclass(frozen=True, eq=False)
class Shown:
    """One sequence of an evaluation.

    Attributes:
      sequence: its name; ``rank`` best, worst or empty; ``number`` its main score in percent.
      strip: some of its frames with boxes.
      stages: what the elimination stages left of two of them, a row each; None without elimination.
      overlaps: with the truth, by frame; NaN where there is none. ``scores``: the tracker's, by frame.
    """

    sequence: str
    rank: str
    number: float
    strip: Picture
    stages: Picture | None
    overlaps: Float[np.ndarray, " t"]
    scores: Float[np.ndarray, " t"]


def ranked(evaluation: Evaluation, count: int) -> list[tuple[str, str]]:
    """The names of the ``count`` best and worst sequences, each once, with their rank; empty for the middle of few."""
    key = evaluation.main
    names = [name for name, row in evaluation.sequences.items() if key in row]
    ordered = sorted(names, key=lambda name: (-evaluation.sequences[name][key], name))
    few = min(count, len(ordered) // 2)
    best, worst = ordered[:few], ordered[len(ordered) - few :]
    middle = ordered[few : len(ordered) - few] if few < count else []
    return (
        [(name, "best") for name in best] + [(name, "") for name in middle] + [(name, "worst") for name in worst[::-1]]
    )


def show(
    evaluation: Evaluation, protocol: Benchmark, sequences: LazySequences, count: int, looker: Looker | None = None
) -> Iterable[Shown]:
    """The best and worst sequences of one evaluation.

    Args:
      evaluation: names them, and the folder of their result files.
      protocol: of the benchmark.
      sequences: its data.
      count: so many of each.
      looker: of the evaluated weights, to draw elimination stages; None: without.

    Raises:
      UserError: a sequence that the data has not, a result or picture that cannot be read.
    """
    for name, rank in ranked(evaluation, count):
        (sequence,) = sequences.select([name])
        result = results.read(evaluation.folder, name, protocol.form)
        number = 100 * evaluation.sequences[name][evaluation.main]
        overlaps = measures.overlap(result.boxes_xywh[: len(sequence)], sequence.boxes_xywh[: len(result.boxes_xywh)])
        length = len(overlaps)
        at = np.unique(np.linspace(0, length - 1, min(FRAMES, length)).round().astype(int)).tolist()
        drawn = strip([_frame(sequence, result, t, float(overlaps[t])) for t in at])
        stages = None
        if looker is not None and looker.config.model.eliminate_at and len(at) > 2:
            seen = [t for t in (at[len(at) // 3], at[-1]) if has_area(result.boxes_xywh[t - 1])]
            stages = sheets.elimination([_look(looker, sequence, result, t) for t in seen]) if seen else None
        yield Shown(name, rank, number, drawn, stages, overlaps, result.scores[:length])


def strip(frames: list[Picture]) -> Picture:
    """Pictures of any sizes in rows, each as wide as the others and as high as the highest."""
    heights = [max(1, round(frame.shape[0] * _WIDTH / frame.shape[1])) for frame in frames]
    sizes = [(_WIDTH, height) for height in heights]
    tiles = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame, size in zip(frames, sizes, strict=True)]
    high = max(heights)
    tiles = [cv2.copyMakeBorder(tile, 0, high - len(tile), 0, 0, cv2.BORDER_CONSTANT) for tile in tiles]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS if len(tiles) > _COLUMNS else 0)
    columns = min(_COLUMNS, len(tiles))
    return np.concatenate([np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)])


def _frame(sequence: Sequence, result: SequenceResult, t: int, overlap: float) -> Picture:
    track = Track(result.boxes_xywh[t], float(result.scores[t]))
    picture = annotate(sequence.frames[t], track, sequence.boxes_xywh[t])
    words = f"frame {t}" if np.isnan(overlap) else f"frame {t}: overlap {overlap:.2f}"
    line = max(2, round(picture.shape[1] / 200))
    draw_label(picture, words, (0.0, float(picture.shape[0])), line, WORDS_COLOUR)
    return picture


def _look(looker: Looker, sequence: Sequence, result: SequenceResult, t: int) -> Seen:
    """A look at frame ``t``, searched where the tracker did."""
    looker.init(sequence.frames[0], result.boxes_xywh[0])
    last = result.boxes_xywh[t - 1]
    return Seen(
        t, looker.look(sequence.frames[t], last), within_search(sequence.boxes_xywh[t], last, looker.config.model)
    )
