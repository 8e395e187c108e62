"""A tracker of 1.1 M parameters on built-in synthetic sequences: the README's first five minutes.

Command:  python train.py --config configs/tiny.py --workdir DIR
Cost:     under three minutes on two CPU cores, no download
Expected: see docs/results.md; always at least 0.25 AO above a tracker that never moves, on held-out sequences
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """Small crops, a short and narrow network, one cycle of a cosine."""
    world = {"width": 240, "height": 180, "frames": 40}
    config = default(
        "tiny",
        synthetic=DataConfig(reader="synthetic", options={**world, "sequences": 400}),
        synthetic_val=DataConfig(reader="synthetic", part="val", use="validation", options={**world, "sequences": 20}),
    )
    config.model.update(width=96, depth=4, heads=3, patch=8, head_channels=64, drop_path=0.0)
    config.model.update(template_size=32, search_size=64, eliminate_at=(2,), keep_ratio=(0.7,))
    config.train.update(batch=32, bn_group=0, epochs=6, pairs_per_epoch=6400, validation_pairs=320, validate_every=1)
    config.train.update(lr=2e-3, lr_batch=0, backbone_lr_scale=1.0, schedule="cosine", warmup_epochs=0.3)
    config.train.update(keep_from_epoch=2, keep_until_epoch=2, clip_norm=1.0, workers=1, keep_checkpoints=2)
    return config
