"""MFU's arithmetic: FLOPs by hand, peaks by the names that devices give themselves."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from ostrack_jax import config as configs
from ostrack_jax.training.flops import flops_per_pair, mfu, peak


@pytest.mark.parametrize(
    ("kind", "half", "single"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12, 67e12),
        ("NVIDIA H100 PCIe", 756e12, 51e12),
        ("NVIDIA H200", 989e12, 67e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 19.5e12),
        ("Tesla V100-SXM2-16GB", 125e12, 15.7e12),
        ("Tesla V100-PCIE-32GB", 112e12, 14e12),
        ("NVIDIA A10", 125e12, 31.2e12),
        ("NVIDIA L4", 121e12, 30.3e12),
        ("TPU v3", 61.5e12, None),
        ("TPU v5 lite", 197e12, None),
        ("TPU v5p", 459e12, None),
        ("TPU v5", 459e12, None),
        ("TPU v6e", 918e12, None),
        ("NVIDIA L40", None, None),  # not the L4, nor the L40S
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None, None),
        ("NVIDIA GeForce RTX 4090", None, None),
        ("cpu", None, None),
    ],
)
def test_peaks_by_the_devices_own_names(kind, half, single):
    assert peak(kind, "bfloat16") == half
    assert peak(kind, "float32") == single


def test_flops_of_a_pair_by_hand(small_config):
    model = dataclasses.replace(small_config.model, depth=1, eliminate_at=(0,), keep_ratio=(0.7,))
    config = dataclasses.replace(small_config, model=model)
    # 16 template and 64 search tokens of width 48 from patches of 8 pixels, 20 of the search tokens past the MLP
    embed, attention = 80 * 3 * 64 * 48, 80 * 4 * 48**2 + 2 * 80**2 * 48
    mlp = 36 * 2 * 4 * 48**2
    widths = [48, 16, 8, 4, 2]
    branch = sum(9 * i * o for i, o in itertools.pairwise(widths))
    head = 64 * (3 * branch + 2 * (1 + 2 + 2))
    assert flops_per_pair(config, (20,)) == 6 * (embed + attention + mlp + head)
    assert flops_per_pair(config, (64,)) - flops_per_pair(config, (20,)) == 6 * 44 * 2 * 4 * 48**2


def test_the_published_model_at_300_tflops():
    config = configs.load("vitb_256_mae_ce_32x4_ep300", ["model.dtype=bfloat16"])
    share = mfu(config, (180, 126, 89), 2208.5, "NVIDIA H100 80GB HBM3", 1)
    assert share == pytest.approx(300 / 989, rel=1e-4)
    assert mfu(config, (180, 126, 89), 2208.5, "NVIDIA H100 80GB HBM3", 8) == pytest.approx(300 / 989 / 8, rel=1e-4)
    assert mfu(config, (180, 126, 89), 2208.5, "cpu", 1) is None
