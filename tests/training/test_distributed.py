"""Who trains together: what launchers say, what flags say, and what is said where some do not come."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.training import distributed
from ostrack_jax.training.sharding import by_process

ROOT = Path(__file__).parents[2]
SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_NTASKS": "16",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_STEP_TASKS_PER_NODE": "8(x2)",
    "SLURM_GPUS_ON_NODE": "8",
}
INTERACTIVE = SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}  # 16 tasks to give, one shell
OMPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("environment", "known"),
    [
        ({}, None),
        (INTERACTIVE, None),
        (SLURM, {"process_id": 9, "num_processes": 16}),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "1"}, {"process_id": 9, "num_processes": 16, "local_device_ids": [0]}),
        (
            SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1(x16)", "SLURM_GPUS_ON_NODE": "4"},
            {"process_id": 9, "num_processes": 16, "local_device_ids": [0, 1, 2, 3]},
        ),
        (OMPI, {"process_id": 3, "num_processes": 4, "local_device_ids": [1]}),
        (OMPI | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),  # a pod by itself
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "2"}, {"process_id": 2}),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1", "TPU_WORKER_ID": "1"}, {}),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
    ],
)
def test_what_the_variables_of_launchers_say(environment, known):
    assert distributed.launcher({"TPU_SKIP_MDS_QUERY": "1"} | environment) == known


def joined(monkeypatch, environment, *flags):
    """What `jax.distributed.initialize` is called with; None where it is not."""
    calls = []
    monkeypatch.setattr(distributed.os, "environ", {"TPU_SKIP_MDS_QUERY": "1"} | environment)
    monkeypatch.setattr(distributed.jax.distributed, "initialize", lambda **known: calls.append(known))
    distributed.join(*flags)
    return {k: v for k, v in calls[0].items() if "timeout" not in k} if calls else None


def test_flags_come_before_variables(monkeypatch):
    assert joined(monkeypatch, {}) is None
    assert joined(monkeypatch, SLURM, None, None, 1) is None
    assert joined(monkeypatch, OMPI, "node1:9000")["coordinator_address"] == "node1:9000"
    assert joined(monkeypatch, SLURM, "node1:9000", 0, 2) == {
        **{"coordinator_address": "node1:9000", "process_id": 0, "num_processes": 2},
        "cluster_detection_method": "deactivate",
    }


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("node1:9000", None, 2), "go together"),
        ((None, 1, None), "go together"),
        (("node1", 0, 2), "--coordinator: expected HOST:PORT, found 'node1'"),
        (("node1:9000", 2, 2), "--process: expected 0 to 1"),
    ],
)
def test_flags_that_do_not_fit_are_refused(monkeypatch, flags, words):
    with pytest.raises(UserError, match=words):
        joined(monkeypatch, {}, *flags)


def test_open_mpi_5_names_no_coordinator(monkeypatch):
    def missing(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(distributed.os, "environ", {"TPU_SKIP_MDS_QUERY": "1"} | OMPI)
    monkeypatch.setattr(distributed.jax.distributed, "initialize", missing)
    with pytest.raises(UserError, match=r"could not train together .* give --coordinator, --process and --processes"):
        distributed.join()


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


@pytest.mark.slow
def test_who_waits_in_vain_ends_with_one_line():
    address = f"localhost:{free_port()}"
    code = f"from ostrack_jax.training import distributed; distributed.join({address!r}, 0, 2, timeout=1)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: not all processes came to {address} within 1 s"


def test_devices_lie_in_the_order_of_their_processes():
    """As on a TPU pod, where the numbers of a host's devices are no run."""
    devices = [SimpleNamespace(id=i, process_index=(i // 2) % 2) for i in range(8)]
    assert [d.id for d in by_process(devices)] == [0, 1, 4, 5, 2, 3, 6, 7]
    with pytest.raises(UserError, match=r"as many devices each, found \[3, 4\]"):
        by_process(devices[:7])
