"""OSTrack in JAX and Flax: train, convert, track, score. The names of ``__all__`` load what they need when first used.

import ostrack_jax as ot

tracker = ot.Tracker.from_checkpoint()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostrack_jax.checkpoint.files import load_weights
    from ostrack_jax.config import Config
    from ostrack_jax.config import load as load_config
    from ostrack_jax.evaluation.evaluate import evaluate
    from ostrack_jax.models.ostrack import OSTrack, Prediction
    from ostrack_jax.tracking.track import Track
    from ostrack_jax.tracking.tracker import Tracker
    from ostrack_jax.training.trainer import train

__version__ = "0.1.0"
__all__ = [
    "Config",
    "OSTrack",
    "Prediction",
    "Track",
    "Tracker",
    "evaluate",
    "load_config",
    "load_weights",
    "train",
]
_MODULES = {
    "Config": "config",
    "OSTrack": "models.ostrack",
    "Prediction": "models.ostrack",
    "Track": "tracking.track",
    "Tracker": "tracking.tracker",
    "evaluate": "evaluation.evaluate",
    "load_config": "config",
    "load_weights": "checkpoint.files",
    "train": "training.trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return getattr(module, "load" if name == "load_config" else name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
