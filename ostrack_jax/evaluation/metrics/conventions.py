"""Every convention by the name a user gives it."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ostrack_jax.errors import unknown
from ostrack_jax.evaluation.metrics import analysis, got10k
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction

Convention = Callable[[list[SequencePrediction]], Scores]

CONVENTIONS: dict[str, Convention] = {
    "published": analysis.published_scores,
    "lasot": analysis.lasot_scores,
    "uav": analysis.uav_scores,
    "tc128": analysis.tc128_scores,
    "itb": analysis.itb_scores,
    "excluding_invalid": analysis.excluding_scores,
    "got10k": got10k.got10k_scores,
    "otb_toolkit": got10k.otb_scores,
    "absent_missed": analysis.absent_missed,
    "absent_left_out": analysis.absent_left_out,
}


def choose(names: list[str]) -> dict[str, Convention]:
    """Return these conventions by name, each once; `all` stands for every one.

    Raises:
      UserError: an unknown name; the message suggests the nearest.
    """
    for name in names:
        if name not in {*CONVENTIONS, "all"}:
            raise unknown("convention", name, CONVENTIONS)
    return {name: CONVENTIONS[name] for name in (CONVENTIONS if "all" in names else names)}


def meaning(name: str) -> str:
    """Return what a convention does, in a line."""
    return first_line(CONVENTIONS[name])


def first_line(convention: Convention) -> str:
    """Return the first line of a convention's docstring."""
    return (inspect.getdoc(convention) or "").splitlines()[0]
