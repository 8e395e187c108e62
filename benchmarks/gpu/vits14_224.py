"""A small OSTrack (ViT-S/14, DINOv2) with elimination, trained for minutes on one GPU."""

from ml_collections import ConfigDict

from ostrack_jax.config import VIT_SIZES, DataConfig, default


def get_config() -> ConfigDict:
    """Return the config; directories of the data come by flags."""
    drawn = {"frames": 16, "sequences": 50_000, "parts": 0.2, "backgrounds": ""}
    config = default(
        "vits14_224",
        more=DataConfig(reader="got10k", weight=2.0),
        got10k=DataConfig(reader="got10k", weight=2.0),
        coco=DataConfig(reader="coco", weight=2.0),
        pasted=DataConfig(reader="pasted", weight=1.2, options=drawn),
    )
    model, pairs, train = config.model, config.pairs, config.train
    model.update(VIT_SIZES["small"], patch=14, layer_scale=1e-5, pretraining_size=518, head_channels=128)
    model.update(template_size=112, search_size=224, dtype="bfloat16")
    model.update(eliminate_at=(3, 6, 9), keep_ratio=(0.7, 0.7, 0.71))
    pairs.update(centre_jitter=2.5, scale_jitter=0.4, min_frames=6, min_visible=4, grayscale=0.1, max_gap=100)
    pairs.update(brightness=0.3, contrast=0.25, saturation=0.3, tint=0.05, blur=0.1, coarse=0.25, occlude=0.15)
    train.update(batch=256, epochs=30, pairs_per_epoch=25_600, validate_every=0, picture_every=0, save_every=8)
    train.update(lr=5e-4, lr_batch=0, backbone_lr_scale=0.2, schedule="cosine", ema=0.998, warmup_epochs=2.0)
    train.update(clip_norm=1.0, weight_decay=1e-2, workers=15, log_every=50, keep_checkpoints=1)
    train.update(keep_from_epoch=0, keep_until_epoch=0)  # elimination from the first step
    return config
