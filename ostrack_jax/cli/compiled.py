"""Executables kept for the next run of a command. Enters: the environment. Leaves: JAX's persistent cache, on."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from ostrack_jax.data.index import cache_directory

_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def keep_compiled() -> None:
    """Keep what is compiled in the user's cache folder, unless JAX_COMPILATION_CACHE_DIR names another.

    A folder for each kind of processor: home folders are shared by machines, and the CPU's executables are not. For
    every command that computes, before it does: a `UserError` where there is nothing to compute on.
    """
    import jax

    from ostrack_jax.models.devices import devices

    devices()
    if not os.environ.get(_VARIABLE):
        jax.config.update("jax_compilation_cache_dir", str(cache_directory() / f"compiled-{_processor()}"))


def _processor() -> str:
    """Its architecture and, where the system tells, a hash of what it can do."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    able = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return f"{platform.machine()}-{hashlib.sha256(able.encode()).hexdigest()[:8]}"
