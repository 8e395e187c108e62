"""OSTrack-256 with candidate elimination, trained on GOT-10k alone (the one-shot protocol).

Command:  python train.py --config configs/vitb_256_mae_ce_32x4_got10k_ep100.py --workdir DIR --init MAE_DIR
Cost:     100 epochs of 60,000 pairs: 46,800 steps of 128 pairs
Published: GOT-10k test AO 71.0, SR0.5 80.4, SR0.75 68.2 (the paper's Table 1, by GOT-10k's server)
Scored by: python eval.py --config vitb_256_mae_ce_32x4_got10k_ep100 --checkpoint DIR \\
             --benchmark got10k_val --data_dir GOT10K --output OUT
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """The published settings."""
    config = default(
        "vitb_256_mae_ce_32x4_got10k_ep100",
        got10k=DataConfig(reader="got10k", split="train_full"),
        got10k_val=DataConfig(reader="got10k", part="val", use="validation"),
    )
    config.model.update(eliminate_at=(3, 6, 9), keep_ratio=(0.7, 0.7, 0.7))
    config.train.update(epochs=100, drop_epoch=80, keep_until_epoch=70)
    return config
