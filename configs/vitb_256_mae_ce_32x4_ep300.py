"""OSTrack-256 with candidate elimination, trained on LaSOT, GOT-10k, COCO and TrackingNet.

Command:  python train.py --config configs/vitb_256_mae_ce_32x4_ep300.py --workdir DIR --init MAE_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs
Published: LaSOT AUC 69.1, P_norm 78.7, P 75.2; LaSOT_ext AUC 47.4, P_norm 57.3, P 53.3
           TrackingNet AUC 83.1, P_norm 87.8, P 82.0 (the paper's Table 1)
           UAV123 AUC 68.3, NFS 64.7, TNL2K 54.3 (Table 2); ITB mIoU 61.2 (Table A7)
           GOT-10k test AO 73.6, SR0.5 82.8, SR0.75 71.4 (Table A1: with all training data, not one-shot)
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
