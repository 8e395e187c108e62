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

import json
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2

from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.io import write_atomically, write_text
from ostrack_jax.visualization.draw import Image

LOG_FILE, IMAGES, TENSORBOARD, WANDB_ID = "log.jsonl", "pictures", "tensorboard", "wandb_id.txt"
_FLUSH = 10.0  # seconds between flushes of TensorBoard's file, which wait for the disk

Event = dict[str, Any]


def read_events(workdir: Path, kind: str | None = None) -> list[Event]:
    """All events of one kind (of all), in order; a last line cut short by a kill is left out.

    Raises:
      UserError: there is no log, or a line of it is not an event.
    """
    path = workdir / LOG_FILE
    if not path.is_file():
        raise UserError(f"no {LOG_FILE} in {workdir}: expected the workdir of a training run")
    lines = path.read_bytes().split(b"\n")
    events = [_event(line) for line in lines]
    for number, (line, event) in enumerate(zip(lines, events, strict=True), 1):
        if event is None and line and number < len(lines):  # the last has no newline behind it
            raise UserError(f"{path}:{number}: expected a JSON object with kind and step")
    return [event for event in events if event is not None and kind in (None, event["kind"])]


def last_validation(workdir: Path, step: int) -> Event | None:
    """The numbers of the last validation up to ``step``, its epoch and step; None where the log has none."""
    path = workdir / LOG_FILE
    for line in reversed(path.read_bytes().split(b"\n") if path.is_file() else []):
        event = _event(line)
        if event is not None and event["kind"] == "validation" and event["step"] <= step:
            return {name: value for name, value in event.items() if name != "kind"}
    return None


def _event(line: bytes) -> Event | None:
    """The event of a line; None where it holds none, as one that is cut short."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    sound = isinstance(event, dict) and isinstance(event.get("kind"), str) and type(event.get("step")) is int
    return event if sound else None


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

        self._images = workdir / IMAGES
        self._wandb = None
        if config is not None and config.train.wandb:
            self._wandb, self._wandb_run = _open_wandb(config, workdir)

        def stays(event: Event | None) -> bool:
            if event is None:
                return False
            now = event["step"] == resumed_at and (validated or event["kind"] != "validation")
            return event["step"] < resumed_at or now

        path = workdir / LOG_FILE
        if path.exists():
            lines = path.read_bytes().split(b"\n")
            write_atomically(path, b"".join(line + b"\n" for line in lines if stays(_event(line))))
        self._file = path.open("a")
        # Not `SummaryWriter`: its thread dies unheard where the disk is full, and training then waits for it.
        (workdir / TENSORBOARD).mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self._tensorboard, self._flushed = RecordWriter(str(workdir / TENSORBOARD / name)), time.monotonic()
        self._write_tensorboard(0, file_version="brain.Event:2")
        # entries of later steps in earlier files are no longer shown
        self._write_tensorboard(resumed_at + 1, session_log=SessionLog(status=SessionLog.START))

    def write_run(self, step: int, facts: Mapping[str, Any]) -> None:
        """Write the run's environment from ``step`` on, to the JSON lines alone."""
        self._write_line({"kind": "run", "step": step, **facts})

    def write(self, kind: str, step: int, numbers: Mapping[str, float]) -> None:
        """Write one event: ``kind`` is train or validation."""
        self._write_line({"kind": kind, "step": step, **numbers})
        tagged = {f"{kind}/{name}": value for name, value in numbers.items()}
        values = [{"tag": tag, "simple_value": value} for tag, value in tagged.items()]
        self._write_tensorboard(step, summary={"value": values})
        if self._wandb is not None:
            self._wandb_run.log(tagged | {"step": step})

    def write_image(self, name: str, step: int, image: Image) -> Path:
        """Write an RGB image as ``pictures/NAME.png``, to TensorBoard and W&B; the file's path."""
        path = self._images / f"{name}.png"
        png = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        write_atomically(path, png)
        height, width, _ = image.shape
        encoded = {"encoded_image_string": png, "height": height, "width": width, "colorspace": 3}
        self._write_tensorboard(step, summary={"value": [{"tag": IMAGES, "image": encoded}]})
        if self._wandb is not None:
            self._wandb_run.log({IMAGES: self._wandb.Image(image), "step": step})
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
        if time.monotonic() - self._flushed > _FLUSH:
            self._tensorboard.flush()
            self._flushed = time.monotonic()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: object, error: object, _: object) -> None:
        """Close all; where the run already ends by an error, that one is reported alone."""
        try:
            with ExitStack() as closing:  # all of them, also where one fails
                if self._wandb is not None:
                    closing.callback(self._wandb_run.finish)
                closing.callback(self._tensorboard.close)
                closing.callback(self._file.close)
        except OSError as e:
            if error is None:
                raise UserError(f"cannot write the logs in {self._images.parent}: {e.strerror or e}") from e


def _open_wandb(config: Config, workdir: Path) -> tuple[Any, Any]:
    """The module of W&B and a run of it that a resumed training continues: its id is in the workdir."""
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
    return wandb, run
