"""The networks in the package: they load by name, fit their config, and have a card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ostrack_jax import weights
from ostrack_jax.checkpoint.files import load_weights, save_weights
from ostrack_jax.errors import UserError
from ostrack_jax.models.weights import check


@pytest.mark.slow
@pytest.mark.parametrize("name", weights.names())
def test_a_shipped_network_loads_by_name_and_has_a_card(name):
    config, arrays = load_weights(name)
    check(config.model, arrays)
    assert config.name == name
    assert all(np.isfinite(array).all() for array in arrays.values())
    path = weights.locate(name)
    assert path.stat().st_size <= 25e6
    card = path.with_suffix(".md").read_text()
    for needed in ("Research use", "Not held out", "AO", "licence", "OTB", "DAVIS", "commit"):
        assert needed in card


def test_an_existing_path_goes_first(tmp_path, monkeypatch, small_config, small_weights):
    monkeypatch.chdir(tmp_path)
    assert load_weights(Path(weights.SMALL))[0].model.width == 384
    save_weights(tmp_path / weights.SMALL, small_weights, small_config)
    assert load_weights(Path(weights.SMALL))[0] == small_config


def test_an_unknown_name_is_reported_with_those_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no checkpoint at smal; networks in the package: .*small"):
        load_weights("smal")
    with pytest.raises(UserError, match="no checkpoint at elsewhere/small"):
        load_weights("elsewhere/small")


def test_a_training_starts_from_a_shipped_network_by_name(tmp_path, monkeypatch, capsys):
    from ostrack_jax.cli.main import main

    monkeypatch.chdir(tmp_path)
    started = []
    monkeypatch.setattr("ostrack_jax.training.trainer.train", lambda config, workdir, init: started.append(init))
    words = ["train", "--config", "tiny", "--workdir", "run", "--init"]
    assert main([*words, weights.SMALL]) == 0
    assert [weights.locate(path) for path in started] == [weights.DEFAULT]
    assert main([*words, "smal"]) == 2
    assert "--init: nothing at smal; networks in the package: small" in capsys.readouterr().err
