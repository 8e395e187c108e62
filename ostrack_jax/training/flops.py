"""Model FLOPs and their share of the devices' peak (MFU).

Model FLOPs as in PaLM's appendix B: what the model's mathematics needs (6 per multiply-accumulate: forward once,
backward twice, 2 each), attention's products included; what is computed again or on padding counts for nothing.
"""

from __future__ import annotations

import re

from ostrack_jax.config import Config
from ostrack_jax.profiling.macs import macs

# Dense peaks of one jax device in FLOP/s, by words of its `device_kind` (the first row that fits): bfloat16, float32.
# Float32 is the true one that this project asks for, without TF32; none for TPUs, which make it of bfloat16 passes.
# Sources: NVIDIA's data sheet of each card (half of what it states "with sparsity"); Google Cloud's page of each TPU.
PEAKS: tuple[tuple[str, float, float | None], ...] = (
    ("GB200", 2500e12, 80e12),
    ("B200", 2250e12, 75e12),
    ("GH200", 989e12, 67e12),
    ("H200 NVL", 836e12, 60e12),
    ("H200", 989e12, 67e12),
    ("H100 PCIe", 756e12, 51e12),
    ("H100 NVL", 835e12, 60e12),
    ("H100", 989e12, 67e12),  # SXM: "NVIDIA H100 80GB HBM3"
    ("A100", 312e12, 19.5e12),
    ("A10", 125e12, 31.2e12),
    ("L40S", 362e12, 91.6e12),
    ("L4", 121e12, 30.3e12),
    ("V100-PCIE", 112e12, 14e12),  # tensor cores in float16; it has no bfloat16
    ("V100", 125e12, 15.7e12),
    ("TPU v2", 22.5e12, None),  # a device is one of the chip's two cores, which make 45 together
    ("TPU v3", 61.5e12, None),  # likewise 123
    ("TPU v4", 275e12, None),
    ("TPU v5 lite", 197e12, None),
    ("TPU v5e", 197e12, None),
    ("TPU v5", 459e12, None),  # v5p by its other name
    ("TPU v5p", 459e12, None),
    ("TPU v6 lite", 918e12, None),
    ("TPU v6e", 918e12, None),
)


def peak(device_kind: str, dtype: str) -> float | None:
    """FLOP/s that one device of jax reaches at most in ``dtype`` (float32 | bfloat16); None where it is not known."""
    if re.search(r"\bMIG\b", device_kind):  # a part of a card
        return None
    for words, half, single in PEAKS:
        if re.search(rf"\b{words}\b", device_kind):
            return half if dtype == "bfloat16" else single
    return None


def flops_per_pair(config: Config, kept: tuple[int, ...]) -> int:
    """Of one training step, a pair, where ``kept`` search tokens are left after each stage."""
    return 6 * sum(macs(config.model, kept).values())


def mfu(config: Config, kept: tuple[int, ...], pairs_per_second: float, device_kind: str, devices: int) -> float | None:
    """The share of ``devices``' peak that the model's FLOPs at ``pairs_per_second`` are; None where it is not known."""
    most = peak(device_kind, config.model.dtype)
    return None if most is None else flops_per_pair(config, kept) * pairs_per_second / (devices * most)
