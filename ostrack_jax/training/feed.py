"""Batches on the devices, one ahead of need. Enters: the loader's batches, a mesh. Leaves: the same, placed."""

from __future__ import annotations

import jax
from jax.sharding import Mesh

from ostrack_jax.pipeline.loader import Batches
from ostrack_jax.training.sharding import place


class Feed:
    """While the devices work at one batch, `prepare` puts the next one on them.

    Attributes:
      data: the loader.
    """

    def __init__(self, data: Batches, mesh: Mesh):
        self.data, self._mesh = data, mesh
        self._ready: dict[str, jax.Array] | None = None

    def ready(self, timeout: float) -> bool:
        """Whether the next batch is there to be put on the devices; waits up to ``timeout`` seconds for it."""
        return self._ready is not None or self.data.ready(timeout)

    def prepare(self) -> None:
        """Put the next batch on the devices, where it is not there yet."""
        if self._ready is None:
            self._ready = place(next(self.data), self._mesh)

    def take(self) -> dict[str, jax.Array]:
        """The next batch."""
        self.prepare()
        batch, self._ready = self._ready, None
        assert batch is not None
        return batch
