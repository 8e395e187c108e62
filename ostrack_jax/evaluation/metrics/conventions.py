"""Every convention by the name a user gives it. Enters: a name. Leaves: the function, what it does in a line."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ostrack_jax.errors import unknown
from ostrack_jax.evaluation.metrics import analysis as published
from ostrack_jax.evaluation.metrics import got10k as toolkits
from ostrack_jax.evaluation.metrics import variants
from ostrack_jax.evaluation.metrics.scores import Scores, SequencePrediction

Convention = Callable[[list[SequencePrediction]], Scores]

CONVENTIONS: dict[str, Convention] = {
    "published": published.published_scores,
    "lasot": published.lasot_scores,
    "uav": published.uav_scores,
    "tc128": published.tc128_scores,
    "itb": published.itb_scores,
    "excluding_invalid": published.excluding_scores,
    "got10k": toolkits.got10k_scores,
    "otb_toolkit": toolkits.otb_scores,
    "absent_missed": variants.absent_missed,
    "absent_hit": variants.absent_hit,
    "absent_left_out": variants.absent_left_out,
    "absent_missed_pooled": variants.absent_missed_pooled,
    "absent_hit_pooled": variants.absent_hit_pooled,
    "absent_left_out_pooled": variants.absent_left_out_pooled,
}


def find(name: str) -> Convention:
    """The convention of this name; a `UserError` names the nearest for an unknown one."""
    if name not in CONVENTIONS:
        raise unknown("convention", name, CONVENTIONS)
    return CONVENTIONS[name]


def choose(names: list[str]) -> dict[str, Convention]:
    """These conventions by name, each once; `all` stands for every one."""
    wanted = CONVENTIONS if "all" in names else names
    return {name: find(name) for name in wanted}


def meaning(name: str) -> str:
    """What a convention does, in a line: the first of its docstring."""
    return first_line(find(name))


def first_line(convention: Convention) -> str:
    """The same of the function itself."""
    return (inspect.getdoc(convention) or "").splitlines()[0]
