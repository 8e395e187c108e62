"""Training by several processes: how they join, and the settings they must share.

Every process calls `join` before anything asks JAX for a device. Without flags, the variables that a launcher sets
describe who is there; without those a process is alone, and nothing is done.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError

TIMEOUT = 300  # seconds
_LEAVE = 60  # seconds that the first to end waits for the others; then all end


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
      UserError: the flags do not fit together, or something to join by is neither given nor found.
    """
    given = {"coordinator_address": coordinator, "process_id": process, "num_processes": processes}
    given = {name: value for name, value in given.items() if value is not None}
    if coordinator is not None and not re.fullmatch(r".+:\d{1,5}", coordinator):
        raise UserError(f"--coordinator: expected HOST:PORT, found {coordinator!r}")
    if process is not None and processes is not None and not 0 <= process < processes:
        raise UserError(f"--process: expected 0 to {processes - 1} (of --processes {processes}), found {process}")
    if processes == 1:
        return
    launched = {"cluster_detection_method": "deactivate"} if len(given) == 3 else launcher(os.environ)
    if launched is None and given:
        raise UserError("--coordinator, --process and --processes go together: no launcher's variables give the others")
    if launched is None:
        return
    where = coordinator or "the coordinator that the launcher's variables name"
    # JAX's own wait can only be left by ending the process, which it does with a page of text.
    watch = threading.Timer(timeout, _end, [f"not all processes came to {where} within {timeout} s"])
    watch.start()
    try:
        known = launched | given
        jax.distributed.initialize(**known, initialization_timeout=timeout + 60, shutdown_timeout_seconds=_LEAVE)
    except (ValueError, RuntimeError, OSError) as e:  # the first: something is neither given nor found
        reason = " ".join(str(e).split())[:300]
        raise UserError(
            f"could not train together through {where}: {reason}; give --coordinator, --process and --processes, or "
            "--processes 1 to train alone"
        ) from e
    finally:
        watch.cancel()


def launcher(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """The arguments from a launcher's variables that `jax.distributed.initialize` does not find; None: no launcher.

    One that started a single process is none: an interactive SLURM session may have many tasks to give but runs one.
    """
    for rank, size in (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if int(environment.get(size, "1")) > 1:
            out: dict[str, Any] = {"process_id": int(environment[rank]), "num_processes": int(environment[size])}
            # A process takes the GPU of its number on the node; all where it is alone there.
            number = environment.get("OMPI_COMM_WORLD_LOCAL_RANK")
            alone = re.fullmatch(r"1(\(x\d+\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
            gpus = environment.get("SLURM_GPUS_ON_NODE", "")
            if number is not None:
                out["local_device_ids"] = [int(number)]
            elif "," not in (environment.get("CUDA_VISIBLE_DEVICES") or ","):  # SLURM shows each task its own alone
                out["local_device_ids"] = [0]
            elif alone and gpus.isdigit():
                out["local_device_ids"] = list(range(int(gpus)))
            return out
    if {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys():
        return {"process_id": int(environment["JOB_COMPLETION_INDEX"])}
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES")
    # JAX, once imported, has set the second variable where no TPU is attached.
    attached = find_spec("libtpu") is not None and "TPU_SKIP_MDS_QUERY" not in environment
    return {} if (hosts and "," in hosts) or (not hosts and attached) else None


def check_same_config(config: Config) -> None:
    """Raise one `UserError` in all processes where one has another config: they would wait for each other for ever.

    What only one machine knows may differ: where data lie, and how many loader processes read them.
    """
    values = to_dict(config)
    del values["train"]["workers"]
    for data in values["data"].values():
        del data["dir"]
    digest = zlib.crc32(json.dumps(values, sort_keys=True).encode()) >> 1
    if others := processes_without(digest == broadcast(digest)):
        raise UserError(f"process {others} has another config than process 0: give all the same")


def broadcast(value: int) -> int:
    """The first process's ``value`` in all of them, which must all ask; of 31 bits."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def processes_without(sign: bool) -> str:
    """The numbers of the processes whose ``sign`` is false, in words; all must ask."""
    return ", ".join(map(str, np.flatnonzero(~multihost_utils.process_allgather(np.array(sign)))))


def _end(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
    os._exit(2)
