"""A fast OSTrack: the first four blocks of the small one at smaller crops, 1.65 GMACs a frame."""

from pathlib import Path

from ml_collections import ConfigDict

from ostrack_jax.config import read


def get_config() -> ConfigDict:
    """Return the config of `vits14_224.py` with fewer blocks."""
    config = read(str(Path(__file__).with_name("vits14_224.py")))
    config.name = "vits4_168"
    config.model.update(depth=4, template_size=84, search_size=168, eliminate_at=(), keep_ratio=(), drop_path=0.0)
    config.train.update(lr=8e-4, backbone_lr_scale=0.4)
    return config
