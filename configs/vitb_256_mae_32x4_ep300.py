"""OSTrack-256 without elimination, trained on LaSOT, GOT-10k, COCO and TrackingNet.

Command:  python train.py --config configs/vitb_256_mae_32x4_ep300.py --workdir DIR --init MAE_DIR
Cost:     300 epochs of 60,000 pairs: 140,400 steps of 128 pairs
Published: LaSOT AUC 68.7, P_norm 78.1, P 74.6; TrackingNet AUC 82.9, P_norm 87.5, P 81.6 (the paper's Table 4)
           GOT-10k test AO 73.6, SR0.5 83.0, SR0.75 71.7 (Table 4: with all training data, not one-shot)
           29.0 G MACs (Table A5), 93.1 frames/s on a 2080 Ti (Table 3)
Scored by: python eval.py --config vitb_256_mae_32x4_ep300 --checkpoint DIR \\
             --benchmark got10k_val --data_dir GOT10K --output OUT
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """The published settings."""
    config = default(
        "vitb_256_mae_32x4_ep300",
        lasot=DataConfig(reader="lasot", split="train"),
        got10k=DataConfig(reader="got10k", split="vot_train"),
        coco=DataConfig(reader="coco", split="train2017"),
        trackingnet=DataConfig(reader="trackingnet", split="all"),
        got10k_val=DataConfig(reader="got10k", split="vot_val", use="validation"),
    )
    return config
