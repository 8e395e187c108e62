"""The counts of the paper's Table 3, with and without the attention products."""

from __future__ import annotations

import pytest

from ostrack_jax import config as configs
from ostrack_jax.profiling.macs import as_the_paper_counts, macs, parameters


@pytest.mark.parametrize(
    ("name", "paper", "with_products"),
    [
        ("vitb_256_mae_32x4_ep300", 29.02, 30.91),
        ("vitb_256_mae_ce_32x4_ep300", 21.50, 22.64),
        ("vitb_384_mae_32x4_ep300", 65.30, 74.86),
        ("vitb_384_mae_ce_32x4_ep300", 48.31, 54.09),
    ],
)
def test_counts_of_the_paper(name, paper, with_products):
    parts = macs(configs.load(name).model)
    assert as_the_paper_counts(parts) / 1e9 == pytest.approx(paper, abs=0.005)
    assert sum(parts.values()) / 1e9 == pytest.approx(with_products, abs=0.005)


def test_parameters_are_those_with_a_gradient(small_config, random_weights):
    unused = ("backbone.cls_token", "backbone.pos_embed", ".mean", ".var", ".count")
    expected = sum(value.size for name, value in random_weights.items() if not name.endswith(unused))
    assert parameters(small_config.model) == expected
