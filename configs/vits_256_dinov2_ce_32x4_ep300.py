"""A small OSTrack-256 (ViT-S, patch 16) from DINOv2's weights, whose 14-pixel patch kernel is resized to 16.

Weights:  ostrack convert dinov2 dinov2_vits14_pretrain.pth --config vits_256_dinov2_ce_32x4_ep300 --output DINOV2_DIR
Command:  python train.py --config configs/vits_256_dinov2_ce_32x4_ep300.py --workdir DIR --init DINOV2_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs; 0.28 of ViT-B's MACs
Expected: not trained here to the end
"""

from ml_collections import ConfigDict

from ostrack_jax.config import VIT_SIZES, read


def get_config() -> ConfigDict:
    """The published settings around a smaller backbone with LayerScale."""
    config = read("vitb_256_mae_ce_32x4_ep300")
    config.name = "vits_256_dinov2_ce_32x4_ep300"
    config.model.update(**VIT_SIZES["small"], layer_scale=1e-5, pretraining_size=518)
    return config
