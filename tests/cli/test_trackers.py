"""The tracker of the flags: what is kept of its weights. No network is compiled here."""

from __future__ import annotations

import dataclasses
import types

import pytest
from absl import flags as absl_flags

from ostrack_jax import config as configs
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli import trackers
from ostrack_jax.config import DataConfig
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation.report import not_one_shot, trained_on
from ostrack_jax.tracking.tracker import Tracker


class NotCompiled:
    def __init__(self, config, weights, targets):
        self.config, self.network = config, types.SimpleNamespace(weights=lambda: weights)

    provenance = Tracker.provenance


@pytest.fixture
def given(monkeypatch, small_weights):
    """A config of one's own for `small_weights`, said to train on GOT-10k alone."""
    monkeypatch.setattr(trackers, "keep_compiled", lambda: None)
    monkeypatch.setattr("ostrack_jax.tracking.tracker.Tracker", NotCompiled)
    stored, _ = load_weights(small_weights[0])
    data = {"got10k": DataConfig(reader="got10k"), "val": DataConfig(reader="lasot", use="validation")}
    return dataclasses.replace(stored, name="mine", data=data)


def test_weights_keep_what_they_were_trained_on(tmp_path, given, small_weights):
    from ostrack_jax.checkpoint.files import save_weights

    stored, weights = load_weights(small_weights[0])
    data = {name: DataConfig(reader=name) for name in ("lasot", "got10k")}
    save_weights(tmp_path, weights, dataclasses.replace(stored, data=data))
    chosen = trackers.of_checkpoint(tmp_path, lambda stored: given)
    assert chosen.config is not None
    assert chosen.config["name"] == chosen.provenance["tracker"] == "mine"
    assert chosen.config["data"] == configs.to_dict(dataclasses.replace(stored, data=data))["data"]
    assert trained_on(chosen.config) == ["got10k", "lasot"]
    assert not_one_shot(chosen.config) == "NOT ONE-SHOT: trained on got10k, lasot"
    assert trained_on(trackers.of_checkpoint(tmp_path).config) == ["got10k", "lasot"]


def test_a_setting_changes_the_config_of_the_weights(given, small_weights):
    def choose(*words: str) -> trackers.LoadedTracker:
        flags = absl_flags.FlagValues()
        trackers.define(flags)
        flags(["eval", *words])
        return trackers.choose(flags)

    made_by = choose("--checkpoint", str(small_weights[0]), "--config_override=model.dtype=bfloat16").provenance
    assert made_by["model"] == configs.to_dict(load_weights(small_weights[0])[0].model) | {"dtype": "bfloat16"}
    with pytest.raises(UserError, match=r"unknown key in config\.model 'dtyp': did you mean 'dtype'"):
        choose("--checkpoint", str(small_weights[0]), "--config_override=model.dtyp=bfloat16")
    with pytest.raises(UserError, match="--config goes with --checkpoint"):
        choose("--tracker", "still", "--config_override=model.dtype=bfloat16")
