"""A run's checkpoints, by orbax. Enters: arrays by name, and what is to be known of them. Leaves: a folder a step.

A step holds the items ``params``, ``buffers`` and, where a run averages its weights, ``ema`` (flat by dotted name,
readable without the rest), ``rest`` (optimizer, step) and ``about`` (JSON: the config, the position in the input, what
validation said; and `marks`, by which what is read is seen to be what was written). It is written beside the training
under another name, then renamed: a step is whole or not there.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from ostrack_jax.checkpoint.marks import differing, marks
from ostrack_jax.errors import UserError
from ostrack_jax.io import must_be_text

STEPS, BEST, ASIDE = "checkpoints", "best", "broken"  # folders of a workdir
WEIGHTS = ("params", "buffers", "ema")
_ABOUT, _MARKS, _SEAL = "about", "marks", "sha256"

_log = logging.getLogger(__name__)
T = TypeVar("T")


class BrokenStepError(UserError):
    """A checkpoint that cannot be read whole."""


def is_step(path: Path) -> bool:
    """Whether a folder is one step's."""
    return path.name.isdigit() and (path / _ABOUT).is_dir()


class _Manager(ocp.CheckpointManager):
    """Orbax's, which leaves JAX's count of wishes to stop to the loop: two that count by it tell it different steps."""

    def reached_preemption(self, step: int) -> bool:
        del step
        return False


class TrainCheckpoints:
    """The steps in one folder, the newest ``keep`` of them kept (0: all).

    With ``write`` the folder is made, and cleared of what an interrupted run left half written: for one process at a
    time, or all hosts of one run.
    """

    def __init__(self, directory: Path, keep: int = 3, write: bool = False):
        must_be_text(directory)
        self.directory = directory
        _quieten()
        if write:
            with self._writing():
                directory.mkdir(parents=True, exist_ok=True)
        # Processes meet by name: without one of its own, a save here would wait for another folder's of the same step.
        processes = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=directory.name)
        handlers: dict[str, Any] = {
            name: ocp.StandardCheckpointHandler(multiprocessing_options=processes) for name in (*WEIGHTS, "rest")
        }
        handlers[_ABOUT] = ocp.JsonCheckpointHandler(multiprocessing_options=processes)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep or None,
            create=False,
            cleanup_tmp_directories=write,
            multiprocessing_options=processes,
        )
        self._manager: ocp.CheckpointManager | None = None
        if directory.is_dir():
            with self._writing():
                self._manager = _Manager(directory.absolute(), item_handlers=handlers, options=options)

    def steps(self) -> list[int]:
        """All finished steps, rising."""
        return [] if self._manager is None else sorted(self._manager.all_steps())

    def save(self, step: int, items: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Write a step; returns when the arrays are copied, the writing goes on beside the training.

        Args:
          step: not yet there.
          items: ``params``, ``buffers``, perhaps ``ema``, and ``rest``.
          about: what JSON can hold.

        Raises:
          UserError: this step or the one before could not be written.
        """
        assert self._manager is not None
        arguments: dict[str, Any] = {name: ocp.args.StandardSave(item) for name, item in items.items()}
        told = {**about, _MARKS: marks(dict(items))}
        arguments[_ABOUT] = ocp.args.JsonSave({**told, _SEAL: _seal(told)})
        with self._writing():
            self._manager.save(step, args=ocp.args.Composite(**arguments))

    def wait(self) -> None:
        """Until everything is written. Raises the `UserError` of what could not be."""
        if self._manager is not None:
            with self._writing():
                self._manager.wait_until_finished()

    def check(self) -> None:
        """Raise the `UserError` of a step that could not be written, without waiting for one that still is."""
        # (The manager's own `check_for_errors` is silent once its thread has met the error.)
        if self._manager is not None and not self._manager.is_saving_in_progress():
            self.wait()

    def about(self, step: int) -> dict[str, Any]:
        """What `save` was told of a step. Raises `BrokenStepError` where it cannot be read, or says something else."""
        told = dict(self._read(step, {_ABOUT: ocp.args.JsonRestore()})[_ABOUT])
        if told.pop(_SEAL, None) != _seal(told):
            raise BrokenStepError(f"{self.directory}/{step}: not what was written: {_ABOUT}")
        return told

    def restore(self, step: int, items: Mapping[str, Any]) -> dict[str, Any]:
        """Read a step onto the shapes, types and shardings of the abstract ``items``.

        Raises:
          BrokenStepError: it cannot be read, does not fit, or is not what was written.
        """
        found = dict(self._read(step, {name: ocp.args.StandardRestore(item) for name, item in items.items()}))
        changed = differing(found, self.about(step)[_MARKS])
        if changed:
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise BrokenStepError(f"{self.directory}/{step}: not what was written: {', '.join(changed[:5])}{more}")
        return found

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

    def newest_whole(self, read: Callable[[int], T]) -> tuple[int, T]:
        """The newest step that ``read`` can read, and what it gave; broken ones are passed over with a warning.

        Of several hosts all take the same, which all can read.

        Raises:
          BrokenStepError: there is none.
        """
        broken: list[BrokenStepError] = []
        for step in reversed(_of_the_first(self.steps())):
            found: T | None = None
            reason = None
            try:
                found = read(step)
            except BrokenStepError as e:
                reason = e
            if _by_all(reason is None):
                return step, cast(T, found)
            broken.append(reason or BrokenStepError(f"{self.directory}/{step}: another process cannot read it"))
            _log.warning("warning: passed over: %s", broken[-1])
        raise BrokenStepError(f"no whole checkpoint in {self.directory}: {broken[0] if broken else 'it holds none'}")

    def put_aside(self, after: int) -> None:
        """Move the steps after ``after``, which were passed over, out of the way of those to come."""
        if self._manager is None:
            return
        self.wait()
        for step in self.steps():
            if step > after and jax.process_index() == 0:
                aside = self.directory.parent / ASIDE / f"{self.directory.name}-{step}"
                aside.parent.mkdir(exist_ok=True)
                while aside.exists():
                    aside = aside.with_name(aside.name + "-again")
                os.replace(self.directory / str(step), aside)
                _log.warning("warning: moved %s to %s", self.directory / str(step), aside)
        _by_all(True)  # none looks before they are moved
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
            raise BrokenStepError(f"{self.directory}/{step} is broken: {_reason(e)}") from e

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, OSError) as e:
            there = sorted(int(path.name) for path in self.directory.glob("[0-9]*") if is_step(path))
            last = f"the newest whole one there is step {there[-1]}" if there else "there is none yet"
            raise UserError(f"cannot write checkpoints to {self.directory}: {_reason(e)}; {last}") from e


def _seal(told: Mapping[str, Any]) -> str:
    """The SHA-256 of what a step's ``about`` says."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _by_all(done: bool) -> bool:
    """Whether all hosts say ``done``; none goes on before."""
    return done if jax.process_count() == 1 else bool(np.all(multihost_utils.process_allgather(np.array(done))))


def _of_the_first(steps: list[int]) -> list[int]:
    """The first host's ``steps``: another may see what lies on a shared disk later."""
    if jax.process_count() == 1:
        return steps
    count = int(multihost_utils.broadcast_one_to_all(np.int32(len(steps))))
    mine = np.resize(np.array(steps or [0], np.int32), max(count, 1))  # as long as the first's, whatever is in it
    return multihost_utils.broadcast_one_to_all(mine).tolist()[:count]


def _reason(error: Exception) -> str:
    """What went wrong, in a line: of orbax's long messages the system's own words, where there are some."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if code:
        return os.strerror(int(code[1]))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


@functools.cache
def _quieten() -> None:
    """Leave out what orbax tells of an error it also raises: pages of tracebacks that hide the line that matters.

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
