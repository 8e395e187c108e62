"""OSTrack-384 with candidate elimination, trained on LaSOT, GOT-10k, COCO and TrackingNet.

Command:  python train.py --config configs/vitb_384_mae_ce_32x4_ep300.py --workdir DIR --init MAE_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs
Published: LaSOT AUC 71.1, P_norm 81.1, P 77.6; LaSOT_ext AUC 50.5, P_norm 61.3, P 57.6
           TrackingNet AUC 83.9, P_norm 88.5, P 83.2 (the paper's Table 1)
           UAV123 AUC 70.7, NFS 66.5, TNL2K 55.9 (Table 2); ITB mIoU 64.8 (Table A7)
Scored by: python eval.py --config vitb_384_mae_ce_32x4_ep300 --checkpoint DIR \\
             --benchmark got10k_val --data_dir GOT10K --output OUT
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """The published settings."""
    config = default(
        "vitb_384_mae_ce_32x4_ep300",
        lasot=DataConfig(reader="lasot", split="train"),
        got10k=DataConfig(reader="got10k", split="vot_train"),
        coco=DataConfig(reader="coco", split="train2017"),
        trackingnet=DataConfig(reader="trackingnet", split="all"),
        got10k_val=DataConfig(reader="got10k", split="vot_val", use="validation"),
    )
    config.model.update(template_size=192, search_size=384, search_factor=5.0)
    config.pairs.update(centre_jitter=4.5, scale_jitter=0.5)
    config.model.update(eliminate_at=(3, 6, 9), keep_ratio=(0.7, 0.7, 0.7))
    return config
