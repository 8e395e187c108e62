"""A mark by which a tensor is known again. Enters: arrays of numpy or jax. Leaves: 32 bits each.

The sum of the tensor's words, each times an odd number that follows from its place, modulo a power of two: the order
of adding changes nothing, so that any number of devices that share a tensor come to the same mark, and no change of a
single word goes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def mark(x: Any) -> Any:
    """The mark of one array, computed where the array lies."""
    xp: Any = np if isinstance(x, np.ndarray) else jnp
    words = x.astype(np.uint8) if x.dtype == np.bool_ else x.view(f"uint{8 * x.dtype.itemsize}")
    wide = np.uint64 if x.dtype.itemsize == 8 else np.uint32
    place, stride = xp.zeros((), wide), 1
    for axis in reversed(range(x.ndim)):
        shape = [-1 if other == axis else 1 for other in range(x.ndim)]
        place = place + (xp.arange(x.shape[axis], dtype=wide) * wide(stride % 2**32)).reshape(shape)
        stride *= x.shape[axis]
    total = (words.astype(wide) * (2 * place + 1)).sum(dtype=wide)
    return (total ^ (total >> 32)).astype(np.uint32) if wide == np.uint64 else total


_mark_on_devices = jax.jit(mark)


def marks(tree: Any) -> dict[str, int]:
    """The mark of every leaf by its path, as ``params/backbone.norm.scale``."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    found = jax.device_get([_mark_of(leaf) for _, leaf in leaves])
    return {name: int(value) for name, value in zip(names, found, strict=True)}


def _mark_of(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array):
        return mark(np.asarray(leaf))
    found = _mark_on_devices(leaf)
    # Programs that add up over devices must not overtake each other on the CPU's simulated ones.
    return found if leaf.is_fully_replicated else jax.block_until_ready(found)


def differing(tree: Any, expected: Mapping[str, int]) -> list[str]:
    """Names of the leaves whose marks are not the expected ones."""
    return [name for name, value in marks(tree).items() if expected.get(name) != value]
