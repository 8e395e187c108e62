"""The environment of a result, for reports: versions, hardware, commit."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2

from ostrack_jax import __version__

PACKAGES = ("jax", "jaxlib", "flax", "numpy")


def versions() -> dict[str, str | None]:
    """Return Python's, this project's and its packages' versions by name; None for packages that are not installed."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "ostrack_jax": __version__,
        "opencv": cv2.__version__,  # several packages bring it
    }
    return found | {name: installed_version(name) for name in PACKAGES}


def installed_version(name: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """Return the processor, the number of cores this process may use, and jax's devices where jax was used at all."""
    jax = sys.modules.get("jax")  # a baseline runs without it, and it takes seconds to load
    devices = [device.device_kind for device in jax.devices()] if jax is not None else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"platform": platform.platform(), "cpu": _cpu(), "cores": cores, "jax_devices": devices}


def commit() -> str | None:
    """Return the commit of this package's checkout, with `-dirty` where files differ; None where unknown.

    Outside of a checkout, the one that pip installed it from, where that was a repository (PEP 610).
    """
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return _installed_from(root)
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + "-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout that it does not trust
        return None


def _installed_from(root: Path) -> str | None:
    try:
        installed = importlib.metadata.distribution("ostrack-jax")
    except importlib.metadata.PackageNotFoundError:
        return None
    origin = installed.read_text("direct_url.json")
    if origin is None or Path(str(installed.locate_file(""))).resolve() != root.resolve():
        return None  # from a wheel, or another copy than this one
    return json.loads(origin).get("vcs_info", {}).get("commit_id")


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def _cpu() -> str:
    """Return the processor's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
