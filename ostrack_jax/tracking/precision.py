"""Choose the dtype in which a checkpoint tracks on this device.

A network is trained in bfloat16 where that is fast. Where the device has no such arithmetic, XLA computes in float32
and rounds in between, which is slower than float32 and coarser: there the same weights are used in float32.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import jax

from ostrack_jax import config as configs
from ostrack_jax.config import Config

_log = logging.getLogger(__name__)


def for_device(stored: Config, other: Path | str | None = None, changes: Sequence[str] = ()) -> Config:
    """Return the config that a checkpoint with the config ``stored`` is tracked by here.

    bfloat16 holds where `computes_in_bfloat16`; elsewhere it becomes float32, with a line in the log. What was
    trained in float32 stays so.

    Args:
      stored: with the weights.
      other: the name or path of a config in its place, which holds whatever the device.
      changes: settings as ``model.dtype=bfloat16``, which hold whatever the device.

    Raises:
      UserError: no such config, an unknown setting.
    """
    model = stored.model
    if model.dtype == "bfloat16" and not computes_in_bfloat16():
        model = dataclasses.replace(model, dtype="float32", attention="auto")  # cuDNN's kernel is for bfloat16 alone
    here = dataclasses.replace(stored, model=model)
    config = configs.change(here, changes) if other is None else configs.load(str(other), changes)
    if config.model.dtype == model.dtype != stored.model.dtype:
        _log.warning(
            "tracking in float32: this CPU does not compute in bfloat16, in which the weights were trained "
            "(--config.model.dtype=bfloat16 asks for it all the same)"
        )
    return config


def computes_in_bfloat16() -> bool:
    """Whether products are computed in bfloat16 here: on accelerators, and on CPUs with AMX."""
    if jax.default_backend() != "cpu":
        return True
    info = Path("/proc/cpuinfo")
    return info.is_file() and "amx_bf16" in info.read_text(errors="replace").split()
