"""Evaluations to be shown. Enters: folders of `ostrack eval` and `ostrack compare`. Leaves: `Evaluation`s.

A folder may come from elsewhere: only finite numbers and short texts of its `report.json` are taken. Where a server
scores, as for `got10k_test`, what it answered may lie beside the report in `server.json`: shares in 0..1 by their keys
of `metrics.MEANING`, such as {"ao": 0.71, "sr50": 0.804}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.compare import COMPARISON_FILE
from ostrack_jax.evaluation.comparisons import reports_of
from ostrack_jax.evaluation.makers import Maker, makers_of
from ostrack_jax.evaluation.metrics.scores import CURVES, MEANING
from ostrack_jax.evaluation.report import REPORT_FILE
from ostrack_jax.training.report_runs import flat, names, number_of

SERVER_FILE = "server.json"
_MOST_BYTES, _MOST_SEQUENCES, _MOST_TEXT, _MOST_REMARKS = 32 << 20, 20_000, 400, 20
_LARGEST = 1e9  # of any number that a plot or table shows
_OWN = (
    *("scores", "sequences", "curves", "attributes", "categories", "intervals", "failed", "config"),
    *("processes", "counts", "speed", "not_scored", "whole", "conventions", "notes"),
)
MAIN = ("ao", "success_auc")  # the number that sequences are ordered by, the first that there is

Numbers = dict[str, float]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One tracker on one benchmark, as it is shown.

    Attributes:
      name: the tracker's, or its folder's where one tracker is shown twice; ``folder`` holds its result files.
      benchmark: by its name in `protocols`; ``tracker`` as the run called it.
      scores: of the run, shares in 0..1 by their keys of `metrics.MEANING`; ``sequences`` of each sequence, with `fps`.
      by_server: whether the scores are an evaluation server's.
      curves: of the run, by their keys of `metrics.CURVES`.
      attributes: by the set's name of each: its numbers over the sequences that have it, and how many (`sequences`);
        ``categories`` the same by the target's class.
      intervals: of a score of the run, 95 % by bootstrap over its sequences.
      fps: frames a second of `update`, without reading pictures; None where nothing was timed.
      failed: reasons by sequence; ``not_scored``: why there are no scores, else empty.
      whole: how many sequences the benchmark has, None where any number is right.
      config: the tracker's whole config, None where it has none.
      remarks: what keeps the scores from being the benchmark's own, as the report says.
      rules: the same results by other conventions, as the report has them; to be read with care.
      makers: the processes that made the results, as far as the report tells.
      facts: all else that the report says, as text by dotted name: versions, hardware, commit and command there are
        those of the process that wrote it.
    """

    name: str
    folder: Path
    benchmark: str
    tracker: str
    scores: Numbers
    by_server: bool
    sequences: dict[str, Numbers]
    curves: dict[str, list[float]]
    attributes: dict[str, Numbers]
    categories: dict[str, Numbers]
    intervals: dict[str, tuple[float, float]]
    fps: float | None
    failed: dict[str, str]
    not_scored: str
    whole: int | None
    config: dict[str, Any] | None
    remarks: list[str]
    rules: dict[str, Any]
    makers: list[Maker]
    facts: dict[str, str]

    @property
    def main(self) -> str:
        """The key of the number that sequences are ordered by; empty where nothing is scored."""
        return next((key for key in MAIN if key in self.scores), "")

    @property
    def part(self) -> str:
        """`2 of 280` where these are not all of the benchmark's sequences; else empty."""
        return f"{len(self.sequences)} of {self.whole}" if self.whole and len(self.sequences) != self.whole else ""

    @property
    def note(self) -> str:
        """What a reader must know of the row: not one-shot, not public, not the whole benchmark, failed sequences."""
        notes = [self.not_scored.split(":")[0]] if self.not_scored and not self.by_server else []
        if self.benchmark == "got10k_test":
            notes.append(not_one_shot(self.config))
        if self.part:
            notes.append(f"{self.part} sequences")
        if self.failed:
            notes.append(f"{len(self.failed)} failed")
        return "; ".join(filter(None, notes))


def trained_on(config: Mapping[str, Any] | None) -> list[str] | None:
    """The readers of a config's training sets, sorted; None where there is no config to tell."""
    data = config.get("data") if config else None
    if not isinstance(data, dict):
        return None
    sets = [part for part in data.values() if isinstance(part, dict) and part.get("use") == "train"]
    return sorted({str(part.get("reader"))[:_MOST_TEXT] for part in sets})


def not_one_shot(config: Mapping[str, Any] | None) -> str:
    """Why results on GOT-10k's test set are not by its rules, which allow its own training part alone; else empty."""
    sets = trained_on(config)
    if sets is None:
        return "one-shot or not: training sets unknown"
    return "" if sets == ["got10k"] else f"NOT ONE-SHOT: trained on {', '.join(sets) or 'nothing'}"


def read_evaluations(folders: Sequence[Path]) -> list[Evaluation]:
    """The evaluations in ``folders``; a folder of `ostrack compare` holds several.

    A tracker of a comparison whose own folder is given too is one evaluation, by the comparison's name and scores.

    Raises:
      UserError: a folder is missing, holds no report of `ostrack eval` or `ostrack compare`, or is given twice.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"no folder {folder}: expected the --output of `ostrack eval`")
    resolved = [folder.resolve() for folder in folders]
    if len(set(resolved)) < len(resolved):
        raise UserError("a folder is given twice: expected different ones")
    reports = _reports(resolved)
    trackers = [_text(report, "tracker") for _, report in reports]
    titles = trackers if len(set(trackers)) == len(trackers) else _titles(reports)
    return [_read(folder, title, report) for (folder, report), title in zip(reports, titles, strict=True)]


def comparison_in(folder: Path) -> dict[str, Any] | None:
    """What `ostrack compare` has told in ``folder``; None where `ostrack eval` has, or neither."""
    path = folder / COMPARISON_FILE
    return _load(path, ("benchmark",)) if path.is_file() and not (folder / REPORT_FILE).is_file() else None


def _reports(folders: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Every report with the folder of its result files, or its own where that is not among ``folders``."""
    told = {folder: comparison_in(folder) for folder in folders}
    compared: dict[Path, list[tuple[Path, dict[str, Any]]]] = {}  # trackers by the folder of their comparison
    for folder, comparison in told.items():
        if comparison is not None:
            rows = reports_of(comparison)
            if not rows:
                raise UserError(
                    f"{folder / COMPARISON_FILE} compares no trackers: expected what `ostrack compare` wrote"
                )
            places = [Path(name).resolve() if (name := _text(row, "folder")).isprintable() else folder for row in rows]
            own = [place if place in told and told[place] is None else folder for place in places]
            compared[folder] = list(zip(own, rows, strict=True))
    shown = {place for trackers in compared.values() for place, _ in trackers}
    alone = {
        f: [(f, _load(f / REPORT_FILE, ("benchmark", "tracker")))] for f in folders if f not in {*compared, *shown}
    }
    return [one for folder in folders for one in (compared | alone).get(folder, [])]


def _titles(reports: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[str]:
    """The folder's name, and where it holds several trackers which."""
    folders = [folder for folder, _ in reports]
    short = dict(zip(dict.fromkeys(folders), names(list(dict.fromkeys(folders))), strict=True))
    return [
        short[folder] if folders.count(folder) == 1 else f"{short[folder]}: {_text(report, 'tracker')}"
        for folder, report in reports
    ]


def _read(folder: Path, name: str, report: dict[str, Any]) -> Evaluation:
    config = report.get("config")
    sequences = list(_dict(report, "sequences").items())[:_MOST_SEQUENCES]
    rows = {key[:_MOST_TEXT]: _numbers(row, (*MEANING, "fps", "frames")) for key, row in sequences}
    served = _server_scores(folder) if _text(report, "not_scored") else {}
    remarks = report.get("notes")
    curves = {key: _several(values, len(CURVES[key].thresholds)) for key, values in _known(report, "curves", CURVES)}
    return Evaluation(
        name,
        folder,
        _text(report, "benchmark"),
        _text(report, "tracker"),
        served or _numbers(_dict(report, "scores"), MEANING),
        bool(served),
        rows,
        {key: curve for key, curve in curves.items() if curve},
        _groups(report, "attributes"),
        _groups(report, "categories"),
        {key: (ends[0], ends[1]) for key, v in _known(report, "intervals", MEANING) if (ends := _several(v, 2))},
        _fps(_dict(report, "speed").get("fps")),
        {key[:_MOST_TEXT]: str(reason)[:_MOST_TEXT] for key, reason in _dict(report, "failed").items()},
        _text(report, "not_scored"),
        int(number_of(report.get("whole")) or 0) or None,
        config if isinstance(config, dict) else None,
        [str(text)[:_MOST_TEXT] for text in (remarks if isinstance(remarks, list) else [])[:_MOST_REMARKS]],
        _dict(report, "conventions"),
        makers_of(report.get("processes")),
        dict(flat({key: value for key, value in report.items() if key not in _OWN})),
    )


def _server_scores(folder: Path) -> Numbers:
    """What a server answered, from its file; nothing without one.

    Raises:
      UserError: the file holds anything but shares of known scores.
    """
    path = folder / SERVER_FILE
    if not path.is_file():
        return {}
    told = _load(path, ())
    scores = {key: number_of(value) for key, value in told.items() if key in MEANING}
    if len(scores) != len(told) or not scores or not all(v is not None and 0 <= v <= 1 for v in scores.values()):
        raise UserError(f'{path}: expected shares in 0..1 by the names of scores, as {{"ao": 0.71, "sr50": 0.804}}')
    return {key: value for key, value in scores.items() if value is not None}


def _load(path: Path, named: Sequence[str]) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            f"no {path.name} in {path.parent}: expected the --output of `ostrack eval` or `ostrack compare`"
        )
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path}: over {_MOST_BYTES} bytes: no report of an evaluation")
    try:
        report = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as e:
        raise UserError(f"{path} is no report: {e}") from e
    if not isinstance(report, dict) or not all(isinstance(report.get(key), str) for key in named):
        raise UserError(f"{path} is no report of an evaluation: it names no {' and '.join(named)}")
    return report


def _dict(report: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = report.get(key)
    return value if isinstance(value, dict) else {}


def _text(report: Mapping[str, Any], key: str) -> str:
    value = report.get(key)
    return value[:_MOST_TEXT] if isinstance(value, str) else ""


def _known(report: Mapping[str, Any], key: str, wanted: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in _dict(report, key).items() if name in wanted]


def _numbers(row: Any, wanted: Any) -> Numbers:
    """The finite numbers of a row under known names, none absurdly large."""
    found = {key: number_of(value) for key, value in row.items() if key in wanted} if isinstance(row, dict) else {}
    return {key: value for key, value in found.items() if value is not None and abs(value) <= _LARGEST}


def _fps(value: Any) -> float | None:
    """Frames a second, where they are any."""
    number = number_of(value)
    return number if number is not None and 1 / _LARGEST <= number <= _LARGEST else None


def _groups(report: Mapping[str, Any], key: str) -> dict[str, Numbers]:
    """Numbers over some of the sequences, by what these share."""
    groups = list(_dict(report, key).items())[:_MOST_SEQUENCES]
    return {name[:_MOST_TEXT]: _numbers(row, (*MEANING, "sequences")) for name, row in groups}


def _several(values: Any, length: int) -> list[float]:
    """So many finite numbers; empty where they are not."""
    numbers = [number_of(value) for value in values] if isinstance(values, list) and len(values) == length else []
    known = [value for value in numbers if value is not None and abs(value) <= _LARGEST]
    return known if len(known) == len(numbers) else []
