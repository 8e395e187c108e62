"""Who made results. Enters: `processes` of a report, perhaps from elsewhere. Leaves: a `Maker` for each that did any.

The process that writes a report may have tracked little or nothing of it: one that goes on where others ended, or one
of many on several machines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ostrack_jax.training.report_runs import number_of

_MOST, _MOST_TEXT, _MOST_DEVICES = 500, 400, 64


@dataclass(frozen=True)
class Maker:
    """A process that finished sequences; texts are "-" where it does not say.

    Attributes:
      sequences: how many it finished.
      started: UTC; ``host``: its name; ``hardware``: processor, cores and jax's devices.
      commit: of this project; ``jax``: its version; ``command``: as the user typed it.
    """

    sequences: int
    started: str
    host: str
    hardware: str
    commit: str
    jax: str
    command: str


def makers_of(told: Any) -> list[Maker]:
    """The processes that finished any sequence, of a report's `processes`; what is no such record is passed over."""
    records = [record for record in told[:_MOST] if isinstance(record, dict)] if isinstance(told, list) else []
    return [
        Maker(
            int(number_of(record["finished_sequences"]) or 0),
            _text(record.get("started")),
            _text(record.get("host")),
            _hardware(_dict(record, "hardware")),
            _text(record.get("commit")),
            _text(_dict(record, "versions").get("jax")),
            _text(record.get("command")),
        )
        for record in records
        if (number_of(record.get("finished_sequences")) or 0) >= 1
    ]


def _hardware(told: Mapping[str, Any]) -> str:
    devices, cores = told.get("jax_devices"), number_of(told.get("cores"))
    parts = [_text(told.get("cpu")) + (f", {cores:.0f} cores" if cores is not None else "")]
    kinds = Counter(map(_text, devices[:_MOST_DEVICES])) if isinstance(devices, list) else {}
    parts += [f"{count} x {kind}" if count > 1 else kind for kind, count in kinds.items() if kind != "cpu"]
    return "; ".join(parts)


def _dict(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value[:_MOST_TEXT] if isinstance(value, str) and value else "-"
