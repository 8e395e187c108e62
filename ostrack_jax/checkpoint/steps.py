"""The checkpoints of a run, written and read by orbax: a directory a step.

A step has the items ``params``, ``buffers`` and, where a run averages its weights, ``ema`` (flat by dotted name,
readable without the rest), ``rest`` (optimizer, step) and ``about`` (JSON: config, position in the input, last
validation). It is written under another name while training continues, then renamed: a step is complete or absent.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from ostrack_jax.errors import UserError
from ostrack_jax.io import must_be_text

STEPS, BEST, ASIDE = "checkpoints", "best", "broken"  # directories of a workdir
WEIGHTS = ("params", "buffers", "ema")
_ABOUT = "about"

_log = logging.getLogger(__name__)
T = TypeVar("T")


class CorruptStepError(UserError):
    """A checkpoint that cannot be read."""


class _Manager(ocp.CheckpointManager):
    """Orbax's, which leaves JAX's count of preemption points to the training loop: a second count would confuse it."""

    def reached_preemption(self, step: int) -> bool:
        del step
        return False


class TrainCheckpoints:
    """The steps in one directory, of which the newest ``keep`` are kept (0: all).

    With ``write`` the directory is made, and cleared of what an interrupted run left incomplete: for one process at a
    time, or all hosts of one run. Several hosts share the directory, and call every method together.
    """

    def __init__(self, directory: Path, keep: int = 3, write: bool = False):
        must_be_text(directory)
        self.directory = directory
        self._manager: ocp.CheckpointManager | None = None
        _quieten()
        # Processes meet by name: without one of its own, a save here waits for another directory's of the same step.
        processes = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=directory.name)
        handlers: dict[str, Any] = {
            name: ocp.StandardCheckpointHandler(multiprocessing_options=processes) for name in (*WEIGHTS, "rest")
        }
        handlers[_ABOUT] = ocp.JsonCheckpointHandler(multiprocessing_options=processes)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep or None, create=False, cleanup_tmp_directories=write, multiprocessing_options=processes
        )
        with self._writing():
            if write:
                directory.mkdir(parents=True, exist_ok=True)
            if directory.is_dir():
                self._manager = _Manager(directory.absolute(), item_handlers=handlers, options=options)

    def steps(self) -> list[int]:
        """All complete steps, rising."""
        return [] if self._manager is None else sorted(self._manager.all_steps())

    def save(self, step: int, items: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Write a new step; returns when the arrays are copied, while they are written.

        Args:
          step: above those that are there.
          items: ``params``, ``buffers``, perhaps ``ema``, and ``rest``.
          about: what JSON can hold.

        Raises:
          UserError: this step or the one before could not be written.
        """
        assert self._manager is not None
        arguments: dict[str, Any] = {name: ocp.args.StandardSave(item) for name, item in items.items()}
        arguments[_ABOUT] = ocp.args.JsonSave(dict(about))
        with self._writing():
            self._manager.save(step, args=ocp.args.Composite(**arguments))

    def wait(self) -> None:
        """Wait until everything is written. Raises the `UserError` of a failed write."""
        if self._manager is not None:
            with self._writing():
                self._manager.wait_until_finished()

    def about(self, step: int) -> dict[str, Any]:
        """The ``about`` that `save` stored with a step. Raises `CorruptStepError`."""
        return self._read(step, {_ABOUT: ocp.args.JsonRestore()})[_ABOUT]

    def restore(self, step: int, items: Mapping[str, Any]) -> dict[str, Any]:
        """Read a step onto the shapes, types and shardings of the abstract ``items``. Raises `CorruptStepError`."""
        return dict(self._read(step, {name: ocp.args.StandardRestore(item) for name, item in items.items()}))

    def weights(self, step: int) -> dict[str, np.ndarray]:
        """A step's weights alone, on the host; averages in place of the parameters where there are some."""
        assert self._manager is not None
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        names = [name for name in WEIGHTS if (self.directory / str(step) / name).is_dir()]
        with self._reading(step):
            shapes = self._manager.item_metadata(step)
            items = {
                name: {k: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=device) for k, v in shapes[name].items()}
                for name in names
            }
        found = self.restore(step, items)
        return {k: np.asarray(v) for name in names for k, v in found[name].items()}

    def newest(self, read: Callable[[int], T]) -> tuple[int, T]:
        """The newest step that ``read`` can read, and its result; corrupt ones are skipped with a warning.

        Raises:
          CorruptStepError: there is none.
        """
        reason: object = "it holds none"
        for step in reversed(self.steps()):
            found = corrupt = None
            try:
                found = read(step)
            except CorruptStepError as e:
                corrupt = e
            if np.all(multihost_utils.process_allgather(np.array(corrupt is None))):  # each host reads its part alone
                return step, found  # pyright: ignore[reportReturnType] (None only where T is)
            reason = corrupt or f"{self.directory}/{step}: another process cannot read it"
            _log.warning("warning: skipped: %s", reason)
        raise CorruptStepError(f"no complete checkpoint in {self.directory}: {reason}")

    def put_aside(self, after: int) -> None:
        """Move the steps after ``after`` out of the way of those to come."""
        self.wait()
        for step in self.steps():
            if step > after and jax.process_index() == 0:
                aside = self.directory.parent / ASIDE / f"{self.directory.name}-{step}"
                aside.parent.mkdir(exist_ok=True)
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(self.directory / str(step), aside)
                _log.warning("warning: moved %s to %s", self.directory / str(step), aside)
        multihost_utils.process_allgather(np.array(True))  # no process reads before they are moved
        if self._manager is not None:
            self._manager.reload()

    def close(self) -> None:
        """Wait until everything is written, and end."""
        self.wait()
        if self._manager is not None:
            self._manager.close()

    def _read(self, step: int, arguments: Mapping[str, Any]) -> Any:
        assert self._manager is not None
        with self._reading(step):
            return self._manager.restore(step, args=ocp.args.Composite(**arguments))

    @contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError, OSError) as e:
            raise CorruptStepError(f"{self.directory}/{step} is corrupt: {_reason(e)}") from e

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, OSError) as e:
            raise UserError(f"cannot write checkpoints to {self.directory}: {_reason(e)}") from e


def _reason(error: Exception) -> str:
    """An error in a line: of orbax's long messages the operating system's part, if any."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else " ".join(str(error).split())[:300]


@functools.cache
def _quieten() -> None:
    """Silence orbax's prints of errors that it also raises: pages of tracebacks that hide the line that matters.

    It logs them; and where it stops at the first tensor that fails, the others come when nobody waits any more, as do
    the event loops for which no file could be opened.
    """
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        of_a_loop = getattr(unraisable.object, "__qualname__", "") == "BaseEventLoop.__del__"
        if not of_a_loop and str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    asynchronous = re.compile("orbax|exception was never retrieved")  # orbax alone has such work here
    logging.getLogger("asyncio").addFilter(lambda record: not asynchronous.search(record.getMessage()))
