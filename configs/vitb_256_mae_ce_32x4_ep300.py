"""OSTrack-256 with candidate elimination, trained on LaSOT, GOT-10k, COCO and TrackingNet.

Command:  python train.py --config configs/vitb_256_mae_ce_32x4_ep300.py --workdir DIR --init MAE_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs
Published: LaSOT AUC 69.1, P_norm 78.7, P 75.2; TrackingNet AUC 83.1, P_norm 87.8, P 82.0
           LaSOT_ext AUC 47.4, UAV123 AUC 68.3, NFS 64.7, TNL2K 54.3
Scored by: python eval.py --config vitb_256_mae_ce_32x4_ep300 --checkpoint DIR \\
             --benchmark got10k_val --data_dir GOT10K --output OUT
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """The published settings."""
    config = default(
        "vitb_256_mae_ce_32x4_ep300",
        lasot=DataConfig(reader="lasot", split="train"),
        got10k=DataConfig(reader="got10k", split="vot_train"),
        coco=DataConfig(reader="coco", split="train2017"),
        trackingnet=DataConfig(reader="trackingnet", split="all"),
        got10k_val=DataConfig(reader="got10k", split="vot_val", use="validation"),
    )
    config.model.update(eliminate_at=(3, 6, 9), keep_ratio=(0.7, 0.7, 0.7))
    return config
