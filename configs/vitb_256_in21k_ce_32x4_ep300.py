"""OSTrack-256 with candidate elimination from AugReg's supervised weights: "ImageNet-21k" of the paper's Table 4.

Weights:  ostrack convert augreg B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0.npz \\
             --config vitb_256_in21k_ce_32x4_ep300 --output IN21K_DIR
Command:  python train.py --config configs/vitb_256_in21k_ce_32x4_ep300.py --workdir DIR --init IN21K_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs
Expected: not trained here; the paper trained its row without elimination (docs/ablations.md)
"""

from ml_collections import ConfigDict

from ostrack_jax.config import read


def get_config() -> ConfigDict:
    """The published settings; nothing but the initial weights differs."""
    config = read("vitb_256_mae_ce_32x4_ep300")
    config.name = "vitb_256_in21k_ce_32x4_ep300"
    return config
