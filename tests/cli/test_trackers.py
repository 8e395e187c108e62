"""The tracker of the flags: what is kept of its weights. No network is compiled here."""

from __future__ import annotations

import dataclasses

import pytest
from absl import flags as absl_flags

from ostrack_jax import config as configs
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli import trackers
from ostrack_jax.config import DataConfig
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.report import not_one_shot
from ostrack_jax.tracking.baselines import Baseline
from ostrack_jax.tracking.tracker import Tracker


class NotCompiled:
    compile_seconds = 0.0

    def __init__(self, config, weights, targets, details):
        self.weights = lambda: weights


@pytest.fixture
def given(monkeypatch, tmp_path):
    """The path of a config of one's own for `small_weights`, said to train on GOT-10k alone."""
    monkeypatch.setattr("ostrack_jax.models.devices.keep_compiled", lambda: None)
    monkeypatch.setattr("ostrack_jax.tracking.network.TrackingNetwork", NotCompiled)
    path = tmp_path / "mine.py"
    path.write_text(
        "from ostrack_jax.config import DataConfig, default\n"
        "def get_config():\n"
        "    val = DataConfig(reader='lasot', use='validation')\n"
        "    return default('mine', got10k=DataConfig(reader='got10k'), val=val)\n"
    )
    return path


def test_weights_keep_what_they_were_trained_on(tmp_path, given, small_weights):
    from ostrack_jax.checkpoint.files import save_weights

    stored, weights = load_weights(small_weights[0])
    data = {name: DataConfig(reader=name) for name in ("lasot", "got10k")}
    save_weights(tmp_path, weights, dataclasses.replace(stored, data=data))
    tracker = Tracker.from_checkpoint(tmp_path, given)
    assert tracker.config.name == tracker.provenance["tracker"] == "mine"
    assert tracker.config.data == data
    config = configs.to_dict(tracker.config)
    assert not_one_shot(config) == "NOT ONE-SHOT: trained on got10k, lasot"
    assert Tracker.from_checkpoint(tmp_path).config.data == data


def test_a_setting_changes_the_config_of_the_weights(given, small_weights):
    def choose(*words: str) -> Tracker | Baseline:
        flags = absl_flags.FlagValues()
        trackers.define(flags)
        flags(["eval", *words])
        return trackers.choose(flags)

    provenance = choose("--checkpoint", str(small_weights[0]), "--config_override=model.dtype=bfloat16").provenance
    assert provenance["model"] == configs.to_dict(load_weights(small_weights[0])[0].model) | {"dtype": "bfloat16"}
    with pytest.raises(UserError, match=r"unknown key in config\.model 'dtyp': did you mean 'dtype'"):
        choose("--checkpoint", str(small_weights[0]), "--config_override=model.dtyp=bfloat16")
    with pytest.raises(UserError, match="--config goes with --checkpoint"):
        choose("--tracker", "still", "--config_override=model.dtype=bfloat16")
