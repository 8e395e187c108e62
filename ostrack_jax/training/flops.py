"""Model FLOPs and their share of the devices' peak (MFU).

Model FLOPs as in PaLM's appendix B: what the model's mathematics needs (6 per multiply-accumulate: forward once,
backward twice, 2 each), attention's products included; what is computed again or on padding counts for nothing.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from ostrack_jax.config import Config
from ostrack_jax.profiling.macs import macs


@functools.cache
def peak(device_kind: str, dtype: str) -> float | None:
    """FLOP/s that one device of jax reaches at most in ``dtype`` (float32 | bfloat16); None where it is not known."""
    if re.search(r"\bMIG\b", device_kind):  # a part of a card
        return None
    for line in Path(__file__).with_name("peaks.csv").read_text().splitlines():
        if line.startswith("#"):
            continue
        words, half, single = line.partition("#")[0].split(",")
        if re.search(rf"\b{words}\b", device_kind):
            found = half if dtype == "bfloat16" else single
            return float(found) * 1e12 if found.strip() else None
    return None


def flops_per_pair(config: Config, kept: tuple[int, ...]) -> int:
    """Of one training step, a pair, where ``kept`` search tokens are left after each stage."""
    return 6 * sum(macs(config.model, kept).values())


def mfu(config: Config, kept: tuple[int, ...], pairs_per_second: float, device_kind: str, devices: int) -> float | None:
    """The share of ``devices``' peak that the model's FLOPs at ``pairs_per_second`` are; None where it is not known."""
    most = peak(device_kind, config.model.dtype)
    return None if most is None else flops_per_pair(config, kept) * pairs_per_second / (devices * most)
