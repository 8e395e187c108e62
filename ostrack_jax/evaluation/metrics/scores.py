"""What a score is: `SequencePrediction`s in, `Scores` out.

A convention is a function from all `SequencePrediction`s of a run to `Scores`. Each says whose rules it follows:
`got10k` has those of the GOT-10k toolkit, `analysis` those of the one published with OSTrack, `variants` asks what if;
`conventions` lists them all by name. The measures themselves, frame by frame, are in `measures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ostrack_jax.evaluation.metrics.measures import DISTANCES_PX, FINE_OVERLAPS, OVERLAPS, RELATIVE_DISTANCES

# what each number is, by its key in `Scores` and in reports
MEANING = {
    "ao": "average overlap",
    "sr50": "success rate at overlap 0.5",
    "sr75": "success rate at overlap 0.75",
    "success_auc": "area under the success curve",
    "op50": "success at overlap 0.5",
    "op75": "success at overlap 0.75",
    "precision": "share of frames with a centre error of at most 20 pixels",
    "norm_precision": "share of frames with a centre error of at most 0.2 of the target's size",
    "miou": "mean overlap; what a frame without target counts is said by the rules",
}
# the same at the head of a table, in the order of columns
HEADINGS = {
    **{"ao": "AO", "sr50": "SR0.5", "sr75": "SR0.75", "success_auc": "AUC", "op50": "OP50", "op75": "OP75"},
    **{"precision": "P", "norm_precision": "P_norm", "miou": "mIoU"},
}


def percent(share: float | None, form: str = ".2f") -> str:
    """A share in 0..1 as tables print it: percent with two decimals, as papers do; 100.0, no wider than any other."""
    if share is None:
        return "-"
    text = f"{100 * share:{form}}"
    return "100.0" if text == "100.00" else text


@dataclass(frozen=True, eq=False)
class Axis:
    """What a curve runs over.

    Attributes:
      thresholds: one for each of the curve's values.
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
    """One sequence with the answers to it: all that a score needs.

    Attributes:
      name: of the sequence.
      result_xywh: the tracker's boxes in pixels, row 0 the ground truth it started with; raw results of others may be
        longer (r) or shorter than the truth, conventions say what becomes of that.
      truth_xywh: the ground truth; NaN where not annotated.
      counted: the frames that the toolkits' conventions may count; the first is the convention's own affair.
      size_wh: width and height of the frame in pixels; None where not known.
      present: what the set's own list says of each frame (see `Sequence.present`); None without such a list.
      category: the target's class, empty without; ``attributes``: what is hard about the sequence.
      missing: label files of the set that the sequence has not (see `Sequence.missing`).
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
class Row:
    """What a convention finds of one sequence.

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
    """Numbers in 0..1 by their keys of `MEANING`; NaN where no frame counts.

    Attributes:
      overall: of the run: the weighted mean over its sequences.
      sequences: of each sequence alone, by name.
      curves: of the run, by their keys of `CURVES`; ``sequence_curves`` of each sequence alone.
      weights: what each sequence counts in the mean, by name and key; 0 where its number is NaN.
    """

    overall: dict[str, float]
    sequences: dict[str, dict[str, float]]
    curves: dict[str, Float[np.ndarray, " _"]]
    sequence_curves: dict[str, dict[str, Float[np.ndarray, " _"]]]
    weights: dict[str, dict[str, float]]

    def mean(self, names: Iterable[str]) -> dict[str, float]:
        """The numbers over these sequences alone, by the same weights."""
        some = list(names)
        return {
            key: float(
                self._mean(key, some, np.array([[self.sequences[name][key]] for name in some]).reshape(-1, 1))[0]
            )
            for key in self.overall
        }

    def mean_curves(self, names: Iterable[str]) -> dict[str, Float[np.ndarray, " _"]]:
        """The curves over these sequences alone, by the same weights."""
        some, means = list(names), {}
        for key in self.curves:
            axis = CURVES[key]
            several = np.array([self.sequence_curves[name][key] for name in some]).reshape(-1, len(axis.thresholds))
            means[key] = self._mean(axis.score, some, several)
        return means

    def _mean(self, key: str, names: list[str], values: Float[np.ndarray, "sequences n"]) -> Float[np.ndarray, " n"]:
        """Over the sequences ``names`` by the weights of the number ``key``; NaN where none counts."""
        weights = np.array([self.weights[name][key] for name in names])
        known = weights > 0
        return weights[known] @ values[known] / weights.sum() if known.any() else np.full(values.shape[1], np.nan)


def gather(rows: Mapping[str, Row], numbers: tuple[str, ...], curves: tuple[str, ...]) -> Scores:
    """The rows of one convention, by sequence, as `Scores` with these keys (also where there is no row)."""
    weights = {
        name: {key: 0.0 if np.isnan(value) else row.weight for key, value in row.numbers.items()}
        for name, row in rows.items()
    }
    single = Scores(
        dict.fromkeys(numbers, float("nan")),
        {name: row.numbers for name, row in rows.items()},
        dict.fromkeys(curves, np.zeros(0)),
        {name: row.curves for name, row in rows.items()},
        weights,
    )
    return _with_means(single)


def _with_means(single: Scores) -> Scores:
    """The same with its means over all sequences."""
    names = list(single.sequences)
    return replace(single, overall=single.mean(names), curves=single.mean_curves(names))


def average(runs: list[Scores]) -> Scores:
    """The scores of several runs over the same sequences: of each sequence the mean of the runs that have it.

    With as many runs of each sequence that is also the GOT-10k toolkit's number, which pools the frames of all runs.
    """
    having = {name: [run for run in runs if name in run.sequences] for run in runs for name in run.sequences}

    def mean(what: str) -> dict[str, dict[str, Any]]:
        rows = {name: [getattr(run, what)[name] for run in some] for name, some in having.items()}
        return {
            name: {key: np.mean([row[key] for row in some], axis=0) for key in some[0]} for name, some in rows.items()
        }

    single = Scores(runs[0].overall, mean("sequences"), runs[0].curves, mean("sequence_curves"), mean("weights"))
    return _with_means(single)


def combine(*several: Scores) -> Scores:
    """The numbers of several conventions for the same sequences side by side."""
    merged = Scores({}, {}, {}, {}, {})
    for scores in several:
        merged.overall.update(scores.overall)
        merged.curves.update(scores.curves)
        for name in scores.sequences:
            merged.sequences.setdefault(name, {}).update(scores.sequences[name])
            merged.sequence_curves.setdefault(name, {}).update(scores.sequence_curves[name])
            merged.weights.setdefault(name, {}).update(scores.weights[name])
    return merged
