"""The networks that are shipped with the package: ``NAME.safetensors`` with its model card ``NAME.md``."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

SMALL = "small"
DEFAULT = _HERE / f"{SMALL}.safetensors"  # tracks where no checkpoint is named, whatever lies in the directory


def names() -> list[str]:
    """List the shipped networks."""
    return sorted(path.stem for path in _HERE.glob("*.safetensors"))


def locate(checkpoint: Path | str) -> Path:
    """Return the path of a checkpoint: ``checkpoint`` if it exists, else the shipped network of that name.

    Where there is neither, ``checkpoint`` as it is.
    """
    path = Path(checkpoint)
    return path if path.exists() or str(checkpoint) not in names() else _HERE / f"{checkpoint}.safetensors"
