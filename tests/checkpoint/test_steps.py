"""A run's checkpoints: which are kept, which are read, full disks, corrupt files, other numbers of devices."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax.checkpoint.files import load_weights, sha256
from ostrack_jax.checkpoint.steps import BEST, STEPS, TrainCheckpoints
from ostrack_jax.config import to_dict
from ostrack_jax.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def items(small_weights):
    """All parameters and one buffer apart, as a run saves them."""
    params = dict(small_weights)
    buffers = {"head.score.norms.0.mean": params.pop("head.score.norms.0.mean")}
    return {
        "params": params,
        "buffers": buffers,
        "rest": {"step": np.array(0, np.int32), "moments": ({"m": np.ones(3)},)},
    }


@pytest.fixture
def about(small_config):
    return {"config": to_dict(small_config), "validation": None}


def zeros(items):
    return items | {"params": {name: np.zeros_like(value) for name, value in items["params"].items()}}


@pytest.fixture
def run(items, about, tmp_path):
    """A workdir with steps 1 and 2; the parameters of step 2 are zeros."""
    steps = TrainCheckpoints(tmp_path / STEPS, keep=2, write=True)
    steps.save(1, items, about)
    steps.save(2, zeros(items), about)
    steps.close()
    return tmp_path


def damage(step: Path) -> None:
    """Cut off the files that hold a step's parameters."""
    for part in (step / "params").rglob("*"):
        if part.is_file() and part.stat().st_size > 2000:
            part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])


def test_a_workdir_gives_its_newest_step_or_the_one_asked_for(run, small_config, small_weights):
    config, newest = load_weights(run)
    assert config == small_config
    assert not newest["backbone.norm.scale"].any()
    first = load_weights(run / STEPS / "1")[1]
    assert sha256(first) == sha256(small_weights)
    assert sha256(load_weights(run / STEPS)[1]) == sha256(newest)


def test_the_best_is_a_directory_of_its_own_and_averages_come_first(items, about, small_weights, tmp_path):
    average = {name: value + 1 for name, value in items["params"].items()}
    best = TrainCheckpoints(tmp_path / BEST, keep=1, write=True)
    best.save(7, items | {"ema": average}, about)
    best.close()
    found = load_weights(tmp_path / BEST)[1]
    assert sha256(found) == sha256(items["buffers"] | average)
    assert found.keys() == small_weights.keys()


def test_only_the_newest_are_kept(run, items, about):
    steps = TrainCheckpoints(run / STEPS, keep=2, write=True)
    steps.save(3, items, about)
    steps.close()
    assert sorted(p.name for p in (run / STEPS).iterdir()) == ["2", "3"]


def test_what_an_interrupted_run_left_half_written_is_no_step(run, items, about):
    left = run / STEPS / "3.orbax-checkpoint-tmp"
    (left / "params").mkdir(parents=True)
    assert TrainCheckpoints(run / STEPS).steps() == [1, 2]
    assert left.is_dir()  # who only reads leaves it to who writes
    steps = TrainCheckpoints(run / STEPS, write=True)
    steps.save(3, items, about)
    steps.close()
    assert sorted(p.name for p in (run / STEPS).iterdir()) == ["1", "2", "3"]


def test_a_corrupt_newest_is_skipped_with_a_warning(run, small_weights, caplog):
    damage(run / STEPS / "2")
    assert sha256(load_weights(run)[1]) == sha256(small_weights)
    assert "skipped" in caplog.text
    assert f"{STEPS}/2 is corrupt" in caplog.text
    with pytest.raises(UserError, match="2 is corrupt"):
        load_weights(run / STEPS / "2")
    damage(run / STEPS / "1")
    with pytest.raises(UserError, match="no complete checkpoint"):
        load_weights(run)


def test_skipped_steps_are_put_aside(run, items, about):
    steps = TrainCheckpoints(run / STEPS, write=True)
    for _ in range(2):
        steps.put_aside(1)
        assert steps.steps() == [1]
        steps.save(2, items, about)
    steps.close()
    assert len(list((run / STEPS).iterdir())) == 2
    assert sorted(p.name for p in (run / "broken").iterdir()) == [f"{STEPS}-2"]


@contextlib.contextmanager
def disk_full():
    """No file may grow beyond 2 kB, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_reported_and_leaves_what_was_there(run, items, about, small_weights):
    steps = TrainCheckpoints(run / STEPS, keep=1, write=True)
    with disk_full():
        steps.save(3, items, about)
        with pytest.raises(UserError, match=r"cannot write checkpoints to .*File too large"):
            steps.close()
    assert TrainCheckpoints(run / STEPS).steps() == [1, 2]
    assert not load_weights(run)[1]["backbone.norm.scale"].any()


def test_a_directory_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write checkpoints to .*file"):
        TrainCheckpoints(tmp_path / "file" / STEPS, write=True)


PROGRAM = """
import sys
from pathlib import Path
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ostrack_jax.checkpoint.steps import TrainCheckpoints

def mesh_of(n): return Mesh(np.array(jax.devices()[:n]), ("data",))
def like(mesh):
    def leaf(x):  # split where it divides, along whichever axis does
        axes = [i for i, n in enumerate(x.shape) if n % mesh.size == 0]
        spec = PartitionSpec(*[None] * axes[-1], "data") if axes else PartitionSpec()
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec))
    return leaf

assert jax.device_count() == 8
steps = TrainCheckpoints(Path(sys.argv[1]), keep=0, write=True)
shapes = np.load(sys.argv[2], allow_pickle=False)
about = steps.about(1)
items = {}
for name in shapes.files:
    item, _, tensor = name.partition("/")
    items.setdefault(item, {})[tensor] = shapes[name]
for step, n in ((2, 2), (3, 8), (4, 1)):
    found = steps.restore(step - 1, jax.tree.map(like(mesh_of(n)), items))
    spread = {len(x.sharding.device_set) for x in jax.tree.leaves(found)}
    assert spread == {n}, spread
    if n > 1:
        parts = [x.sharding.shard_shape(x.shape) != x.shape for x in jax.tree.leaves(found)]
        assert sum(parts) > len(parts) / 2
    steps.save(step, found, about)
steps.close()
print("restored")
"""


def test_saved_on_one_number_of_devices_restored_on_another(items, about, tmp_path):
    """1 -> 2 -> 8 -> 1, most tensors split over all of them: the same bits, tensor for tensor."""
    items["rest"] = {
        "step": np.array(5, np.int32),
        "m": np.random.default_rng(0).normal(size=(16, 24)).astype(np.float32),
    }
    steps = TrainCheckpoints(tmp_path / STEPS, write=True)
    steps.save(1, items, about)
    steps.close()
    flat = {f"{item}/{name}": value for item, part in items.items() for name, value in part.items()}
    np.savez(tmp_path / "shapes.npz", **{name: np.zeros_like(value) for name, value in flat.items()})
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / STEPS), str(tmp_path / "shapes.npz")]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | flags, check=False)
    assert "restored" in done.stdout, done.stderr
    after = TrainCheckpoints(tmp_path / STEPS)
    assert after.steps() == [1, 2, 3, 4]
    for step in (2, 3, 4):
        found = after.restore(step, items)
        for name, value in flat.items():
            item, _, tensor = name.partition("/")
            assert np.asarray(found[item][tensor]).tobytes() == value.tobytes(), (step, name)
