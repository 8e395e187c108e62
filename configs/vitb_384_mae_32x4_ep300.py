"""OSTrack-384 without elimination, trained on LaSOT, GOT-10k, COCO and TrackingNet.

Command:  python train.py --config configs/vitb_384_mae_32x4_ep300.py --workdir DIR --init MAE_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs
Published: LaSOT AUC 71.0, TrackingNet AUC 83.5, 65.3 G MACs, 41.4 frames/s on a 2080 Ti (the paper's Table 3)
Scored by: python eval.py --config vitb_384_mae_32x4_ep300 --checkpoint DIR \\
             --benchmark got10k_val --data_dir GOT10K --output OUT
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """The published settings."""
    config = default(
        "vitb_384_mae_32x4_ep300",
        lasot=DataConfig(reader="lasot", split="train"),
        got10k=DataConfig(reader="got10k", split="vot_train"),
        coco=DataConfig(reader="coco", split="train2017"),
        trackingnet=DataConfig(reader="trackingnet", split="all"),
        got10k_val=DataConfig(reader="got10k", split="vot_val", use="validation"),
    )
    config.model.update(template_size=192, search_size=384, search_factor=5.0)
    config.pairs.update(centre_jitter=4.5, scale_jitter=0.5)
    return config
