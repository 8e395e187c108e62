"""A tracker of 0.2 M parameters without elimination on built-in synthetic sequences: the README's first five minutes.

Command:  python train.py --config configs/tiny.py --workdir DIR
Cost:     four minutes on two CPU cores, no download
Expected: AO 0.326 on the held-out sequences; on one core, where sums round otherwise, 0.271, seed 1 0.299
          (a tracker that never moves: 0.119; OpenCV MIL: 0.393)
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """Small crops and patches, a short and narrow network, one cycle of a cosine.

    Patches of 4 pixels: from scratch, with so few pairs, a coarser grid learns where the target is far later.
    """
    world = {"width": 240, "height": 180, "frames": 40}
    config = default(
        "tiny",
        synthetic=DataConfig(reader="synthetic", options={**world, "sequences": 400}),
        synthetic_val=DataConfig(reader="synthetic", part="val", use="validation", options={**world, "sequences": 20}),
    )
    config.model.update(width=64, depth=3, heads=2, patch=4, head_channels=32, drop_path=0.0)
    config.model.init_std = 0.1  # the published 0.02 suits a width of 768; from it, some seeds hardly learn to compare
    config.model.update(template_size=32, search_size=48, search_factor=3.0)
    config.pairs.update(centre_jitter=1.0, scale_jitter=0.5)
    config.train.update(batch=8, bn_group=0, epochs=5, pairs_per_epoch=4800, validation_pairs=160, validate_every=1)
    config.train.update(lr=1.5e-3, lr_batch=0, backbone_lr_scale=1.0, schedule="cosine", warmup_epochs=0.2)
    config.train.update(giou_weight=1.0, clip_norm=1.0, workers=1, keep_checkpoints=2)
    config.train.log_every = 20
    return config
