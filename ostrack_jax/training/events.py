"""The lines of a run's log. Enters: a workdir. Leaves: its events: objects with kind, step and numbers by name.

- ``run``, each time training starts: began (UTC), command, versions, hardware, commit.
- ``train``, every `log_every` steps: means since the last of loss (weighted sum), giou, l1, focal, iou and grad_norm
  (before clipping); lr and lr_backbone, keep_ratio; pairs_per_second, wait (the share of time spent waiting for data),
  mfu (where the device's peak is known); epoch; unreadable (pairs drawn anew so far, and of each
  data set that has such, unreadable/NAME).
- ``validation``: losses, iou and rates over the validation pairs; epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ostrack_jax.errors import UserError

LOG_FILE, PICTURES = "log.jsonl", "pictures"
_MOST_BYTES = 1 << 30  # of a log that is read: far above any run's


def read(workdir: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """All events of one kind (of all), in order; a last line cut short by a kill is left out.

    Raises:
      UserError: there is no log, or a line of it is no event.
    """
    path = workdir / LOG_FILE
    if not path.is_file():
        raise UserError(f"no {LOG_FILE} in {workdir}: expected the workdir of a training run")
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path}: over {_MOST_BYTES} bytes: no log of a training run")
    return [event for event in _events(path) if kind in (None, event["kind"])]


def last_validation(workdir: Path, step: int) -> dict[str, Any] | None:
    """The numbers of the last validation up to ``step``, its epoch and step; None where the log has none.

    A line that is not an event is left out, as it is when the run resumes its log.
    """
    path = workdir / LOG_FILE
    for line in reversed(path.read_bytes().splitlines() if path.is_file() else []):
        try:
            event = json.loads(line)
            if event.pop("kind") == "validation" and event["step"] <= step:
                return event
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return None


def _events(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line) if line else None
        except (ValueError, RecursionError) as e:
            if number == len(lines):  # no newline behind it: cut short
                return
            raise UserError(f"{path}:{number}: no JSON: {e}") from e
        if event is None:
            continue
        sound = isinstance(event, dict) and isinstance(event.get("kind"), str) and type(event.get("step")) is int
        if not sound:
            raise UserError(f"{path}:{number}: expected an object with kind and step")
        yield event
