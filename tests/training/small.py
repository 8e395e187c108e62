"""Settings of the smallest network that trains, for tests and for the processes that they start."""

from __future__ import annotations

NETWORK = "width=16 depth=1 heads=1 patch=8 head_channels=8 template_size=16 search_size=32 drop_path=0.3 "
NETWORK += "eliminate_at=(0,) keep_ratio=(0.7,)"
SHORT = "batch=2 bn_group=0 epochs=2 pairs_per_epoch=4 validation_pairs=2 validate_every=1 log_every=1 workers=0 "
SHORT += "warmup_epochs=0 schedule=step drop_epoch=99 keep_from_epoch=0 keep_until_epoch=0"
OVERRIDES = [f"model.{one}" for one in NETWORK.split()] + [f"train.{one}" for one in SHORT.split()]
OPTIONS = {"width": 64, "height": 48, "frames": 24, "sequences": 4}
