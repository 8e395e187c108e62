"""Several processes that train together. Enters: flags, a cluster's variables. Leaves: JAX joined to the others.

Every process calls `join` before anything asks JAX for a device. Without flags, the variables that a launcher sets say
who is there; without those a process is alone, and nothing is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

import jax
import numpy as np
from jax.experimental import multihost_utils

from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError

TIMEOUT = 300  # seconds
_LEAVE = 60  # seconds that who ends waits for the others; then all end


class Share(TypedDict):
    """Arguments of `pipeline.loader.batches`."""

    host: int
    hosts: int


def join(
    coordinator: str | None = None, process: int | None = None, processes: int | None = None, timeout: int = TIMEOUT
) -> None:
    """Join the processes that train together, if there are any.

    Args:
      coordinator: ``HOST:PORT`` on which process 0 listens, for all others to reach.
      process: which this is, from 0.
      processes: how many there are; 1: this one is alone, whatever variables are set.
        What is left out comes from the variables of SLURM, Open MPI, Kubernetes or a TPU pod.
      timeout: seconds until all must be there.

    Raises:
      UserError: what is given does not fit together, or some did not come in time.
    """
    if processes == 1:
        return
    known = _arguments(coordinator, process, processes)
    if known is None:
        return
    address = known.get("coordinator_address")
    if address and known.get("process_id"):
        _wait_for(address, timeout)
    where = address or "the coordinator that the launcher's variables name"
    watch = threading.Timer(timeout, _give_up, [f"not all processes came to {where} within {timeout} s"])
    watch.start()
    try:
        jax.distributed.initialize(**known, initialization_timeout=timeout + 60, shutdown_timeout_seconds=_LEAVE)
    except ValueError as e:  # jax: something is neither given nor found
        raise UserError(
            f"cannot tell who trains together ({e}): give --coordinator, --process and --processes, or --processes 1"
        ) from e
    except (RuntimeError, OSError) as e:
        reason = " ".join(str(e).split())[:300]
        how = "" if address else "; --coordinator, --process and --processes say what the launcher does not"
        raise UserError(f"could not train together by way of {where}: {reason}{how}") from e
    finally:
        watch.cancel()


def _give_up(text: str) -> None:
    """End here and now with one line: JAX's wait can only be left by ending, which it does itself with a page."""
    print(f"error: {text}", file=sys.stderr, flush=True)
    os._exit(2)


def first() -> bool:
    """Whether this process writes what is written once: logs, pictures, the terminal."""
    return jax.process_index() == 0


def check_shared(folder: Path) -> None:
    """Raise one `UserError` in all processes where they do not see the same ``folder`` (made if missing)."""
    if jax.process_count() == 1:
        return
    token = int(multihost_utils.broadcast_one_to_all(np.int32(secrets.randbelow(2**31))))
    sign, reason = folder / f".hosts_{token}", ""
    if first():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sign.touch()
        except OSError as e:
            reason = f": {e.strerror or e}"
    if not multihost_utils.broadcast_one_to_all(np.array(not reason)):  # the sign is there, or never will be
        raise UserError(f"--workdir {folder}: process 0 cannot write there{reason}")
    seen = multihost_utils.process_allgather(np.array(_appears(sign)))
    if first():
        sign.unlink()
    if not np.all(seen):
        blind = ", ".join(map(str, np.flatnonzero(~np.asarray(seen))))
        raise UserError(f"--workdir {folder}: not seen by process {blind}; it must lie on a disk that all hosts share")


def check_same(config: Config) -> None:
    """Raise one `UserError` in all processes where one has another config: they would wait for each other for ever.

    What only this machine knows may differ: where data lie, and how many loader processes read them.
    """
    if jax.process_count() == 1:
        return
    values = to_dict(config)
    del values["train"]["workers"]
    for data in values["data"].values():
        del data["dir"]
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest()
    each = np.asarray(multihost_utils.process_allgather(np.frombuffer(digest, np.uint8)))
    others = np.flatnonzero((each != each[0]).any(axis=1))
    if len(others):
        raise UserError(f"process {', '.join(map(str, others))} has another config than process 0: give all the same")


def _appears(path: Path, patience: float = 10.0) -> bool:
    """Whether a file that another host has made is seen here; network disks take their time."""
    end = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def told() -> str:
    """How many processes train together, in words; empty where it is one."""
    return f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""


def share() -> Share:
    """Which part of each batch this process's loader makes."""
    return Share(host=jax.process_index(), hosts=jax.process_count())


def _arguments(coordinator: str | None, process: int | None, processes: int | None) -> dict[str, Any] | None:
    """Arguments of `jax.distributed.initialize`, which finds what they leave out; None: there is nobody to join."""
    flags = {"coordinator_address": coordinator, "process_id": process, "num_processes": processes}
    given = {name: value for name, value in flags.items() if value is not None}
    if coordinator is not None:
        _check_address(coordinator)
    if process is not None and processes is not None and not 0 <= process < processes:
        raise UserError(f"--process: expected 0 to {processes - 1} (of --processes {processes}), found {process}")
    if len(given) == len(flags):
        return given | {"cluster_detection_method": "deactivate"}
    launched = found(os.environ)
    if launched is None and given:
        raise UserError("--coordinator, --process and --processes go together: no launcher's variables give the others")
    return None if launched is None else launched | given


def found(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """What a launcher's variables say beyond what `jax.distributed.initialize` finds itself; None: no launcher.

    One that started a single process is none: an interactive SLURM session may have many tasks to give but runs one.

    Raises:
      UserError: there is a launcher, and something is missing to join.
    """
    tasks, ranks = (int(environment.get(name, "1")) for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"))
    if ranks > 1:
        out = {"process_id": int(environment["OMPI_COMM_WORLD_RANK"]), "num_processes": ranks}
        # Open MPI 5 no longer tells where its launcher runs: there `--coordinator` is needed.
        return out | {"local_device_ids": [int(environment["OMPI_COMM_WORLD_LOCAL_RANK"])]}
    if tasks > 1:
        gpus = _slurm_gpus(environment)
        out = {"process_id": int(environment["SLURM_PROCID"]), "num_processes": tasks}
        return out | ({} if gpus is None else {"local_device_ids": gpus})
    if {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys():
        if find_spec("kubernetes") is None:
            raise UserError(
                "a Kubernetes job with indexes: give --coordinator, --process and --processes, or pip install "
                "'jax[k8s]' so that they are found; --processes 1 where each pod trains by itself"
            )
        return {"process_id": int(environment["JOB_COMPLETION_INDEX"])}
    names = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES") or ""
    return {} if "," in names or (not names and _has_tpu(environment)) else None


def _has_tpu(environment: Mapping[str, str]) -> bool:
    """Whether TPUs are attached (JAX, once imported, has set this variable where none is)."""
    return find_spec("libtpu") is not None and "TPU_SKIP_MDS_QUERY" not in environment


def _slurm_gpus(environment: Mapping[str, str]) -> list[int] | None:
    """The GPUs that a task of SLURM uses, as it sees them; None: the one of its number on the node, as JAX has it."""
    seen = environment.get("CUDA_VISIBLE_DEVICES", "")
    if seen and "," not in seen:
        return [0]  # SLURM shows each task its own alone
    alone = re.fullmatch(r"1(\(x\d+\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    count = environment.get("SLURM_GPUS_ON_NODE", "")
    return list(range(int(count))) if alone and count.isdigit() else None


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UserError(f"--coordinator: expected HOST:PORT, found {address!r}")


def _wait_for(address: str, timeout: int) -> None:
    """Until something listens at ``address``. (JAX itself would end without a word that names it.)"""
    host, _, port = address.rpartition(":")
    end, reason = time.monotonic() + timeout, ""
    while time.monotonic() < end:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                return
        except OSError as e:
            reason = e.strerror or str(e)
            time.sleep(0.2)
    raise UserError(f"no answer from the coordinator (process 0) at {address} within {timeout} s: {reason}")
