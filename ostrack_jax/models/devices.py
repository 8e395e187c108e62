"""The devices that JAX computes on, or one line that says why there are none."""

from __future__ import annotations

from typing import Any

import jax

from ostrack_jax.errors import UserError

_config: Any = jax.config  # whose type does not list its options
_EXTRAS = {"cuda": "cuda", "gpu": "cuda", "tpu": "tpu"}  # extras of this package, by the platform's name


def devices() -> list[Any]:
    """The devices of this process, on the platform that JAX_PLATFORMS asks for where it is set.

    Raises:
      UserError: JAX has none there; says what was asked for, what there is, and what to do.
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
