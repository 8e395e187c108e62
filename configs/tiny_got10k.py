"""The tiny network on real frames in GOT-10k's layout: a first run on one's own machine or data, not a published model.

Command:  python train.py --config configs/tiny_got10k.py --workdir DIR --init TINY_WORKDIR \\
             --config.data.got10k.dir=GOT10K --config.data.got10k_val.dir=GOT10K
Cost:     four minutes on two CPU cores
Expected: depends on the data; AO 0.286 on the videos of docs/results.md (never moving: 0.277)
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """The network of `tiny`, whose weights it can start from."""
    config = default(
        "tiny_got10k",
        got10k=DataConfig(reader="got10k"),
        got10k_val=DataConfig(reader="got10k", part="val", use="validation"),
    )
    config.model.update(width=64, depth=3, heads=2, patch=4, head_channels=32, drop_path=0.0)
    config.model.update(template_size=32, search_size=48, search_factor=3.0)
    config.pairs.update(centre_jitter=1.0, scale_jitter=0.5, max_gap=50)
    config.train.update(batch=8, bn_group=0, epochs=6, pairs_per_epoch=4000, validation_pairs=480, validate_every=1)
    config.train.update(lr=1e-3, lr_batch=0, backbone_lr_scale=1.0, schedule="cosine", warmup_epochs=0.2)
    config.train.update(giou_weight=1.0, clip_norm=1.0, workers=1, keep_checkpoints=2)
    config.train.log_every = 20
    return config
