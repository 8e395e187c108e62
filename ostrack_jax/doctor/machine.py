"""Versions, devices, memory and disk of this machine."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from ostrack_jax import __version__
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.environment import installed_version
from ostrack_jax.models.devices import devices as local_devices

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "opencv-python-headless", "av")
LITTLE_MEMORY = 2 * 2**30  # bytes; the published model tracks in about one GiB
LITTLE_DISK = 5 * 2**30  # bytes; one checkpoint of a training of the published model takes about one GiB
GOOGLE = "0x1ae0"  # PCI vendor
TPUS = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")  # PCI devices, v3 to v7


def versions() -> list[Finding]:
    """What is installed; a missing package is wrong."""
    found = {name: installed_version(name) for name in PACKAGES}
    missing = [name for name, version in found.items() if version is None]
    installed = ", ".join(f"{name} {version}" for name, version in found.items() if version is not None)
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    report = [Finding("ok", f"ostrack-jax {__version__}, {python}"), Finding("ok", installed)]
    if missing:
        report.append(Finding("wrong", f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}"))
    return report


def devices(root: Path = Path("/")) -> list[Finding]:
    """The devices of jax with their memory, and accelerators of this machine that it does not use.

    Raises:
      UserError: jax is configured for a platform that is not available.
    """
    found = local_devices()
    report = [Finding("ok", f"jax computes on {device.device_kind} {device.id}{_free(device)}") for device in found]
    if all(device.platform == "cpu" for device in found):
        report += unused_accelerators(root)
    return report


def unused_accelerators(root: Path = Path("/")) -> list[Finding]:
    """The accelerators below ``root`` (the system's, or a copy of its files), for a jax that runs on the CPU."""
    report = []
    for kind, names, extra in (("NVIDIA GPU", nvidia_gpus(root), "cuda"), ("TPU", tpus(root), "tpu")):
        if names:
            text = f"{len(names)} {kind} ({', '.join(sorted(set(names)))}) in this machine, but jax runs on the CPU"
            report.append(Finding("wrong", text, _fix(extra, root)))
    return report


def nvidia_gpus(root: Path = Path("/")) -> list[str]:
    """The NVIDIA GPUs: their models where the driver names them, else their device files; in WSL, that of Windows."""
    lines = [line for path in root.glob("proc/driver/nvidia/gpus/*/information") for line in _read(path).splitlines()]
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    places = ("dev/nvidia[0-9]*", "usr/lib/wsl/lib/libcuda.so.1")
    return models or [path.name for place in places for path in sorted(root.glob(place))]


def tpus(root: Path = Path("/")) -> list[str]:
    """The TPU chips: by their device files, else on the PCI bus (newer ones are handed to programs through vfio)."""
    names = [path.name for path in root.glob("dev/accel[0-9]*")]
    for directory in [] if names else root.glob("sys/bus/pci/devices/*"):
        vendor, device = (_read(directory / name) for name in ("vendor", "device"))
        if vendor == GOOGLE and device in TPUS:
            names.append(f"PCI {directory.name}")
    return sorted(names)


def memory(root: Path = Path("/")) -> Finding:
    """Memory still free, of the machine or of this container's share of it."""
    table = dict(line.split(":", 1) for line in _read(root / "proc/meminfo").splitlines() if ":" in line)
    if not {"MemAvailable", "MemTotal"} <= table.keys():
        return Finding("note", "memory: not known on this system")
    free, total = (int(table[key].split()[0]) * 1024 for key in ("MemAvailable", "MemTotal"))
    limit = _read(root / "sys/fs/cgroup/memory.max")
    if limit.isdecimal() and int(limit) < total:
        total = int(limit)
        free = min(free, total - int(_read(root / "sys/fs/cgroup/memory.current") or 0))
    return Finding("note" if free < LITTLE_MEMORY else "ok", f"memory: {_gib(free)} of {_gib(total)} free")


def disk(directory: Path) -> Finding:
    """Free space on the disk of ``directory``."""
    usage = shutil.disk_usage(directory)
    text = f"disk: {_gib(usage.free)} of {_gib(usage.total)} free at {directory.resolve()}"
    return Finding("note" if usage.free < LITTLE_DISK else "ok", text)


def _free(device: Any) -> str:
    stats = device.memory_stats() if device.platform != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return ""
    return f", {_gib(stats['bytes_limit'] - stats.get('bytes_in_use', 0))} of {_gib(stats['bytes_limit'])} free for it"


def _fix(extra: str, root: Path) -> str:
    """Why jax does not see an accelerator that is there."""
    chosen = os.environ.get("JAX_PLATFORMS")
    if chosen:
        return f"unset JAX_PLATFORMS (it is {chosen!r})"
    if extra == "cuda" and not any(root.glob("dev/nvidia[0-9]*")) and not (root / "dev/dxg").exists():
        return "the device files /dev/nvidia* are missing: start the container with its GPUs (docker: --gpus all)"
    if extra == "cuda" and any(installed_version(f"jax-cuda{version}-plugin") for version in (12, 13)):
        return "jax's CUDA plugin is installed and failed, see its warning above; nvidia-smi prints the driver's"
    return f"pip install 'ostrack-jax[{extra}]'"


def _read(path: Path) -> str:
    """A file of the system, stripped; empty where there is none."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
