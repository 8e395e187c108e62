"""OSTrack-256 with candidate elimination from DeiT's supervised weights: "ImageNet-1k" of the paper's Table 4.

Weights:  ostrack convert deit deit_base_patch16_224-b5f2ef4d.pth --config vitb_256_in1k_ce_32x4_ep300 --output DEIT_DIR
Command:  python train.py --config configs/vitb_256_in1k_ce_32x4_ep300.py --workdir DIR --init DEIT_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs
Expected: not trained here; the paper trained its row without elimination (docs/ablations.md)
"""

from ml_collections import ConfigDict

from ostrack_jax.config import read


def get_config() -> ConfigDict:
    """The published settings; nothing but the initial weights differs."""
    config = read("vitb_256_mae_ce_32x4_ep300")
    config.name = "vitb_256_in1k_ce_32x4_ep300"
    return config
