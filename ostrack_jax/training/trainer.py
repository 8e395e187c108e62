"""From a config to trained weights: start or resume, then train, save, validate and draw in each epoch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console

from ostrack_jax.checkpoint.files import save_config
from ostrack_jax.config import Config, steps_per_epoch
from ostrack_jax.errors import Stopped, UserError
from ostrack_jax.io import must_be_text
from ostrack_jax.pipeline.loader import Batches, Use
from ostrack_jax.pipeline.sampling import too_many_files
from ostrack_jax.training.checkpoint import RunCheckpoints
from ostrack_jax.training.checks import check_settings, describe, open_checked
from ostrack_jax.training.distributed import check_same_config
from ostrack_jax.training.flops import mfu
from ostrack_jax.training.images import draw_pairs, make_predict, pairs_to_draw
from ostrack_jax.training.lock import locked
from ostrack_jax.training.logging import RunLog
from ostrack_jax.training.progress import Averages, NotFiniteError, OnDevices, Progress, summary
from ostrack_jax.training.replay import keep_step
from ostrack_jax.training.schedule import Kept, keep_ratio, kept_at, kept_in_epoch, learning_rate
from ostrack_jax.training.sharding import make_mesh, place, replicated
from ostrack_jax.training.step import make_step, make_validation
from ostrack_jax.training.stop import Stop

_POLL = 0.01  # seconds between checks of devices and signals while waiting for a batch
_RESUME = "the same command resumes the run"


def train(
    config: Config, workdir: Path | str, init: Path | None = None, console: Console | None = None
) -> dict[str, float]:
    """Train in ``workdir``, from its newest checkpoint where it has one; the numbers of the run's last validation.

    Args:
      config: the experiment.
      workdir: the directory of the run.
      init: weights to start from; None: fresh ones.
      console: where the run prints to.

    Raises:
      UserError: data sets missing, weights that do not fit, a batch the devices cannot share, a number not finite, a
        directory that cannot be written to or that another run trains in. What was trained is saved.
      Stopped: SIGTERM or Ctrl-C; all is saved.
    """
    workdir, settings, per_epoch = Path(workdir), config.train, steps_per_epoch(config)
    must_be_text(workdir)
    progress, mesh = Progress(console, settings, per_epoch), make_mesh(config)
    check_same_config(config)
    for notice in check_settings(config):
        progress.print(f"notice: {notice}")
    sources = open_checked(config)
    try:
        with Stop() as stop, locked(workdir), RunCheckpoints(config, workdir) as checkpoints:
            run = Trainer(config, init, mesh, checkpoints, stop, progress)
            progress.print(describe(config, workdir, run.origin, run.step, mesh.size, sources))
            first = jax.process_index() == 0
            with (
                run.opened_log() if first else contextlib.nullcontext() as run.log,
                run.batches("train", start_step=run.step, sources=sources["train"]) as data,
                _saved(run),
            ):
                # A run that stands at the end of an epoch first does what was left to do there.
                for epoch in range(max(1, -(-run.step // per_epoch)), settings.epochs + 1):
                    unfinished, last = run.step < epoch * per_epoch, epoch == settings.epochs
                    validates = settings.validate_every and (epoch % settings.validate_every == 0 or last)
                    if unfinished:
                        run.train_epoch(epoch, data)
                    if epoch % settings.save_every == 0 or last or validates:
                        checkpoints.save(run.state, run.step)
                    if validates:
                        run.validate(epoch)
                        checkpoints.save_if_best(run.state, run.step)
                    if unfinished and settings.picture_every and (epoch % settings.picture_every == 0 or last):
                        run.draw(epoch)
    except (UserError, OSError, jax.errors.JaxRuntimeError) as e:
        words = _in_words(e, config)
        if words is None:
            raise
        raise UserError("; ".join([words, *getattr(e, "__notes__", ())])) from e
    return {name: value for name, value in (checkpoints.validation or {}).items() if name not in ("epoch", "step")}


class Trainer:
    """A training run.

    While the devices work at a step the next batch is put on them, and numbers are read a step late: nothing waits for
    a step but what is saved.

    Attributes:
      state, step: the newest; what is saved where the run ends early.
      origin: where the run begins, for its first line.
      log: None in processes that leave it to the first.
    """

    log: RunLog | None = None

    def __init__(
        self, config: Config, init: Path | None, mesh: Mesh, checkpoints: RunCheckpoints, stop: Stop, progress: Progress
    ):
        """Take the newest checkpoint's state, else one with the weights at ``init``, else fresh ones."""
        self.config, self.mesh, self.workdir = config, mesh, checkpoints.workdir
        self.checkpoints, self.stop, self.progress = checkpoints, stop, progress
        self.per_epoch = steps_per_epoch(config)
        self._compiled: dict[tuple[str, tuple[int, ...], bool], Callable[..., Any]] = {}
        self._jitted = {"training": make_step(config, mesh), "validation": make_validation(config)}
        self._jitted["images"] = make_predict(config, mesh)
        resumed = bool(checkpoints.newest.steps())
        self.state, notices = checkpoints.resume(mesh) if resumed else checkpoints.start(init, mesh)
        if resumed and init is not None:
            where = f"{self.workdir} has checkpoints already, another --workdir has none"
            notices.insert(0, f"--init {init} is not used: {where}")
        for notice in notices:
            progress.print(f"notice: {notice}")
        self.step = int(self.state.step)
        self.origin = f"step {self.step} of {self.workdir}" if resumed else str(init or "fresh weights")

    def opened_log(self) -> RunLog:
        """Write the config, and begin or continue the log."""
        save_config(self.workdir, self.config)
        validation = self.checkpoints.validation
        log = RunLog(self.workdir, self.step, self.config, validation is not None and validation["step"] == self.step)
        if self.step < self.config.train.epochs * self.per_epoch:
            log.write_run(self.step)
        return log

    def train_epoch(self, epoch: int, data: Batches) -> None:
        """Train from the newest step, which is within ``epoch`` (1, 2, ..), to the epoch's end."""
        config, train = self.config, self.config.train
        start, end = (epoch - 1) * self.per_epoch, epoch * self.per_epoch
        kept, title = kept_in_epoch(config, epoch), f"epoch {epoch}/{train.epochs}"
        # All learning rates at once: asked for one by one, each would wait for the step under way.
        lr = np.asarray(learning_rate(config)(jnp.arange(start, end)))
        batch = self.next_batch(data)
        run_step = self.compiled("training", kept, batch)
        averages, readings = Averages(train.batch), []

        def log_finished(but: int = 0) -> None:
            for step in averages.finished(but):
                if step % train.log_every == 0 or step == end:
                    numbers, rate = averages.read(), float(lr[step - 1 - start])
                    numbers |= {"lr": rate, "lr_backbone": rate * train.backbone_lr_scale}
                    if config.model.keep_ratio:
                        numbers["keep_ratio"] = keep_ratio(train, config.model.keep_ratio[0], epoch)
                    kind = jax.devices()[0].device_kind
                    share = mfu(config, kept.exact, numbers["pairs_per_second"], kind, self.mesh.size)
                    readings.append(numbers if share is None else numbers | {"mfu": share})
                    if self.log is not None:
                        counts = {"epoch": epoch, "unreadable": data.unreadable}
                        counts |= {f"unreadable/{name}": n for name, n in data.tally.unreadable.items() if n}
                        self.log.write("train", step, readings[-1] | counts)
                    show(step - start, readings[-1])

        with self.progress.bar(title, self.step - start, self.per_epoch, before=start) as show:
            try:
                try:
                    while True:
                        self.state, metrics = run_step(self.state, batch)
                        self.step += 1
                        averages.add(self.step, batch, metrics)
                        log_finished(but=1)
                        self.stop.after_step()
                        if self.step == end:
                            break
                        if self.step % train.log_every == 0 and self.checkpoints.due():
                            log_finished()
                            self.checkpoints.save(self.state, self.step)
                        batch = self.next_batch(data, averages)
                finally:  # whatever ends it: the log has every step that is done
                    log_finished()
            except NotFiniteError as e:
                path = self.workdir / f"replay_{e.step}.safetensors"
                keep_step(path, config, e.step, self.state, e.batch)
                raise UserError(
                    f"step {e.step}: loss or gradient not finite; the run stops here. The step is kept: "
                    f"ostrack train --replay {path}"
                ) from e
        means = {name: sum(reading[name] for reading in readings) / len(readings) for name in readings[0]}
        more = f"  kept {kept.exact[-1]}" if kept.exact else ""
        more += "".join(f"  unreadable in {name}: {n}" for name, n in data.tally.unreadable.items() if n)
        self.progress.print(summary(title, means) + more)

    def validate(self, epoch: int) -> None:
        """Compute the losses of the newest step on the validation pairs, always the same ones, where not done yet."""
        before = self.checkpoints.validation
        if before is not None and before["step"] == self.step:
            return
        config, train, steps = self.config, self.config.train, steps_per_epoch(self.config, "validation")
        with self.batches("validation") as data:
            batch = self.next_batch(data)
            run_step, averages = self.compiled("validation", kept_in_epoch(config, epoch), batch), Averages(train.batch)
            with self.progress.bar("validation", 0, steps) as show:
                try:
                    for done in range(1, steps + 1):
                        averages.add(done, batch, run_step(self.state, batch))
                        list(averages.finished(but=1))
                        show(done, None)
                        self.stop.after_step()
                        if done < steps:
                            batch = self.next_batch(data, averages)
                    list(averages.finished())
                except NotFiniteError as e:
                    pairs = f"{(e.step - 1) * train.batch} to {e.step * train.batch - 1}"
                    raise UserError(
                        f"the validation after step {self.step}: loss not finite for one of its pairs {pairs}"
                    ) from e
        numbers = averages.read()
        if self.log is not None:
            self.log.write("validation", self.step, numbers | {"epoch": epoch})
        self.progress.print(summary("  validation", numbers))
        self.checkpoints.validation = {**numbers, "epoch": epoch, "step": self.step}

    def draw(self, epoch: int) -> None:
        """Draw what the network sees and predicts for a few validation pairs, at the model's own keep ratio."""
        batch = pairs_to_draw(self.config)
        placed = jax.device_put(batch, NamedSharding(self.mesh, PartitionSpec()))
        predict = self.compiled("images", kept_at(self.config, 0.0), placed)
        prediction = jax.device_get(predict(self.state, placed))
        if self.log is not None:
            path = self.log.write_image(f"epoch_{epoch:04}", self.step, draw_pairs(batch, prediction))
            self.progress.print(f"  image        {path}")

    def batches(self, use: Use, **options: Any) -> Batches:
        """This process's part of the batches, see `pipeline.loader.Batches`."""
        return Batches(self.config, use, host=jax.process_index(), hosts=jax.process_count(), **options)

    def next_batch(self, data: Batches, averages: Averages | None = None) -> OnDevices:
        """Put the next batch on the devices; a signal that comes while it is waited for ends the run."""
        while True:
            began, idle = time.perf_counter(), averages is not None and averages.idle()
            batch = place(next(data), self.mesh) if data.ready(_POLL) else None
            if averages is not None and idle:
                averages.waited += time.perf_counter() - began
            if batch is not None:
                return batch
            self.stop.poll()

    def compiled(self, name: str, kept: Kept, batch: OnDevices) -> Callable[..., Any]:
        """Compile training, validation or images once for the sizes of ``kept``; a signal meanwhile ends the run."""
        valid = None if kept.valid is None else replicated(kept.valid, self.mesh)
        key = name, kept.sizes, valid is None
        if key not in self._compiled:
            at_most = "" if valid is None else "at most "
            what = f"{name} for {at_most}{', '.join(map(str, kept.sizes))} kept tokens" if kept.sizes else name
            began = time.perf_counter()
            with self.progress.working(f"compiling {what}"):
                lowered = self._jitted[name].lower(self.state, batch, valid, kept=kept.sizes)
                self._compiled[key] = self.stop.during(lowered.compile)
            self.progress.print(f"compiled {what} in {time.perf_counter() - began:.1f} s")
        executable = self._compiled[key]
        return lambda state, batch: executable(state, batch, valid)

    def save_now(self) -> str:
        """Save the newest state and wait until it is written; where the run has ended, in words."""
        step = int(self.state.step)  # where the loss was not finite, the state is of the step before
        if not step:
            return "before the first step"
        finite = jax.device_put(np.array(True), self.state.finite.sharding)
        self.checkpoints.save(self.state._replace(finite=finite), step)
        self.checkpoints.newest.wait()
        return f"at step {step}, saved; {_RESUME} from there"


@contextlib.contextmanager
def _saved(run: Trainer) -> Iterator[None]:
    """Save the newest state of ``run``, whatever ends the work in here, and note it in the error.

    Of several processes that train together all must save at the same step: they do where all end for the same reason
    (a signal, a number that is not finite).
    """
    try:
        yield
    except Stopped as e:
        raise Stopped(f"{e} {run.save_now()}", e.signal, e.abandoned) from None
    except Exception as e:
        if jax.process_count() == 1 or isinstance(e.__cause__, NotFiniteError):
            try:
                e.add_note(f"ended {run.save_now()}")
            except (UserError, OSError, RuntimeError):  # a full disk, a failed device: the first error is reported
                e.add_note(f"the steps since then could not be saved; {_RESUME} from the newest checkpoint")
        raise


def _in_words(error: Exception, config: Config) -> str | None:
    """A user's error in one line; None for a mistake in the program."""
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
