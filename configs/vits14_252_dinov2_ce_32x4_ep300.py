"""A small OSTrack (ViT-S) at DINOv2's own patch of 14 pixels: its patch kernel stays as it is.

Weights:  ostrack convert dinov2 dinov2_vits14_pretrain.pth --config vits14_252_dinov2_ce_32x4_ep300 --output DINOV2_DIR
Command:  python train.py --config configs/vits14_252_dinov2_ce_32x4_ep300.py --workdir DIR --init DINOV2_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs; 0.35 of ViT-B's MACs
Expected: not trained here
"""

from ml_collections import ConfigDict

from ostrack_jax.config import read


def get_config() -> ConfigDict:
    """Crops of 9 x 9 and 18 x 18 patches."""
    config = read("vits_256_dinov2_ce_32x4_ep300")
    config.name = "vits14_252_dinov2_ce_32x4_ep300"
    config.model.update(patch=14, template_size=126, search_size=252)
    return config
