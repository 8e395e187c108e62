"""The input of a score, a `SequencePrediction` for each sequence, and its output, `Scores`.

A convention is a function from the predictions of a run to `Scores`. `got10k` has those of the GOT-10k toolkit,
`analysis` those of the analysis published with OSTrack; `conventions` lists them by name. The measures
themselves, frame by frame, are in `measures`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ostrack_jax.evaluation.metrics.measures import DISTANCES_PX, FINE_OVERLAPS, OVERLAPS, RELATIVE_DISTANCES

# Every number by its key in `Scores` and in reports, in the order of a table's columns: its heading, and what it is.
# Each is a share in 0..1, the more the better.
NUMBERS = {
    "ao": ("AO", "average overlap"),
    "sr50": ("SR0.5", "share of frames with an overlap above 0.5, averaged as AO is"),
    "sr75": ("SR0.75", "the same for 0.75"),
    "success_auc": ("AUC", "area under the success curve"),
    "op50": ("OP50", "the success curve at overlap 0.5"),
    "op75": ("OP75", "the success curve at overlap 0.75"),
    "precision": ("P", "share of frames with a centre error of at most 20 pixels"),
    "norm_precision": ("P_norm", "share of frames with a centre error of at most 0.2 of the target's size"),
    "miou": ("mIoU", "mean overlap; what a frame without target counts depends on the rules"),
}
HEADINGS = {key: heading for key, (heading, _) in NUMBERS.items()}
MEANING = {key: meaning for key, (_, meaning) in NUMBERS.items()}


def percent(share: float | None, form: str = ".2f") -> str:
    """Format a share as tables print it: percent with two decimals, as papers do; 100.0, no wider than others."""
    if share is None:
        return "-"
    text = f"{100 * share:{form}}"
    return "100.0" if text == "100.00" else text


@dataclass(frozen=True, eq=False)
class Axis:
    """The horizontal axis of a curve.

    Attributes:
      thresholds: one for each value of the curve.
      label: what they are, with the unit.
      score: the key of the number that is taken from the curve, and whose weights the curve's mean has.
    """

    thresholds: Float[np.ndarray, " thresholds"]
    label: str
    score: str


CURVES = {
    "success_pooled": Axis(FINE_OVERLAPS, "overlap threshold", "ao"),
    "success": Axis(OVERLAPS, "overlap threshold", "success_auc"),
    "precision": Axis(DISTANCES_PX, "centre error threshold (pixels)", "precision"),
    "norm_precision": Axis(RELATIVE_DISTANCES, "centre error threshold (of the target's size)", "norm_precision"),
}


@dataclass(frozen=True, eq=False)
class SequencePrediction:
    """The predicted and the true boxes of one sequence: all that a score needs.

    Attributes:
      name: of the sequence.
      result_xywh: the tracker's boxes in pixels, row 0 the ground truth it started with; raw results of others may be
        longer (r) or shorter than the truth, each convention handles that.
      truth_xywh: the ground truth; NaN where not annotated.
      counted: the frames that the toolkits' conventions may count; the first is the convention's own affair.
      size_wh: width and height of the frame in pixels; None where not known.
      present: each frame's entry in the set's own list (see `Sequence.present`); None without such a list.
      category: the target's class, empty without; ``attributes``: what is hard about the sequence.
      missing: label files of the set that the sequence lacks (see `Sequence.missing`).
      flaws: of the sequence, which is scored in spite of them (see `Sequence.flaws`).
    """

    name: str
    result_xywh: Float[np.ndarray, "r 4"]
    truth_xywh: Float[np.ndarray, "t 4"]
    counted: Bool[np.ndarray, " t"]
    size_wh: tuple[int, int] | None = None
    present: Bool[np.ndarray, " t"] | None = None
    category: str = ""
    attributes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SequenceScores:
    """The scores of one sequence by one convention.

    Attributes:
      numbers: shares in 0..1 by their keys of `MEANING`; NaN where no frame counts.
      curves: by their keys of `CURVES`.
      weight: what the sequence counts in the mean: 1, or its frames where all sequences' frames are pooled.
    """

    numbers: dict[str, float]
    curves: dict[str, Float[np.ndarray, " _"]]
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of a run.

    Attributes:
      keys: of its numbers, in 0..1, see `MEANING`; ``curve_keys`` of its curves, see `CURVES`.
      sequences: by name, the numbers of each; NaN where no frame counts.
      sequence_curves: by name, the curves of each.
      weights: what each sequence counts in the mean, by name and key; 0 where its number is NaN.
    """

    keys: tuple[str, ...]
    curve_keys: tuple[str, ...]
    sequences: dict[str, dict[str, float]]
    sequence_curves: dict[str, dict[str, Float[np.ndarray, " _"]]]
    weights: dict[str, dict[str, float]]

    @functools.cached_property
    def overall(self) -> dict[str, float]:
        """The numbers of the run: weighted means over its sequences."""
        return self.mean(self.sequences)

    @functools.cached_property
    def curves(self) -> dict[str, Float[np.ndarray, " _"]]:
        """The curves of the run."""
        return self.mean_curves(self.sequences)

    def mean(self, names: Iterable[str]) -> dict[str, float]:
        """Return the numbers over these sequences alone, by the same weights."""
        names = list(names)
        columns = {key: np.array([self.sequences[name][key] for name in names]).reshape(-1, 1) for key in self.keys}
        return {key: float(self._mean(key, names, column)[0]) for key, column in columns.items()}

    def mean_curves(self, names: Iterable[str]) -> dict[str, Float[np.ndarray, " _"]]:
        """Return the curves over these sequences alone, by the same weights."""
        names, means = list(names), {}
        for key in self.curve_keys:
            axis = CURVES[key]
            several = np.array([self.sequence_curves[name][key] for name in names]).reshape(-1, len(axis.thresholds))
            means[key] = self._mean(axis.score, names, several)
        return means

    def _mean(self, key: str, names: list[str], values: Float[np.ndarray, "sequences n"]) -> Float[np.ndarray, " n"]:
        """Average over the sequences ``names`` by the weights of the number ``key``; NaN where none counts."""
        weights = np.array([self.weights[name][key] for name in names])
        known = weights > 0
        return weights[known] @ values[known] / weights.sum() if known.any() else np.full(values.shape[1], np.nan)


def gather(rows: Mapping[str, SequenceScores], keys: tuple[str, ...], curve_keys: tuple[str, ...]) -> Scores:
    """Collect the scores of all sequences, by name, under these keys (also where there is no sequence)."""
    weights = {
        name: {key: 0.0 if np.isnan(value) else row.weight for key, value in row.numbers.items()}
        for name, row in rows.items()
    }
    numbers = {name: row.numbers for name, row in rows.items()}
    return Scores(keys, curve_keys, numbers, {name: row.curves for name, row in rows.items()}, weights)


def average(runs: list[Scores]) -> Scores:
    """Average several runs over the same sequences: of each sequence the mean of the runs that have it.

    With as many runs of each sequence that is also the GOT-10k toolkit's number, which pools the frames of all runs.
    """
    having = {name: [run for run in runs if name in run.sequences] for run in runs for name in run.sequences}

    def mean(field: str) -> dict[str, dict]:
        rows = {name: [getattr(run, field)[name] for run in some] for name, some in having.items()}
        return {name: {key: np.mean([row[key] for row in of], axis=0) for key in of[0]} for name, of in rows.items()}

    return Scores(runs[0].keys, runs[0].curve_keys, mean("sequences"), mean("sequence_curves"), mean("weights"))


def combine(*several: Scores) -> Scores:
    """Join the numbers of several conventions for the same sequences."""
    keys = tuple(key for scores in several for key in scores.keys)
    merged = Scores(keys, tuple(key for scores in several for key in scores.curve_keys), {}, {}, {})
    for scores in several:
        for name in scores.sequences:
            merged.sequences.setdefault(name, {}).update(scores.sequences[name])
            merged.sequence_curves.setdefault(name, {}).update(scores.sequence_curves[name])
            merged.weights.setdefault(name, {}).update(scores.weights[name])
    return merged
