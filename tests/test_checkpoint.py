"""Weights on disk: the three forms, what is not one, what is broken, and other devices."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from ostrack_jax import checkpoint
from ostrack_jax.errors import UserError


def test_a_weights_folder(small_config, small_weights, tmp_path):
    digest = checkpoint.save_weights(tmp_path, small_weights, small_config)
    config, weights = checkpoint.load_weights(tmp_path)
    assert config == small_config
    assert weights.keys() == small_weights.keys()
    assert all(weights[name].dtype == small_weights[name].dtype for name in weights)
    assert checkpoint.sha256(weights) == digest


def test_one_file(small_config, small_weights, tmp_path):
    path = tmp_path / "deep" / "model.safetensors"
    checkpoint.save_safetensors(path, small_weights, small_config)
    config, weights = checkpoint.load_weights(path)
    assert config == small_config
    assert checkpoint.sha256(weights) == checkpoint.sha256(small_weights)
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_the_hash_sees_every_value_and_name(small_weights):
    one = dict(small_weights)
    digest = checkpoint.sha256(one)
    assert checkpoint.sha256(dict(reversed(one.items()))) == digest
    one["backbone.norm.bias"] = one["backbone.norm.bias"] + 1e-7
    assert checkpoint.sha256(one) != digest


@pytest.fixture
def run(small_config, small_weights, tmp_path):
    """A workdir with steps 1 and 2; the weights of step 2 are zeros."""
    checkpoint.save_config(tmp_path, small_config)
    steps = checkpoint.TrainCheckpoints(tmp_path / checkpoint.STEPS, keep=2)
    steps.save(1, small_weights, {"step": np.int32(1)})
    steps.save(2, {name: np.zeros_like(value) for name, value in small_weights.items()}, {"step": np.int32(2)})
    steps.close()
    return tmp_path


def test_a_workdir_gives_its_newest_step_or_the_one_asked_for(run, small_weights):
    assert not checkpoint.load_weights(run)[1]["backbone.norm.scale"].any()
    first = checkpoint.load_weights(run / checkpoint.STEPS / "1")[1]
    assert checkpoint.sha256(first) == checkpoint.sha256(small_weights)


def test_only_the_newest_are_kept(run, small_weights):
    steps = checkpoint.TrainCheckpoints(run / checkpoint.STEPS, keep=2)
    steps.save(3, small_weights, {"step": np.int32(3)})
    steps.close()
    assert sorted(p.name for p in (run / checkpoint.STEPS).iterdir()) == ["2", "3"]


def test_restored_onto_two_devices(run, small_weights):
    """What one device saved, two restore: each holds its share."""
    program = f"""
import jax, numpy as np
from pathlib import Path
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ostrack_jax.checkpoint import STEPS, TrainCheckpoints
assert jax.device_count() == 2
mesh = Mesh(np.array(jax.devices()), ("data",))
def like(shape, spec): return jax.ShapeDtypeStruct(shape, "float32", sharding=NamedSharding(mesh, spec))
steps = TrainCheckpoints(Path({str(run)!r}) / STEPS)
shapes = steps.weights(1)
target = {{name: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=NamedSharding(mesh, PartitionSpec()))
          for name, v in shapes.items()}}
name = "backbone.blocks.0.mlp.fc1.kernel"
target[name] = jax.ShapeDtypeStruct(shapes[name].shape, "float32", sharding=NamedSharding(mesh, PartitionSpec("data")))
rest = {{"step": jax.ShapeDtypeStruct((), "int32", sharding=NamedSharding(mesh, PartitionSpec()))}}
weights, rest = steps.restore(1, target, rest)
assert weights[name].sharding.shard_shape(weights[name].shape)[0] * 2 == weights[name].shape[0]
np.testing.assert_array_equal(weights[name], shapes[name])
print("restored", int(rest["step"]))
"""
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert "restored 1" in done.stdout, done.stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a picture", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_files_that_are_none(content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="safetensors"):
        checkpoint.load_weights(path)


def test_a_file_cut_short(small_config, small_weights, tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save_safetensors(path, small_weights, small_config)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="no whole safetensors"):
        checkpoint.load_weights(path)


def test_a_foreign_safetensors_file(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="no config"):
        checkpoint.load_weights(tmp_path / "other.safetensors")


def test_nothing_and_something_else(tmp_path):
    with pytest.raises(UserError, match="no checkpoint at"):
        checkpoint.load_weights(tmp_path / "absent")
    with pytest.raises(UserError, match="is no checkpoint"):
        checkpoint.load_weights(tmp_path)


def test_a_config_that_is_none(small_config, small_weights, tmp_path):
    checkpoint.save_config(tmp_path, small_config)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="is no config"):
        checkpoint.load_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"modle": {}}))
    with pytest.raises(UserError, match="model"):
        checkpoint.load_config(tmp_path)


def test_a_broken_step_is_told(run, small_config):
    for part in (run / checkpoint.STEPS / "2" / "weights").rglob("*"):
        if part.is_file() and part.stat().st_size > 2000:
            part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    with pytest.raises(UserError, match="broken"):
        checkpoint.load_weights(run)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    checkpoint.write_atomically(path, b"first")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        checkpoint.write_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
