"""Training runs to be shown. Enters: workdirs. Leaves: `Run`s: their numbers by step, settings, facts, last pictures.

A workdir may come from elsewhere: only finite numbers, short texts and PNG files inside it are taken.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from ostrack_jax.errors import UserError
from ostrack_jax.training.events import PICTURES, read

LAST_PICTURES = 2
_MOST_TEXT, _MOST_SETTINGS, _MOST_BYTES = 400, 2000, 32 << 20
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Curve:
    """One number of a run."""

    steps: Float64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class Run:
    """One training run as it is shown.

    Attributes:
      name: distinct among the runs shown together.
      curves: by ``kind/name``, as ``train/loss``; none is empty.
      settings: of its config, by dotted name, as text; empty without one.
      facts: what it was made with, a dict each time it was started.
      pictures: names and PNG bytes, the newest last.
    """

    name: str
    curves: dict[str, Curve]
    settings: dict[str, str]
    facts: list[dict[str, str]]
    pictures: list[tuple[str, bytes]]

    def number(self, setting: str) -> int | None:
        """A setting that is a positive whole number, else None."""
        text = self.settings.get(setting, "")
        return int(text) if text.isdecimal() and len(text) < 16 and int(text) else None


def read_runs(workdirs: Sequence[Path]) -> list[Run]:
    """The runs of ``workdirs``.

    Raises:
      UserError: one is no folder, has no log or a broken one, or nothing was logged yet; one is given twice.
    """
    for workdir in workdirs:
        if not workdir.is_dir():
            raise UserError(f"no folder {workdir}: expected the workdir of a training run")
    resolved = [workdir.resolve() for workdir in workdirs]
    if len(set(resolved)) < len(resolved):
        raise UserError("a workdir is given twice: expected different ones")
    return [_read(workdir, name) for workdir, name in zip(resolved, names(resolved), strict=True)]


def names(paths: Sequence[Path]) -> list[str]:
    """Each path's last parts, as many of them as it takes to tell all apart."""
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        short = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(short)) == len(short):
            break
    return short


def _read(workdir: Path, name: str) -> Run:
    events = read(workdir)
    curves = _curves(events)
    if not curves:
        raise UserError(f"{workdir}: its log holds no numbers yet")
    facts = [dict(flat(event)) for event in events if event["kind"] == "run"]
    return Run(name, curves, _settings(workdir), facts, _pictures(workdir))


def _curves(events: list[dict[str, Any]]) -> dict[str, Curve]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for event in events:
        step = number_of(event["step"])
        for key, value in event.items():
            number = number_of(value)
            if event["kind"] in ("train", "validation") and key != "step" and None not in (step, number):
                steps, values = found.setdefault(f"{event['kind']}/{key}", ([], []))
                steps.append(step or 0.0)
                values.append(number or 0.0)
    return {name: Curve(np.array(steps), np.array(values)) for name, (steps, values) in found.items()}


def number_of(value: Any) -> float | None:
    """A finite number as one; None for all else."""
    if type(value) is int and abs(value) < 2**63:
        return float(value)
    return value if type(value) is float and math.isfinite(value) else None


def _settings(workdir: Path) -> dict[str, str]:
    path = workdir / "config.json"
    if not path.is_file():
        return {}
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path}: over {_MOST_BYTES} bytes: no config")
    try:
        return dict(flat(json.loads(path.read_bytes())))
    except (ValueError, RecursionError) as e:
        raise UserError(f"{path} is no config: {e}") from e


def flat(value: Any) -> Iterator[tuple[str, str]]:
    """Nested objects as dotted names and short texts, the first so many of them."""
    stack, count = [("", value)], 0
    while stack and count < _MOST_SETTINGS:
        name, item = stack.pop()
        if isinstance(item, dict):
            stack += [(f"{name}.{key}" if name else str(key), part) for key, part in reversed(item.items())]
        else:
            text = item if isinstance(item, str) else json.dumps(item)
            yield name[:_MOST_TEXT], text[:_MOST_TEXT]
            count += 1


def _pictures(workdir: Path) -> list[tuple[str, bytes]]:
    """The newest pictures that are PNG files of a sane size and lie in the workdir."""
    sound: list[tuple[str, bytes]] = []
    for path in sorted((workdir / PICTURES).glob("*.png"), reverse=True):
        if len(sound) == LAST_PICTURES:
            break
        inside = path.resolve().is_relative_to(workdir)
        if inside and path.is_file() and path.stat().st_size <= _MOST_BYTES and _is_png(content := path.read_bytes()):
            sound.append((path.stem, content))
    return sound[::-1]


def _is_png(content: bytes) -> bool:
    if len(content) < 24 or not content.startswith(_PNG) or content[12:16] != b"IHDR":
        return False
    width, height = struct.unpack(">II", content[16:24])
    return 0 < width <= 20_000 and 0 < height <= 20_000
