"""A small tracker from DINOv2's ViT-S, for two CPU cores and two hours: few videos, with pasted and synthetic ones.

Command:  ostrack convert dinov2 DINOV2 --config vits_160_dinov2_cpu --output INIT
          python train.py --config configs/vits_160_dinov2_cpu.py --workdir DIR --init INIT \\
             --config.data.got10k.dir=GOT10K --config.data.got10k_val.dir=GOT10K \\
             --config.data.coco.dir=COCO --config.data.pasted.dir=COCO \\
             --config.data.pasted.options.backgrounds=GOT10K/train
Cost:     56,000 pairs of 2.9 GMACs forward
Scored by: python eval.py --config vits_160_dinov2_cpu --checkpoint DIR \\
             --benchmark got10k_val --data_dir GOT10K --output OUT
"""

from ml_collections import ConfigDict

from ostrack_jax.config import VIT_SIZES, DataConfig, default


def get_config() -> ConfigDict:
    """125 tokens; a target is about as large in the template (40 pixels) as in the search region (46)."""
    drawn = {"frames": 20, "sequences": 100_000}
    config = default(
        "vits_160_dinov2_cpu",
        got10k=DataConfig(reader="got10k", weight=2.0),
        coco=DataConfig(reader="coco", weight=0.7),
        pasted=DataConfig(reader="pasted", weight=2.0, options={**drawn, "backgrounds": ""}),
        synthetic=DataConfig(reader="synthetic", weight=0.4, options={**drawn, "width": 240, "height": 180}),
        got10k_val=DataConfig(reader="got10k", part="val", use="validation"),
    )
    config.model.update(VIT_SIZES["small"], layer_scale=1e-5, pretraining_size=518, head_channels=64)
    config.model.update(template_size=80, search_size=160, search_factor=3.5)
    # Up to one side of the target off the middle: real targets rarely move further in a frame, and it stays inside.
    # Less jitter of the scale teaches one size in the crop: then a box that is too large grows from frame to frame.
    config.pairs.update(centre_jitter=2.0, scale_jitter=0.6, min_frames=10, grayscale=0.1)
    config.pairs.update(brightness=0.35, contrast=0.3, saturation=0.3, tint=0.07, blur=0.15, coarse=0.5, occlude=0.2)
    # The first half of the network stays DINOv2's own and processes each crop alone: a third of the work is saved,
    # and few videos cannot spoil it. The second half learns to match them.
    config.model.update(joint_from=6, drop_path=0.0)
    below = tuple(f"backbone.blocks.{i}." for i in range(6))
    config.train.freeze = ("backbone.patch_embed", "backbone.pos_embed", *below)
    config.train.update(batch=16, bn_group=0, epochs=28, pairs_per_epoch=2000, validation_pairs=480, validate_every=4)
    config.train.update(lr=4e-4, lr_batch=0, backbone_lr_scale=0.25, schedule="cosine", ema=0.998)
    config.train.update(warmup_epochs=0.5, clip_norm=1.0, workers=1)
    return config
