"""Runs that end early: their newest state is saved, and the error says at which step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np

from ostrack_jax.config import Config
from ostrack_jax.errors import Stopped, UserError
from ostrack_jax.pipeline.failures import too_many_files
from ostrack_jax.training.meter import NotFiniteError
from ostrack_jax.training.run import Run

_RESUME = "the same command resumes the run"


@contextmanager
def saved(run: Run) -> Iterator[None]:
    """Save the newest state of ``run``, whatever ends the work in here, and say so in the error.

    Of several processes that train together all must save at the same step: they do where all end for the same reason
    (a signal, a number that is not finite).
    """
    try:
        yield
    except Stopped as e:
        raise Stopped(f"{e} {_save(run)}", e.signal, e.abandoned) from None
    except Exception as e:
        if jax.process_count() > 1 and not isinstance(e.__cause__, NotFiniteError):
            raise
        try:
            done = f"ended {_save(run)}"
        except (UserError, OSError, RuntimeError):  # a full disk, a failed device: the error reported is the first one
            done = f"the steps since then could not be saved; {_RESUME} from the newest checkpoint"
        told = in_words(e, run.config)
        if told is None:
            e.add_note(done)
            raise
        raise UserError(f"{told}; {done}") from e


def in_words(error: Exception, config: Config) -> str | None:
    """What a person can mend, in one line; None of a mistake in the program."""
    if (too_many := too_many_files(error)) is not None:
        return str(too_many)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error):
        return (
            f"a batch of {config.train.batch} does not fit into the memory of {jax.device_count()} device(s): try "
            "--config.model.remat=True, then --config.train.accumulate=2, 4 .. (docs/scale.md)"
        )
    return str(error) if isinstance(error, UserError) else None


def _save(run: Run) -> str:
    """Where the run has ended, in words; its state is saved there."""
    state = run.state
    step = int(state.step)  # where the loss was not finite, the state is of the step before
    if not step:
        return "before the first step"
    finite = jax.device_put(np.array(True), state.finite.sharding)
    run.saving.save_now(state._replace(finite=finite), step)
    return f"at step {step}, saved; {_RESUME} from there"
