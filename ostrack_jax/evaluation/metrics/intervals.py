"""Confidence intervals of scores and of differences of two trackers, by bootstrap. Pure numpy, seeded.

The bootstrap draws as many sequences as there are, with repeats, and takes their mean: a benchmark is a sample of
the sequences there could be (Efron and Tibshirani 1993, chapter 13: percentile intervals). Frames of one sequence are
not independent, so frames are never drawn alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ostrack_jax.evaluation.metrics.scores import Scores

SAMPLES, SEED, CONFIDENCE = 2000, 0, 0.95
LEAST_SEQUENCES = 10  # of three, draws know little more than the worst and the best of them
_EQUAL = 1e-9  # numbers of a sequence that differ by less are a tie: the same boxes written twice


@dataclass(frozen=True)
class Paired:
    """Two trackers on the same sequences, by one number.

    Attributes:
      difference: the first's overall number less the second's.
      interval: of the difference, by drawing the same sequences for both; None with fewer than `LEAST_SEQUENCES`.
      won: sequences on which the first has the larger number; ``lost`` and ``tied`` likewise.
    """

    difference: float
    interval: tuple[float, float] | None
    won: int
    lost: int
    tied: int


def bootstrap(scores: Scores, samples: int = SAMPLES, seed: int = SEED) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % interval of each overall number; None with fewer than `LEAST_SEQUENCES` that have it."""
    names = list(scores.sequences)
    draws = _draws(len(names), samples, seed)
    return {key: _interval(_drawn_means(scores, key, names, draws)) for key in scores.overall}


def paired(a: Scores, b: Scores, key: str, samples: int = SAMPLES, seed: int = SEED) -> Paired:
    """Compare the first tracker less the second by the number ``key``, over the sequences both have it for."""
    names = [name for name in a.sequences if a.weights[name][key] > 0 and b.weights.get(name, {}).get(key, 0) > 0]
    differences = np.array([a.sequences[name][key] - b.sequences[name][key] for name in names])
    draws = _draws(len(names), samples, seed)
    drawn = _drawn_means(a, key, names, draws) - _drawn_means(b, key, names, draws)
    won, lost = int((differences > _EQUAL).sum()), int((differences < -_EQUAL).sum())
    difference = a.mean(names)[key] - b.mean(names)[key]
    return Paired(difference, _interval(drawn), won, lost, len(names) - won - lost)


def _draws(count: int, samples: int, seed: int) -> Int[np.ndarray, "samples count"]:
    return np.random.default_rng(seed).integers(0, max(count, 1), (samples, count))


def _drawn_means(
    scores: Scores, key: str, names: list[str], draws: Int[np.ndarray, "samples count"]
) -> Float[np.ndarray, " samples"]:
    """Return the overall number of each draw; NaN where none of its sequences counts, or too few of all do."""
    weights = np.array([scores.weights[name][key] for name in names], np.float64)
    values = np.nan_to_num(np.array([scores.sequences[name][key] for name in names], np.float64))
    total = weights[draws].sum(axis=1)
    if (weights > 0).sum() < LEAST_SEQUENCES:
        return np.full(len(draws), np.nan)
    return np.divide((weights * values)[draws].sum(axis=1), total, out=np.full(len(draws), np.nan), where=total > 0)


def _interval(drawn: Float[np.ndarray, " samples"]) -> tuple[float, float] | None:
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
