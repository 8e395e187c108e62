"""bfloat16 holds where the device computes in it; elsewhere a checkpoint is followed in float32, and a line says so."""

from __future__ import annotations

import dataclasses

import jax
import pytest
from absl import flags as absl_flags

from ostrack_jax.checkpoint.files import save_weights
from ostrack_jax.cli import trackers, visualize
from ostrack_jax.tracking import network, precision
from ostrack_jax.tracking.precision import for_device
from ostrack_jax.tracking.tracker import Tracker

SAID = "tracking in float32: this CPU does not compute in bfloat16"
AS_ASKED = "model.dtype=bfloat16"


class ReachedError(Exception):
    """Ends `visualize` where the network would be compiled; holds the config."""


@pytest.fixture
def on_a_plain_cpu(monkeypatch):
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda: False)


@pytest.fixture
def in_bfloat16(small_config):
    return dataclasses.replace(
        small_config, model=dataclasses.replace(small_config.model, dtype="bfloat16", attention="cudnn")
    )


@pytest.fixture
def stored(in_bfloat16, small_weights, tmp_path):
    """A checkpoint that was trained in bfloat16."""
    save_weights(tmp_path, small_weights, in_bfloat16)
    return tmp_path


@pytest.mark.usefixtures("on_a_plain_cpu")
def test_a_plain_cpu_follows_in_float32_and_says_so(in_bfloat16, caplog):
    model = for_device(in_bfloat16).model
    assert model == dataclasses.replace(in_bfloat16.model, dtype="float32", attention="auto")
    assert [record.getMessage()[: len(SAID)] for record in caplog.records] == [SAID]


@pytest.mark.usefixtures("on_a_plain_cpu")
def test_what_is_asked_for_holds(in_bfloat16, caplog):
    assert for_device(in_bfloat16, changes=[AS_ASKED]).model.dtype == "bfloat16"
    assert not caplog.records


@pytest.mark.usefixtures("on_a_plain_cpu")
def test_what_was_trained_in_float32_stays_so(small_config, caplog):
    assert for_device(small_config) == small_config
    assert not caplog.records


def test_bfloat16_holds_on_accelerators(in_bfloat16, caplog, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert for_device(in_bfloat16) == in_bfloat16
    assert not caplog.records


@pytest.mark.parametrize("flags", ["fpu vme avx512f amx_bf16 amx_tile", "fpu vme avx512f"])
def test_bfloat16_holds_with_amx(flags, monkeypatch):
    monkeypatch.setattr(precision.Path, "read_text", lambda *_, **__: f"flags : {flags}")
    assert precision.computes_in_bfloat16() == ("amx_bf16" in flags)


@pytest.mark.usefixtures("on_a_plain_cpu")
def test_the_library_and_the_commands_act_alike(stored, in_bfloat16, monkeypatch):
    class NotCompiled:
        compile_seconds = 0.0

        def __init__(self, config, weights, targets=1, details=False):
            if details:
                raise ReachedError(config)
            self.config, self.weights = config, lambda: {}

    def flags_of(command, *words):
        flags = absl_flags.FlagValues()
        command.define(flags)
        flags(["command", "--checkpoint", str(stored), *words])
        return flags

    def seen_by_visualize(*words):
        with pytest.raises(ReachedError) as reached:
            visualize.main(flags_of(visualize, "--output", str(stored / "sheets"), *words), ["SEQUENCE"])
        return reached.value.args[0]

    monkeypatch.setattr(network, "TrackingNetwork", NotCompiled)
    monkeypatch.setattr(visualize, "_open", lambda flags, name: ([None] * 3, None))
    assert Tracker.from_checkpoint(stored).config.model.dtype == "float32"
    assert Tracker.from_checkpoint(stored, in_bfloat16).config.model.dtype == "bfloat16"
    for words, dtype in (((), "float32"), ((f"--config_override={AS_ASKED}",), "bfloat16")):
        chosen = trackers.choose(flags_of(trackers, *words))
        assert isinstance(chosen, Tracker)
        assert chosen.config.model.dtype == chosen.provenance["model"]["dtype"] == dtype
        assert seen_by_visualize(*words).model.dtype == dtype
