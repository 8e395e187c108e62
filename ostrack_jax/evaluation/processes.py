"""What made which results. Enters: a process at work, what it tracks. Leaves: a JSON file of it in the results folder.

Each process that tracks something keeps `processes/NAME.json` beside the results, from its first sequence on, so that
what is there is accounted for whenever a run ends, and whoever took part. Keys: `process`, `host`, `command`, `started`
(UTC), `commit`, `versions`, `hardware`, what the caller tells (`made_by`, `config`, `compile_seconds`, `targets`), and
`sequences`: by name `started` (and, where the process was killed, left so), `done` or `failed`.
"""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ostrack_jax import environment, io
from ostrack_jax.errors import UserError

FOLDER = "processes"
_KINDS = {"process": str, "started": str, "sequences": dict}  # what every record has


class ProcessRecord:
    """The file of this process."""

    def __init__(self, folder: Path, process: str, about: Mapping[str, Any]):
        self._path, self._about, self._content = folder / FOLDER / f"{process}.json", dict(about), {}
        self._process = process

    def note(self, name: str, state: str) -> None:
        """Write that sequence ``name`` is now started, done or failed."""
        if not self._content:
            self._content = {
                "process": self._process,
                "host": platform.node(),
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "commit": environment.commit(),
                "versions": environment.versions(),
                "hardware": environment.hardware(),
                **self._about,
                "sequences": {},
            }
        self._content["sequences"][name] = state
        io.write_text(self._path, json.dumps(self._content, indent=1) + "\n")


def read_all(folder: Path) -> list[dict[str, Any]]:
    """The records of all processes that made results in ``folder``, the earliest first.

    Raises:
      UserError: a file there is no such record.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            record = io.read_json(path)
        except UserError as e:
            raise UserError(f"{path} is not what a process writes of itself: remove it") from e
        if not all(isinstance(record.get(key), kind) for key, kind in _KINDS.items()):
            raise UserError(f"{path} is not what a process writes of itself: remove it")
        found.append(record)
    return sorted(found, key=lambda record: record["started"])
