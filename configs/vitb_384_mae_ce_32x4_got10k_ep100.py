"""OSTrack-384 with candidate elimination, trained on GOT-10k alone (the one-shot protocol).

Command:  python train.py --config configs/vitb_384_mae_ce_32x4_got10k_ep100.py --workdir DIR --init MAE_DIR
Cost:     100 epochs of 60,000 pairs: 46,800 steps of 128 pairs
Published: GOT-10k test AO 73.7, SR0.5 83.2, SR0.75 70.8 (the paper's Table 1, by GOT-10k's server)
Scored by: python eval.py --config vitb_384_mae_ce_32x4_got10k_ep100 --checkpoint DIR \\
             --benchmark got10k_val --data_dir GOT10K --output OUT
"""

from ml_collections import ConfigDict

from ostrack_jax.config import DataConfig, default


def get_config() -> ConfigDict:
    """The published settings."""
    config = default(
        "vitb_384_mae_ce_32x4_got10k_ep100",
        got10k=DataConfig(reader="got10k", split="train_full"),
        got10k_val=DataConfig(reader="got10k", part="val", use="validation"),
    )
    config.model.update(template_size=192, search_size=384, search_factor=5.0)
    config.pairs.update(centre_jitter=4.5, scale_jitter=0.5)
    config.model.update(eliminate_at=(3, 6, 9), keep_ratio=(0.7, 0.7, 0.7))
    config.train.update(epochs=100, drop_epoch=80, keep_until_epoch=70)
    return config
