"""The devices that JAX computes on, or an error with the reason if there are none; and the cache of executables."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import jax

from ostrack_jax.errors import UserError
from ostrack_jax.io import cache_directory

_config: Any = jax.config  # whose type does not list its options
_EXTRAS = {"cuda": "cuda", "gpu": "cuda", "tpu": "tpu"}  # extras of this package, by the platform's name


def devices() -> list[Any]:
    """The devices of this process, on the platform that JAX_PLATFORMS asks for where it is set.

    Raises:
      UserError: JAX has none there; the message has what was requested, what there is, and a fix.
    """
    try:
        return jax.local_devices()
    except (RuntimeError, AssertionError) as e:  # the latter for cuda where there is no NVIDIA GPU
        asked = _config.jax_platforms
        reason = (str(e) or "no such device here").splitlines()[0].partition(" (set JAX_PLATFORMS")[0]
    if not asked:
        raise UserError(f"JAX finds no device: {reason}")
    extras = dict.fromkeys(_EXTRAS[name] for name in asked.split(",") if name in _EXTRAS)
    install = "".join(f", or pip install 'ostrack-jax[{extra}]'" for extra in extras)
    raise UserError(
        f"JAX finds no device for JAX_PLATFORMS={asked}, but {_there()} ({reason}): unset JAX_PLATFORMS{install}"
    )


def keep_compiled() -> None:
    """Keep executables in the user's cache directory, unless JAX_COMPILATION_CACHE_DIR names another.

    A directory for each kind of processor: home directories are shared by machines, and the CPU's executables are not.
    For every command that computes, before it does: a `UserError` where there is nothing to compute on.
    """
    devices()
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        info = Path("/proc/cpuinfo")
        lines = info.read_text().splitlines() if info.is_file() else []
        able = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
        processor = f"{platform.machine()}-{hashlib.sha256(able.encode()).hexdigest()[:8]}"
        _config.update("jax_compilation_cache_dir", str(cache_directory() / f"compiled-{processor}"))


def _there() -> str:
    """The platforms that JAX finds where it may choose."""
    asked = _config.jax_platforms
    _config.update("jax_platforms", None)
    try:
        return ", ".join(sorted({device.platform for device in jax.local_devices()}))
    except RuntimeError:
        return "none"
    finally:
        _config.update("jax_platforms", asked)
