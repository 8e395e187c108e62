"""Choose the dtype in which a checkpoint tracks on this device.

A network is trained in bfloat16 where that is fast. Where the device has no such arithmetic, XLA computes in float32
and rounds in between, which is slower than float32 and coarser: there the same weights are used in float32.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from ostrack_jax import config as configs
from ostrack_jax.config import Config

_log = logging.getLogger(__name__)
_LEFT, _RIGHT = (128, 256), (256, 512)  # large enough that XLA gives the product to its libraries


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


@functools.cache
def computes_in_bfloat16() -> bool:
    """Whether products are computed in bfloat16 here: on accelerators, and on CPUs with AMX where XLA uses it.

    XLA's choice alone does not show it: by jax 0.11 products stay in bfloat16 on CPUs without AMX too, and are slower.
    """
    if jax.default_backend() != "cpu":
        return True
    return _has_amx() and not _widened(_compiled_product())


def _has_amx() -> bool:
    """Whether the processor multiplies matrices of bfloat16; False if the system does not report it."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and "amx_bf16" in info.read_text(errors="replace").split()


def _compiled_product() -> str:
    """XLA's compiled text of a product in bfloat16."""
    left, right = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in (_LEFT, _RIGHT))
    return jax.jit(lambda left, right: left @ right).lower(left, right).compile().as_text() or ""


def _widened(text: str) -> bool:
    """Whether a compiled product takes its left factor in float32."""
    return f"f32[{_LEFT[0]},{_LEFT[1]}]" in text
