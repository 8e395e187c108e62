"""Weights on disk: a directory, a file, what is neither, what is corrupt."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ostrack_jax.checkpoint.files import load_config, load_weights, save_config, save_safetensors, save_weights, sha256
from ostrack_jax.errors import UserError


def test_a_weights_directory(small_config, random_weights, tmp_path):
    digest = save_weights(tmp_path, random_weights, small_config)
    config, weights = load_weights(tmp_path)
    assert config == small_config
    assert weights.keys() == random_weights.keys()
    assert all(weights[name].dtype == random_weights[name].dtype for name in weights)
    assert sha256(weights) == digest


def test_one_file(small_config, random_weights, tmp_path):
    path = tmp_path / "deep" / "model.safetensors"
    save_safetensors(path, random_weights, small_config)
    config, weights = load_weights(path)
    assert config == small_config
    assert sha256(weights) == sha256(random_weights)
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_eight_bits(small_config, random_weights, tmp_path):
    rng = np.random.default_rng(0)
    # a channel of zeros, and channels of very different size
    matrix = rng.normal(size=(5, 100, 50)).astype(np.float32) * np.logspace(-6, 3, 50).astype(np.float32)
    matrix[..., 7] = 0
    weights = {**random_weights, "large.kernel": matrix}
    save_safetensors(tmp_path / "a.safetensors", weights, small_config, eight_bit=True)
    config, found = load_weights(tmp_path / "a.safetensors")
    assert config == small_config
    assert found.keys() == weights.keys()
    assert found["large.kernel"].dtype == np.float32
    largest = np.abs(matrix).max((0, 1))
    assert (np.abs(found["large.kernel"] - matrix) <= largest / 254 * (1 + 1e-5)).all()
    assert not np.array_equal(found["large.kernel"], matrix)
    small = [name for name, value in random_weights.items() if value.size <= 20_000 or value.ndim < 2]
    assert small
    assert all(np.array_equal(found[name], random_weights[name]) for name in small)
    # what was rounded once is not rounded again
    save_safetensors(tmp_path / "b.safetensors", found, small_config, eight_bit=True)
    assert sha256(load_weights(tmp_path / "b.safetensors")[1]) == sha256(found)
    save_safetensors(tmp_path / "c.safetensors", {"large.kernel": matrix}, small_config)
    save_safetensors(tmp_path / "d.safetensors", {"large.kernel": matrix}, small_config, eight_bit=True)
    size = {name: (tmp_path / f"{name}.safetensors").stat().st_size for name in "cd"}
    assert size["c"] - size["d"] > 0.7 * matrix.nbytes


def test_the_hash_sees_every_value_and_name(random_weights):
    one = dict(random_weights)
    digest = sha256(one)
    assert sha256(dict(reversed(one.items()))) == digest
    one["backbone.norm.bias"] = one["backbone.norm.bias"] + 1e-7
    assert sha256(one) != digest


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a picture", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_files_that_are_none(content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="safetensors"):
        load_weights(path)


def test_a_file_cut_short(small_config, random_weights, tmp_path):
    path = tmp_path / "model.safetensors"
    save_safetensors(path, random_weights, small_config)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is truncated or not a safetensors file"):
        load_weights(path)


def test_a_foreign_safetensors_file(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"`ostrack convert ostrack .*/other\.safetensors --config NAME --output DIR`"):
        load_weights(tmp_path / "other.safetensors")


@pytest.mark.parametrize("name", ["OSTrack_ep0300.pth.tar", "my weights.pth", "model.bin", "x.ckpt", "B_16.npz"])
def test_an_unconverted_file(tmp_path, name):
    """Also where its directory is given."""
    (tmp_path / name).write_bytes(b"PK")
    quoted = f"'{tmp_path / name}'" if " " in name else str(tmp_path / name)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(UserError) as caught:
            load_weights(path)
        assert f"`ostrack convert ostrack {quoted} --config NAME --output DIR`" in str(caught.value)


def test_nothing_and_something_else(tmp_path):
    with pytest.raises(UserError, match="no checkpoint at"):
        load_weights(tmp_path / "absent")
    with pytest.raises(UserError, match="is not a checkpoint"):
        load_weights(tmp_path)


def test_a_config_that_is_none(small_config, random_weights, tmp_path):
    save_config(tmp_path, small_config)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not valid JSON"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"modle": {}}))
    with pytest.raises(UserError, match="model"):
        load_config(tmp_path)
