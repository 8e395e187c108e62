"""The mesh of devices, and the sharding of arrays over it.

The mesh has the axes ``data`` and ``model``. A batch is split over all devices, along both; parameters and the
optimizer's moments are split along ``model`` alone (fully sharded data parallel within it), so they are replicated
where that axis is 1, as by default.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ostrack_jax.config import Config
from ostrack_jax.errors import UserError

DATA, MODEL = "data", "model"
_SMALL = 2**12  # numbers; smaller tensors cost more to gather than to keep


def make_mesh(config: Config, devices: list[Any] | None = None) -> Mesh:
    """``devices`` (None: all, of all hosts), ``train.shard`` of them along ``model``.

    The axis ``model`` stays within a host where it can.

    Raises:
      UserError: the devices do not divide so, or the batch does not divide over them.
    """
    devices, train = by_process(jax.devices() if devices is None else devices), config.train
    if len(devices) % train.shard:
        raise UserError(f"config.train.shard: {train.shard} does not divide the {len(devices)} devices")
    part = train.batch // train.accumulate
    if part % len(devices):
        parts = f" in {train.accumulate} parts" if train.accumulate > 1 else ""
        raise UserError(f"config.train.batch: {train.batch} pairs{parts} do not divide over {len(devices)} devices")
    return Mesh(np.array(devices).reshape(-1, train.shard), (DATA, MODEL), axis_types=(AxisType.Auto,) * 2)


def by_process(devices: list[Any]) -> list[Any]:
    """``devices`` in the order of the processes they belong to.

    So a host's devices take the run of records that its loader makes, as they would take them of a single host's.

    Raises:
      UserError: processes have different numbers of devices.
    """
    each = Counter(device.process_index for device in devices)
    if len(set(each.values())) > 1:
        raise UserError(f"processes that train together need as many devices each, found {sorted(each.values())}")
    return sorted(devices, key=lambda device: (device.process_index, device.id))


def over_batch(mesh: Mesh, before: int = 0) -> NamedSharding:
    """An array whose axis ``before`` counts samples, each device having its part."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * before, (DATA, MODEL)))


def sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """The sharding of a tensor of the state: split along its longest axis that the devices divide, if it is large."""
    parts = mesh.shape[MODEL]
    divisible = [axis for axis, extent in enumerate(shape) if extent % parts == 0]
    if parts == 1 or math.prod(shape) < _SMALL or not divisible:
        return NamedSharding(mesh, PartitionSpec())
    longest = max(divisible, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*(None,) * longest, MODEL))


def shardings(mesh: Mesh, tree: Any) -> Any:
    """`sharding` of every array (or shape) of a tree."""
    return jax.tree.map(lambda leaf: sharding(mesh, leaf.shape), tree)


def replicated(values: Any, mesh: Mesh) -> Array:
    """A few integers, on every device."""
    return jax.device_put(np.asarray(values, np.int32), NamedSharding(mesh, PartitionSpec()))


def place(batch: Mapping[str, Any], mesh: Mesh) -> dict[str, Array]:
    """A host's part of a batch on the devices, split along the mesh."""
    where = over_batch(mesh)
    return {name: jax.make_array_from_process_local_data(where, part) for name, part in batch.items()}
