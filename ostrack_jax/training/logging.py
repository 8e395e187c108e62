"""The logs of a run: JSON lines, TensorBoard's file, images, Weights & Biases.

``log.jsonl`` has an object a line with kind, step (the first is 1) and:

- ``run``, each time training starts: began (UTC), command, versions, hardware, commit.
- ``train``, every `log_every` steps: means since the last of loss (weighted sum), giou, l1, focal, iou and grad_norm
  (before clipping); lr and lr_backbone, keep_ratio; pairs_per_second, wait (the share of time that the devices had
  nothing to do because data were waited for), mfu (where the device's peak is known); epoch; unreadable (pairs drawn
  again so far, and of each data set that has such, unreadable/NAME).
- ``validation``: losses, iou and rates over the validation pairs; epoch.

The numbers are also TensorBoard's and W&B's, by the tag ``kind/name``.
"""

from __future__ import annotations

import datetime
import json
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2

from ostrack_jax import environment
from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.io import write_atomically, write_text
from ostrack_jax.visualization.draw import Image

LOG_FILE, IMAGES, TENSORBOARD, WANDB_ID = "log.jsonl", "pictures", "tensorboard", "wandb_id.txt"

Event = dict[str, Any]


def read_events(workdir: Path, kind: str | None = None) -> list[Event]:
    """All events of one kind (of all), in order; a last line cut short by a kill is left out.

    Raises:
      UserError: there is no log, or a line of it is not an event.
    """
    path = workdir / LOG_FILE
    if not path.is_file():
        raise UserError(f"no {LOG_FILE} in {workdir}: expected the workdir of a training run")
    events = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):  # the last has no newline behind it
        try:
            event = json.loads(line)
            if kind in (None, event["kind"]) and event["step"] >= 0:
                events.append(event)
        except (ValueError, TypeError, KeyError, RecursionError) as e:
            raise UserError(f"{path}:{number}: expected a JSON object with kind and step") from e
    return events


class RunLog:
    """The log of one run, written by one process.

    A resumed run drops what was written after the step it resumes from (and, where not ``validated`` there, that step's
    validation), so that every step is there once. Weights & Biases (``config.train.wandb``) forgets nothing: steps
    repeated after a kill are there twice, by the same ``step``.

    Raises:
      UserError: Weights & Biases is asked for and not there.
    """

    def __init__(self, workdir: Path, resumed_at: int, config: Config | None = None, validated: bool = True):
        from tensorboardX.proto.event_pb2 import SessionLog  # pyright: ignore[reportAttributeAccessIssue] (generated)
        from tensorboardX.record_writer import RecordWriter  # the reports, which read logs, do without

        self._workdir = workdir
        self._wandb = _open_wandb(config, workdir) if config is not None and config.train.wandb else None
        path = workdir / LOG_FILE
        if path.exists():
            events = [event for event in read_events(workdir) if event["step"] <= resumed_at]
            repeated = None if validated else ("validation", resumed_at)
            stay = [event for event in events if (event["kind"], event["step"]) != repeated]
            write_text(path, "".join(json.dumps(event) + "\n" for event in stay))
        self._file = path.open("a")
        # Not `SummaryWriter`: its thread dies unheard where the disk is full, and training then waits for it.
        (workdir / TENSORBOARD).mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self._tensorboard = RecordWriter(str(workdir / TENSORBOARD / name))
        self._write_tensorboard(0, file_version="brain.Event:2")
        # entries of later steps in earlier files are no longer shown
        self._write_tensorboard(resumed_at + 1, session_log=SessionLog(status=SessionLog.START))

    def write_run(self, step: int) -> None:
        """Write when, by which command and on what the run continues from ``step`` on, to the JSON lines alone."""
        began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        facts = {"began": began, "command": shlex.join(sys.argv), "versions": environment.versions()}
        facts |= {"hardware": environment.hardware(), "commit": environment.commit()}
        self._write_line({"kind": "run", "step": step, **facts})

    def write(self, kind: str, step: int, numbers: Mapping[str, float]) -> None:
        """Write one event: ``kind`` is train or validation."""
        self._write_line({"kind": kind, "step": step, **numbers})
        tagged = {f"{kind}/{name}": value for name, value in numbers.items()}
        values = [{"tag": tag, "simple_value": value} for tag, value in tagged.items()]
        self._write_tensorboard(step, summary={"value": values})
        if kind == "validation":
            self._tensorboard.flush()  # which waits for the disk
        if self._wandb is not None:
            self._wandb.log(tagged | {"step": step})

    def write_image(self, name: str, step: int, image: Image) -> Path:
        """Write an RGB image as ``pictures/NAME.png``, to TensorBoard and W&B; the file's path."""
        path = self._workdir / IMAGES / f"{name}.png"
        png = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        write_atomically(path, png)
        height, width, _ = image.shape
        encoded = {"encoded_image_string": png, "height": height, "width": width, "colorspace": 3}
        self._write_tensorboard(step, summary={"value": [{"tag": IMAGES, "image": encoded}]})
        if self._wandb is not None:
            import wandb  # pyright: ignore[reportMissingImports] (an extra)

            self._wandb.log({IMAGES: wandb.Image(image), "step": step})
        return path

    def _write_line(self, event: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()
        except OSError as e:
            raise UserError(f"cannot write to {self._file.name}: {e.strerror or e}") from e

    def _write_tensorboard(self, step: int, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue] (generated)

        self._tensorboard.write(Event(step=step, wall_time=time.time(), **fields).SerializeToString())

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: object, error: object, _: object) -> None:
        """Close all; where the run already ends by an error, that one is reported alone."""
        try:
            with closing(self._tensorboard), self._file:
                pass
        except OSError as e:
            if error is None:
                raise UserError(f"cannot write the logs in {self._workdir}: {e.strerror or e}") from e
        if self._wandb is not None:
            self._wandb.finish()


def _open_wandb(config: Config, workdir: Path) -> Any:
    """A run of W&B that a resumed training continues: its id is in the workdir."""
    try:
        import wandb  # pyright: ignore[reportMissingImports] (an extra)
    except ImportError as e:
        raise UserError("config.train.wandb: not installed: pip install 'ostrack-jax[wandb]'") from e
    path, project = workdir / WANDB_ID, config.train.wandb
    if not path.exists():
        write_text(path, secrets.token_hex(8))
    about = {"project": project, "name": config.name, "config": to_dict(config), "dir": str(workdir)}
    try:
        run = wandb.init(**about, id=path.read_text(), resume="allow")
    except wandb.Error as e:
        raise UserError(f"config.train.wandb={project}: {' '.join(str(e).split())}") from e
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run
